#include "sources/postgres/data_directory.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <vector>

#include "base/text.h"
#include "os/file.h"

namespace holdfast::postgres {
namespace {

namespace fs = std::filesystem;

// The postmaster whose lock file lies in the directory, when it lives. A number that another program
// has by now is told by its working directory: a postmaster's is its data directory. When that can't
// be read the process counts as a postmaster: to be wrong here must err to the safe side.
Result<std::optional<pid_t>> find_server(fs::path const& directory) {
    auto lock = read_file(directory / "postmaster.pid", 1 << 16);
    if (!lock && lock.error().kind == ErrorKind::not_found) return std::optional<pid_t>();
    if (!lock) return fail(std::move(lock).error());
    auto text = as_text(*lock);
    pid_t pid = 0;
    auto parsed = std::from_chars(text.data(), text.data() + text.size(), pid);
    if (parsed.ec != std::errc{} || pid <= 0) return std::optional<pid_t>();
    if (::kill(pid, 0) != 0 && errno == ESRCH) return std::optional<pid_t>();
    // One that was killed and that nobody has reaped yet runs no more.
    auto status = read_file(fmt::format("/proc/{}/stat", pid), 4096);
    if (status && as_text(*status).find(") Z ") != std::string_view::npos) return std::optional<pid_t>();
    std::error_code unreadable;
    auto working = fs::read_symlink(fmt::format("/proc/{}/cwd", pid), unreadable);
    if (!unreadable) {
        std::error_code ignored;
        if (!fs::equivalent(working, directory, ignored)) return std::optional<pid_t>();
    }
    return std::optional(pid);
}

// What a restore leaves that is cut off while it writes its mark (see write_file_durably()).
bool is_unfinished_mark(fs::path const& path) {
    auto const name = path.filename().string();
    return name.starts_with(fmt::format(".{}.", kRestoreMark)) && name.ends_with(".tmp");
}

Error error_of(std::error_code code, std::string_view what, fs::path const& path) {
    return errno_error(fmt::format("{} '{}'", what, printable(path.native())), code.value());
}

}  // namespace

Result<DirectoryState> inspect_directory(fs::path const& path) {
    DirectoryState state;
    std::error_code error;
    auto status = fs::status(path, error);
    if (status.type() == fs::file_type::not_found) return state;
    if (error) return fail(error_of(error, "look at", path));
    state.kind = DirectoryState::Kind::occupied;
    if (status.type() != fs::file_type::directory) return state;
    bool empty = true;
    fs::directory_iterator entries(path, error);
    for (; !error && entries != fs::directory_iterator(); entries.increment(error))
        empty = empty && is_unfinished_mark(entries->path());
    if (error) return fail(error_of(error, "look into", path));
    if (empty) {
        state.kind = DirectoryState::Kind::empty;
        return state;
    }
    state.server = TRY(find_server(path));
    // PostgreSQL moves backup_label away when it starts: a cluster that has lived must not be taken for
    // a restore that may go on, even if a crash left the mark behind.
    bool started = fs::exists(path / "global" / "pg_control", error) && !fs::exists(path / "backup_label", error);
    auto mark = read_file(path / kRestoreMark, 1 << 16);
    if (mark && !started) {
        state.kind = DirectoryState::Kind::interrupted_restore;
        state.mark = to_text(*mark);
    } else if (!mark && mark.error().kind != ErrorKind::not_found) {
        return fail(std::move(mark).error());
    }
    return state;
}

Result<void> set_restore_mark(fs::path const& directory, std::string_view mark) {
    std::vector<fs::path> unfinished;
    std::error_code error;
    fs::directory_iterator entries(directory, error);
    for (; !error && entries != fs::directory_iterator(); entries.increment(error))
        if (is_unfinished_mark(entries->path())) unfinished.push_back(entries->path());
    // What stays of them would only be told as foreign to the cluster.
    std::error_code ignored;
    for (auto const& path : unfinished) fs::remove(path, ignored);
    return write_file_durably(directory / kRestoreMark, as_bytes(mark), 0600);
}

Result<void> remove_restore_mark(fs::path const& directory) {
    auto mark = directory / kRestoreMark;
    if (::unlink(mark.c_str()) != 0 && errno != ENOENT)
        return fail(errno_error(fmt::format("remove '{}'", printable(mark.native())), errno));
    return fsync_directory(directory);
}

}  // namespace holdfast::postgres
