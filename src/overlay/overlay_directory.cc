#include "overlay/overlay_directory.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <set>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/metadata.h"
#include "archive/target.h"
#include "base/text.h"
#include "crypto/crypto.h"
#include "os/file.h"
#include "overlay/home_map.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view kAboutFirstLine = "holdfast instant 1\n";
constexpr std::array<std::pair<OverlayPhase, std::string_view>, 3> kPhases{
    {{OverlayPhase::preparing, "preparing\n"}, {OverlayPhase::serving, "serving\n"}, {OverlayPhase::landing, "landing\n"}}};

std::unexpected<Error> refused(std::string_view verb, fs::path const& path) {
    auto number = errno;
    return fail(errno_error(fmt::format("{} '{}'", verb, printable(path.native())), number));
}

Result<void> make_directory(fs::path const& path) {
    if (::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return {};
    return refused("make", path);
}

// All that was written to the file system of `path`.
Result<void> sync_file_system(fs::path const& path) {
    auto directory = TRY(open_file(path, O_RDONLY | O_DIRECTORY));
    if (::syncfs(directory.get()) != 0) return refused("sync the file system of", path);
    return {};
}

// Makes the sparse files, directory by directory.
class SparseFiles {
  public:
    SparseFiles(fs::path const& directory, RestoreOptions const& options)
        : tree_(overlay_tree(directory)), files_(overlay_top(directory) / OverlayNames::kFiles),
          metadata_({.set_owner = options.set_owner}, problems_) {}

    Result<void> begin() {
        TRY(make_directory(files_));
        numbers_ = TRY(open_file(files_, O_PATH | O_DIRECTORY));
        return {};
    }
    Result<void> make(std::uint32_t number, std::string const& path, Entry const& entry) {
        auto whole = tree_ / path;
        auto parent = whole.parent_path();
        if (parent != parent_path_) {
            parent_ = TRY(open_file(parent, O_RDONLY | O_DIRECTORY));
            parent_path_ = parent;
        }
        Fd file(::openat(parent_.get(), entry.name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
        if (!file) return refused("make", whole);
        if (::ftruncate(file.get(), static_cast<off_t>(entry.content.size)) != 0) return refused("make", whole);
        metadata_.apply(file.get(), entry, path);
        auto name = std::to_string(number);
        if (::linkat(parent_.get(), entry.name.c_str(), numbers_.get(), name.c_str(), 0) != 0) return refused("link", whole);
        return {};
    }
    void finish(RestoreResult& result) {
        metadata_.summarise();
        result.problem_count += problems_.count();
        for (auto& problem : problems_.take()) result.problems.push_back(std::move(problem));
    }

  private:
    fs::path const tree_, files_;
    ProblemList problems_;
    MetadataSetter metadata_;
    Fd numbers_, parent_;
    fs::path parent_path_;
};

// Calls `take` for each file that is not brought at once.
using TakeLower = std::function<Result<void>(std::string const& path, Entry const& entry)>;
Result<void> walk_lower(Fetch& fetch, OverlayPart const& part, TakeLower const& take, std::stop_token stop) {
    auto visit = [&](std::string const& path, Entry const& entry) -> Result<bool> {
        if (path.empty()) return true;
        if (part.left_out && part.left_out(path)) return false;
        if (entry.type == EntryType::file && !(part.at_once && part.at_once(path))) TRY(take(path, entry));
        return true;
    };
    return TreeReader(fetch, part.tree).walk(part.path, visit, {}, stop);
}

Result<std::vector<std::string>> names_in(fs::path const& path) {
    std::vector<std::string> names;
    std::error_code error;
    for (fs::directory_iterator at(path, error); !error && at != fs::directory_iterator(); at.increment(error))
        names.push_back(at->path().filename());
    if (error && error != std::errc::no_such_file_or_directory)
        return fail(errno_error(fmt::format("look into '{}'", printable(path.native())), error.value()));
    return names;
}

}  // namespace

Result<std::optional<OverlayAbout>> read_overlay_about(fs::path const& directory) {
    std::optional<OverlayAbout> none;
    auto path = overlay_top(directory) / OverlayNames::kAbout;
    auto bytes = read_file(path, 1u << 20);
    if (!bytes && bytes.error().kind == ErrorKind::not_found) return none;
    if (!bytes) return fail(std::move(bytes.error()));
    auto text = as_text(*bytes);
    if (text.starts_with(kAboutFirstLine)) {
        text.remove_prefix(kAboutFirstLine.size());
        for (auto const& [phase, line] : kPhases)
            if (text.starts_with(line)) return std::optional(OverlayAbout{phase, std::string(text.substr(line.size()))});
    }
    return fail(ErrorKind::damaged, fmt::format("'{}' does not say what it is", printable(path.native())));
}

Result<void> write_overlay_about(fs::path const& directory, OverlayAbout const& about) {
    auto top = overlay_top(directory);
    TRY(make_directory(top));
    TRY(fsync_directory(directory));
    std::string text(kAboutFirstLine);
    for (auto const& [phase, line] : kPhases)
        if (phase == about.phase) text += line;
    text += about.text;
    return write_file_durably(top / OverlayNames::kAbout, as_bytes(text), 0600);
}

Result<std::vector<LowerFile>> lower_files(Fetch& fetch, OverlayPart const& part, std::stop_token stop) {
    std::vector<LowerFile> files;
    auto take = [&](std::string const& path, Entry const& entry) -> Result<void> {
        files.push_back({path, entry.content});
        return {};
    };
    TRY(walk_lower(fetch, part, take, stop));
    return files;
}

Bytes overlay_identity(OverlayPart const& part) {
    ByteWriter writer;
    encode(part.tree, writer);
    writer.blob(part.path);
    auto digest = sha256(writer.view());
    return {digest.begin(), digest.end()};
}

Result<PreparedOverlay> prepare_overlay(Fetch& fetch, OverlayPart const& part, fs::path const& directory,
                                        RestoreOptions const& options, ProgressCallback const& progress,
                                        std::stop_token stop) {
    PreparedOverlay prepared;
    std::vector<std::pair<std::string, Entry>> later;
    std::set<std::string> paths;
    auto take = [&](std::string const& path, Entry const& entry) -> Result<void> {
        paths.insert(path);
        later.emplace_back(path, entry);
        return {};
    };
    TRY(walk_lower(fetch, part, take, stop));
    auto at_once = options;
    at_once.durable = false;  // all of it is, at the end
    at_once.exclude = [&](std::string const& path) {
        return paths.contains(path) || (part.left_out && part.left_out(path)) || (options.exclude && options.exclude(path));
    };
    prepared.at_once = TRY(restore_tree(fetch, part.tree, part.path, overlay_tree(directory), at_once, progress, stop));
    SparseFiles sparse(directory, options);
    TRY(sparse.begin());
    std::vector<std::uint64_t> sizes;
    for (auto const& [path, entry] : later) {
        if (stop.stop_requested()) return fail(ErrorKind::cancelled, "stopped");
        TRY(sparse.make(static_cast<std::uint32_t>(sizes.size()), path, entry));
        sizes.push_back(entry.content.size);
        prepared.bytes += entry.content.size;
    }
    sparse.finish(prepared.at_once);
    prepared.files = sizes.size();
    auto top = overlay_top(directory);
    TRY(HomeMap::create(system_files(), top / OverlayNames::kMap, overlay_identity(part), sizes));
    TRY(sync_file_system(top));
    return prepared;
}

Result<void> remove_overlay(fs::path const& directory) {
    auto top = overlay_top(directory);
    auto names = TRY(names_in(top));
    // About goes last.
    std::ranges::partition(names, [](std::string const& name) { return name != OverlayNames::kAbout; });
    for (auto const& name : names) {
        std::error_code error;
        fs::remove_all(top / name, error);
        if (error) return fail(errno_error(fmt::format("remove '{}'", printable((top / name).native())), error.value()));
        TRY(fsync_directory(top));
    }
    if (::rmdir(top.c_str()) != 0 && errno != ENOENT) return refused("remove", top);
    return fsync_directory(directory);
}

Result<void> land_overlay(fs::path const& directory, std::string const& last) {
    auto tree = overlay_tree(directory);
    auto names = TRY(names_in(tree));
    std::ranges::partition(names, [&](std::string const& name) { return name != last; });
    for (auto const& name : names) {
        if (name == last) TRY(fsync_directory(directory));
        if (::renameat2(AT_FDCWD, (tree / name).c_str(), AT_FDCWD, (directory / name).c_str(), RENAME_NOREPLACE) != 0)
            return refused("put into its place", directory / name);
    }
    TRY(fsync_directory(directory));
    return remove_overlay(directory);
}

}  // namespace holdfast
