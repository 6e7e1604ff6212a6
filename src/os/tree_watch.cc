#include "os/tree_watch.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>

#include "base/text.h"
#include "os/errors.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

// Not IN_MODIFY: a checkpoint is written in a million pieces, and closed once.
constexpr std::uint32_t kHeard = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE_SELF |
                                 IN_MOVE_SELF | IN_ONLYDIR | IN_EXCL_UNLINK;
constexpr std::size_t kEventBytes = 64 * 1024;

std::unexpected<Error> no_watch(std::string const& directory) {
    if (errno == ENOSPC || errno == ENOMEM) {
        return fail(ErrorKind::io, fmt::format("watch '{}': the kernel gives no more watches", printable(directory)),
                    "one is needed for each directory: raise fs.inotify.max_user_watches (sysctl)");
    }
    return failed("watch", directory);
}

}  // namespace

Result<TreeWatch> TreeWatch::open(std::vector<std::string> directories, Skip skip) {
    Fd inotify(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!inotify) {
        return fail(ErrorKind::io, fmt::format("watch files: {}", std::strerror(errno)),
                    errno == EMFILE ? "raise fs.inotify.max_user_instances (sysctl)" : "");
    }
    TreeWatch watch(std::move(inotify), std::move(directories), std::move(skip));
    TRY(watch.watch_roots());
    return watch;
}

Result<void> TreeWatch::watch_roots() {
    for (auto const& root : roots_) {
        // Through links, as whoever reads the tree goes.
        int const id = ::inotify_add_watch(inotify_.get(), root.c_str(), kHeard);
        if (id < 0 && errno == ENOTDIR) {
            return fail(ErrorKind::usage, fmt::format("watch '{}': it is no directory", printable(root)),
                        "only what is in a directory is watched: name the one that it is in");
        }
        if (id < 0) return no_watch(root);
        root_watches_.insert(id);
        TRY(watch_below(root));
    }
    return {};
}

// First the watch, then the look at what is there: a subdirectory that appears in between is seen by both, and never by none.
Result<void> TreeWatch::watch_below(std::string const& top) {
    std::vector<std::string> left{top};
    while (!left.empty()) {
        auto const directory = std::move(left.back());
        left.pop_back();
        bool const is_root = std::ranges::find(roots_, directory) != roots_.end();
        int const id = ::inotify_add_watch(inotify_.get(), directory.c_str(), kHeard | (is_root ? 0 : IN_DONT_FOLLOW));
        if (id < 0) {
            // Gone again, replaced by something else, or not ours to read.
            if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == EACCES) continue;
            return no_watch(directory);
        }
        watched_[id] = directory;  // one that was moved is known by its old name until now
        std::error_code error;
        for (fs::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
            std::error_code ignored;
            if (at->is_symlink(ignored) || !at->is_directory(ignored)) continue;
            if (!skip_ || !skip_(at->path().native())) left.push_back(at->path().native());
        }
    }
    return {};
}

Result<bool> TreeWatch::wait(Duration at_most, std::stop_token stop) {
    Fd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake) return fail(errno_error("watch files", errno));
    std::stop_callback const on_stop(stop, [&] { (void)::eventfd_write(wake.get(), 1); });
    auto const milliseconds = std::chrono::ceil<std::chrono::milliseconds>(std::clamp(at_most, Duration(0), Duration(std::chrono::hours(1))));
    std::array<pollfd, 2> ready{{{inotify_.get(), POLLIN, 0}, {wake.get(), POLLIN, 0}}};
    if (::poll(ready.data(), ready.size(), static_cast<int>(milliseconds.count())) < 0 && errno != EINTR)
        return fail(errno_error("watch files", errno));
    return drain();
}

Result<bool> TreeWatch::drain() {
    alignas(inotify_event) std::array<char, kEventBytes> events;
    bool changed = false;
    for (;;) {
        auto const bytes = ::read(inotify_.get(), events.data(), events.size());
        if (bytes < 0 && errno == EINTR) continue;
        if (bytes < 0 && errno == EAGAIN) return changed;
        if (bytes < 0) return fail(errno_error("watch files", errno));
        for (std::size_t at = 0; at < static_cast<std::size_t>(bytes);) {
            inotify_event event;
            std::memcpy(&event, events.data() + at, sizeof event);
            // Padded with zeros to its length.
            auto const name = event.len > 0 ? std::string(events.data() + at + sizeof event) : std::string();
            at += sizeof event + event.len;
            changed = true;
            if (event.mask & IN_Q_OVERFLOW) {
                // Directories may be among what was lost.
                TRY(watch_roots());
                continue;
            }
            auto const found = watched_.find(event.wd);
            if (found == watched_.end()) continue;
            if (root_watches_.contains(event.wd) && (event.mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED))) {
                return fail(ErrorKind::not_found, fmt::format("watch '{}': it is not there any more", printable(found->second)));
            }
            if (event.mask & IN_IGNORED) {
                watched_.erase(found);
            } else if (!name.empty() && (event.mask & IN_ISDIR) && (event.mask & (IN_CREATE | IN_MOVED_TO))) {
                auto const directory = found->second + "/" + name;
                if (!skip_ || !skip_(directory)) TRY(watch_below(directory));
            }
        }
    }
}

}  // namespace holdfast
