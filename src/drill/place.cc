#include "drill/place.h"

#include <algorithm>
#include <cassert>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "drill/isolated_runbook.h"
#include "os/file.h"
#include "os/file_lock.h"
#include "os/process_table.h"

namespace holdfast::drill {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMark = ".holdfast-drill";
constexpr Duration kGrace = std::chrono::seconds(10);

fs::path notes_of(fs::path const& state) { return state / "drills"; }

// Notes are made and swept by one process at a time: a note that is not locked yet looks like a dead drill's.
Result<Fd> lock_notes(fs::path const& state) { return lock_file((notes_of(state) / ".lock").string()); }

bool is_id(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
    }) && !text.starts_with('.');
}

Result<void> make_private(fs::path const& path, mode_t mode) {
    if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
        return fail(errno_error("make '" + printable(path.string()) + "'", errno));
    }
    if (::chmod(path.c_str(), mode) != 0) {
        return fail(errno_error("set the mode of '" + printable(path.string()) + "'", errno));
    }
    return {};
}

// Whether other users may pass every directory on the way to `path`.
bool others_can_pass(fs::path path) {
    std::error_code failed;
    for (path = fs::absolute(path, failed).lexically_normal(); path.has_relative_path(); path = path.parent_path()) {
        auto const status = fs::status(path, failed);
        if (fs::exists(status) && (status.permissions() & fs::perms::others_exec) == fs::perms::none) return false;
    }
    return true;
}

// A file that is locked as long as its process lives; nothing when a living one holds it.
Result<Fd> try_lock(fs::path const& note) {
    auto file = TRY(open_file(note.string(), O_RDWR | O_CREAT, 0600));
    if (::flock(file.get(), LOCK_EX | LOCK_NB) == 0) return file;
    if (errno == EWOULDBLOCK) return Fd();
    return fail(errno_error("lock '" + printable(note.string()) + "'", errno));
}

Result<bool> carries_mark(fs::path const& place, std::string const& id) {
    auto const mark = read_file((place / kMark).string(), 4096);
    if (mark) return holdfast::to_text(*mark) == id;
    std::error_code failed;
    if (mark.error().kind == ErrorKind::not_found) return fs::is_empty(place, failed) && !failed;
    return fail(mark.error());
}

// Ends what runs below the place and removes it.
Result<std::vector<ProcessBelow>> clear(fs::path const& place) {
    auto ended = TRY(stop_processes_below(place.string(), kGrace));
    TRY(remove_tree(place));
    TRY(fsync_directory(place.parent_path().string()));
    return ended;
}

std::string list(std::vector<ProcessBelow> const& processes) {
    std::vector<std::string> names;
    for (auto const& process : processes) names.push_back(fmt::format("{} {}", process.name, process.pid));
    return join(names, ", ");
}

}  // namespace

Result<void> remove_tree(fs::path const& path) {
    std::error_code failed;
    fs::remove_all(path, failed);
    if (!failed) return {};
    // A user cannot empty directories that he may not enter or write, although they are his.
    std::error_code ignored;
    for (int round = 0; round < 64 && failed; ++round) {
        fs::permissions(path, fs::perms::owner_all, fs::perm_options::add | fs::perm_options::nofollow, ignored);
        fs::recursive_directory_iterator entries(path, fs::directory_options::skip_permission_denied, ignored);
        for (; entries != fs::recursive_directory_iterator(); entries.increment(ignored)) {
            if (!entries->is_directory(ignored) || entries->is_symlink(ignored)) continue;
            fs::permissions(entries->path(), fs::perms::owner_all, fs::perm_options::add, ignored);
        }
        failed.clear();
        fs::remove_all(path, failed);
    }
    if (failed) return fail(errno_error("remove '" + printable(path.string()) + "'", failed.value()));
    return {};
}

Result<Place> Place::make(PlaceOptions const& options) {
    assert(is_id(options.id));
    std::error_code failed;
    auto const notes = notes_of(options.state);
    fs::create_directories(notes, failed);
    if (failed) return fail(errno_error("make '" + printable(notes.string()) + "'", failed.value()));

    auto const making = TRY(lock_notes(options.state));
    auto base = options.in.empty() ? options.state / "scratch" : fs::absolute(options.in, failed);
    // PostgreSQL refuses root: as root its files belong to somebody else, who has to reach them.
    auto const owned_by_others = options.databases && ::geteuid() == 0;
    if (options.in.empty() && owned_by_others && !others_can_pass(base)) base = "/var/tmp";
    fs::create_directories(base, failed);
    if (failed) return fail(errno_error("make '" + printable(base.string()) + "'", failed.value()));

    Place place;
    place.path_ = (base / ("holdfast-drill-" + options.id)).lexically_normal();
    place.note_ = notes / options.id;
    place.lock_ = TRY(try_lock(place.note_));
    if (!place.lock_) return fail(ErrorKind::exists, "drill '" + options.id + "' runs already");
    // Order: the note is durable before the place exists, so that no place is ever forgotten.
    TRY(write_full(place.lock_, as_bytes(place.path_.string())));
    TRY(fsync_file(place.lock_, place.note_.string()));
    TRY(fsync_directory(notes.string()));

    if (::mkdir(place.path_.c_str(), 0700) != 0) {
        return fail(errno_error("make '" + printable(place.path_.string()) + "'", errno));
    }
    place.there_ = true;
    TRY(write_file_durably((place.path_ / kMark).string(), as_bytes(options.id), 0600));
    // Others may pass to their own directories, but neither list nor enter anything else.
    mode_t const mode = owned_by_others ? 0711 : 0700;
    TRY(make_private(place.path_, mode));
    TRY(make_private(files_of(place.path_), 0700));
    TRY(make_private(databases_of(place.path_), mode));
    return place;
}

Place::~Place() {
    if (!lock_) return;  // moved from
    if (there_ && !clear(path_)) return;  // the note stays: the next drill tries again
    std::error_code ignored;
    fs::remove(note_, ignored);
}

std::vector<CleanUpEvidence> Place::clean_up() {
    std::vector<CleanUpEvidence> evidence;
    auto const cleared = clear(path_);
    auto const running = processes_below(path_.string());
    CleanUpEvidence processes{.what = "no process runs in the isolated place"};
    processes.holds = running && running->empty();
    if (!running) {
        processes.detail = running.error().message;
    } else if (!running->empty()) {
        processes.detail = list(*running);
    } else if (cleared && !cleared->empty()) {
        processes.detail = "ended: " + list(*cleared);
    }
    evidence.push_back(std::move(processes));

    std::error_code failed;
    CleanUpEvidence gone{.what = "nothing is left of '" + printable(path_.string()) + "'"};
    gone.holds = cleared && fs::symlink_status(path_, failed).type() == fs::file_type::not_found;
    if (!cleared) gone.detail = cleared.error().message;
    there_ = !gone.holds;
    evidence.push_back(std::move(gone));
    return evidence;
}

Result<std::vector<std::string>> sweep_dead_drills(fs::path const& state) {
    std::vector<std::string> done;
    std::vector<fs::path> notes;
    std::error_code failed;
    if (!fs::exists(notes_of(state), failed)) return done;
    auto const sweeping = TRY(lock_notes(state));
    fs::directory_iterator entries(notes_of(state), failed);
    for (; !failed && entries != fs::directory_iterator(); entries.increment(failed)) notes.push_back(entries->path());
    if (failed) return fail(errno_error("read '" + notes_of(state).string() + "'", failed.value()));
    std::ranges::sort(notes);

    for (auto const& note : notes) {
        auto const id = note.filename().string();
        if (!is_id(id)) continue;
        auto lock = TRY(try_lock(note));
        if (!lock) continue;  // that drill is alive
        auto const content = TRY(read_file(note.string(), 8192));
        fs::path const place(holdfast::to_text(content));
        auto const named = place.is_absolute() && place.filename() == "holdfast-drill-" + id;
        if (named && fs::exists(fs::symlink_status(place, failed))) {
            auto const ours = fs::is_directory(fs::symlink_status(place, failed)) ? carries_mark(place, id)
                                                                                   : Result<bool>(false);
            if (!ours || !*ours) {
                done.push_back(fmt::format("'{}' of the dead drill {} does not carry its mark and was left alone",
                                           printable(place.string()), id));
            } else {
                auto const ended = clear(place);
                if (!ended) return fail(Error(ended.error()).within("clean up after the dead drill " + id));
                done.push_back(fmt::format("cleaned up '{}' of the drill {}, which was cut off{}",
                                           printable(place.string()), id,
                                           ended->empty() ? "" : "; ended " + list(*ended)));
            }
        }
        fs::remove(note, failed);
    }
    return done;
}

}  // namespace holdfast::drill
