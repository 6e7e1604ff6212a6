#include "overlay/overlay.h"

#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "os/file.h"
#include "os/file_lock.h"

namespace holdfast {
namespace {

constexpr std::size_t kOverlayComplaintsMax = 1000;
// What is wanted is a hint: more than this would be out of date before its turn comes.
constexpr std::size_t kWantedMax = 4096;
constexpr char kLockName[] = "lock";

}  // namespace

// The local file of a file of the point: open only while somebody uses it. Databases have more files than a process may
// have descriptors.
class Overlay::File::Local : public LocalFile {
  public:
    Local(int numbers, std::uint32_t number, std::uint64_t size) : numbers_(numbers), name_(std::to_string(number)), size_(size) {}

    Result<void> open() {
        std::lock_guard lock(mutex_);
        if (file_) return {};
        Fd file(::openat(numbers_, name_.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC));
        if (!file) return fail(errno_error(fmt::format("open file {} of the overlay", name_), errno));
        file_ = std::make_shared<OpenLocalFile>(std::move(file), name_);
        return {};
    }
    void close() {
        std::lock_guard lock(mutex_);
        file_.reset();
    }

    // Asked once before anybody opens it.
    Result<std::uint64_t> size() override {
        auto file = now();
        return file ? file->size() : Result<std::uint64_t>(size_);
    }
    Result<std::size_t> read(std::uint64_t offset, ByteSpan to) override { return now()->read(offset, to); }
    Result<void> write(std::uint64_t offset, ByteView bytes) override { return now()->write(offset, bytes); }
    Result<void> truncate(std::uint64_t size) override { return now()->truncate(size); }
    Result<void> allocate(std::uint64_t offset, std::uint64_t length, Growth growth) override {
        return now()->allocate(offset, length, growth);
    }
    Result<void> sync() override { return now()->sync(); }

  private:
    std::shared_ptr<OpenLocalFile> now() {
        std::lock_guard lock(mutex_);
        return file_;
    }
    int const numbers_;
    std::string const name_;
    std::uint64_t const size_;
    std::mutex mutex_;
    std::shared_ptr<OpenLocalFile> file_;
};

Result<std::unique_ptr<Overlay>> Overlay::open(std::filesystem::path const& directory, OverlayPart const& part, Fetch& fetch,
                                               ChunkCache& cache, Options options) {
    std::unique_ptr<Overlay> overlay(new Overlay(fetch, cache, std::move(options)));
    TRY(overlay->load(directory, part).within(fmt::format("open the overlay in '{}'", printable(directory.native()))));
    return overlay;
}

Result<void> Overlay::load(std::filesystem::path const& directory, OverlayPart const& part) {
    auto top = overlay_top(directory);
    auto lock = TRY(try_lock_file(top / kLockName));
    if (!lock) return fail(ErrorKind::exists, "another process serves it");
    lock_ = std::move(*lock);
    tree_ = TRY(open_file(overlay_tree(directory), O_PATH | O_DIRECTORY));
    numbers_ = TRY(open_file(top / OverlayNames::kFiles, O_RDONLY | O_DIRECTORY));
    if (::syncfs(numbers_.get()) != 0) return fail(errno_error("sync the file system", errno));

    auto lowers = TRY(lower_files(fetch_, part, options_.stop));
    std::vector<std::uint64_t> sizes;
    for (auto const& lower : lowers) sizes.push_back(lower.content.size);
    map_ = TRY(HomeMap::open(system_files(), top / OverlayNames::kMap, overlay_identity(part), sizes));
    for (std::uint32_t number = 0; number < lowers.size(); ++number) {
        auto file = std::make_unique<File>();
        file->lower_ = std::move(lowers[number]);
        file->number_ = number;
        auto name = std::to_string(number);
        struct stat status {};
        bool there = ::fstatat(numbers_.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0;
        if (!there && errno != ENOENT) return fail(errno_error(fmt::format("look at file {}", number), errno));
        if (there && status.st_nlink == 1) {
            // Its last name was removed, and then we were killed.
            ::unlinkat(numbers_.get(), name.c_str(), 0);
            there = false;
        }
        if (there) {
            auto local = std::make_unique<File::Local>(numbers_.get(), number, static_cast<std::uint64_t>(status.st_size));
            file->local_ = local.get();
            file->inode_ = status.st_ino;
            file->exists_ = true;
            auto lower = [this, raw = file.get()](std::uint64_t offset, ByteSpan to) { return read_lower(*raw, offset, to); };
            file->content_ = TRY(CopyOnWriteFile::open(number, std::move(local), *map_, map_->loaded()[number], lower));
            by_inode_.emplace(status.st_ino, file.get());
            bytes_total_ += sizes[number];
        }
        files_.push_back(std::move(file));
    }
    return {};
}

Overlay::File* Overlay::find(ino_t inode) {
    std::lock_guard lock(mutex_);
    auto found = by_inode_.find(inode);
    return found == by_inode_.end() ? nullptr : found->second;
}

Result<Overlay::Use> Overlay::use(File& file) {
    std::lock_guard lock(mutex_);
    if (!file.content_) return fail(ErrorKind::not_found, "the file was removed");
    TRY(file.local_->open());
    ++file.users_;
    auto end = [this, &file](CopyOnWriteFile*) {
        std::lock_guard lock(mutex_);
        if (--file.users_ > 0) return;
        file.local_->close();
        std::lock_guard reading(file.reading_);
        file.point_.reset();
        file.map_.reset();
    };
    return Use(file.content_.get(), end);
}

void Overlay::name_removed(ino_t inode) {
    std::lock_guard lock(mutex_);
    auto found = by_inode_.find(inode);
    if (found == by_inode_.end()) return;
    auto& file = *found->second;
    auto name = std::to_string(file.number_);
    struct stat status {};
    if (::fstatat(numbers_.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0 || status.st_nlink > 1) return;
    // The inode's number may be another file's as soon as nobody has this one open.
    ::unlinkat(numbers_.get(), name.c_str(), 0);
    file.exists_ = false;
    by_inode_.erase(found);
}

Result<void> Overlay::read_lower(File& file, std::uint64_t offset, ByteSpan to) {
    struct Waiting {
        explicit Waiting(std::atomic<int>& count) : count(count) { ++count; }
        ~Waiting() { --count; }
        std::atomic<int>& count;
    } waiting(waiting_);
    {
        std::lock_guard lock(wanted_mutex_);
        if (wanted_.size() < kWantedMax)
            wanted_.push_back({&file, {offset / kBlockBytes, blocks_of(offset + to.size()) - offset / kBlockBytes}});
    }
    auto fill = [&]() -> Result<void> {
        std::shared_ptr<OpenFile> point;
        {
            std::lock_guard lock(file.reading_);
            auto map = TRY(map_of(file));
            if (!file.point_) file.point_ = std::make_shared<OpenFile>(std::move(map), cache_);
            point = file.point_;
        }
        return read_point(*point, offset, to, options_.stop);
    };
    auto done = fill();
    if (!done) complain(file.path(), done.error());
    return done;
}

Result<std::shared_ptr<FileMap const>> Overlay::map_of(File& file) {
    if (!file.map_) {
        auto map = TRY(FileMap::load(fetch_, file.lower_.content, options_.stop));
        file.map_ = std::make_shared<FileMap const>(std::move(map));
    }
    return file.map_;
}

Result<std::unique_ptr<OpenFile>> Overlay::open_point(File& file) {
    std::lock_guard lock(file.reading_);
    auto map = TRY(map_of(file));
    return std::make_unique<OpenFile>(std::move(map), cache_);
}

Result<void> read_point(OpenFile& file, std::uint64_t offset, ByteSpan to, std::stop_token stop) {
    auto pieces = TRY(file.read(offset, to.size(), std::move(stop)));
    std::size_t at = 0;
    for (auto const& piece : pieces) {
        std::ranges::copy(piece.bytes, to.begin() + static_cast<std::ptrdiff_t>(at));
        at += piece.bytes.size();
    }
    if (at != to.size()) return fail(ErrorKind::damaged, "the point's file is shorter than its entry says");
    return {};
}

std::optional<Overlay::Wanted> Overlay::next_wanted() {
    std::lock_guard lock(wanted_mutex_);
    if (wanted_.empty()) return std::nullopt;
    auto wanted = wanted_.front();
    wanted_.pop_front();
    return wanted;
}

std::uint64_t Overlay::bytes_missing() const {
    std::uint64_t blocks = 0;
    for (auto const& file : files_)
        if (file->exists_) blocks += file->content_->missing();
    return blocks * kBlockBytes;
}

void Overlay::complain(std::string const& path, Error const& error) {
    if (error.kind == ErrorKind::cancelled) return;
    auto message = fmt::format("'{}': {}", printable(path), error.message);
    {
        std::lock_guard lock(complaints_mutex_);
        if (complained_.size() >= kOverlayComplaintsMax || !complained_.insert(message).second) return;
    }
    ++complaints_;
    if (options_.warn) options_.warn(message);
}

}  // namespace holdfast
