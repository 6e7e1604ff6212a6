#define FUSE_USE_VERSION 314
#include "mount/fuse_mount.h"

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdlib>
#include <fcntl.h>
#include <fmt/format.h>
#include <fuse_lowlevel.h>
#include <mutex>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "base/text.h"
#include "os/fd.h"
#include "os/process.h"

namespace holdfast {
namespace {

// libfuse says why it failed on its log alone.
std::mutex log_mutex;
std::string log_text;
void keep_log(fuse_log_level level, char const* format, va_list arguments) {
    if (level > FUSE_LOG_WARNING) return;
    char line[512];
    std::vsnprintf(line, sizeof line, format, arguments);
    std::lock_guard lock(log_mutex);
    log_text = line;
    while (log_text.ends_with('\n')) log_text.pop_back();
}
std::string last_log() {
    std::lock_guard lock(log_mutex);
    return log_text;
}

Result<void> check_directory(std::filesystem::path const& at) {
    if (is_dead_mount(at)) {
        return fail(ErrorKind::unsafe, fmt::format("'{}' is a mount whose process is gone", printable(at.native())),
                    fmt::format("fusermount3 -u {}", printable(at.native())));
    }
    struct stat status {};
    if (::stat(at.c_str(), &status) != 0) {
        return fail(errno_error(fmt::format("mount at '{}'", printable(at.native())), errno));
    }
    if (!S_ISDIR(status.st_mode)) {
        return fail(ErrorKind::usage, fmt::format("'{}' is not a directory", printable(at.native())));
    }
    return {};
}

// umount(2) for root, fusermount3 for others. False: somebody uses it.
Result<bool> unmount_if_unused(std::filesystem::path const& at, std::stop_token stop) {
    if (::geteuid() == 0) {
        if (::umount2(at.c_str(), UMOUNT_NOFOLLOW) == 0) return true;
        if (errno == EBUSY) return false;
        return fail(errno_error(fmt::format("unmount '{}'", printable(at.native())), errno));
    }
    auto result = TRY(run({.argv = {"fusermount3", "-u", at}, .environment = {{"LC_ALL", "C"}}}, stop));
    if (result.success()) return true;
    if (result.err.find("busy") != std::string::npos) return false;
    return fail(ErrorKind::io, fmt::format("unmount '{}': {}", printable(at.native()), printable(result.err)));
}

}  // namespace

bool is_dead_mount(std::filesystem::path const& at) {
    // The kernel may still know what stat() wants to know; a directory that is opened is asked for.
    Fd directory(::open(at.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return !directory && errno == ENOTCONN;
}

struct FuseMount::Impl {
    Impl(fuse_session* session, std::filesystem::path at, unsigned threads)
        : session(session), at(std::move(at)), threads(threads), end(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
    ~Impl() {
        if (mounted) fuse_session_unmount(session);
        fuse_session_destroy(session);
    }

    // One of several threads that answer.
    void work() {
        fuse_buf buffer{};
        pollfd polled[] = {{fuse_session_fd(session), POLLIN, 0}, {end.get(), POLLIN, 0}};
        while (!fuse_session_exited(session)) {
            if (::poll(polled, 2, -1) < 0 && errno != EINTR) break;
            if (polled[1].revents != 0) break;
            if (polled[0].revents == 0) continue;
            auto got = fuse_session_receive_buf(session, &buffer);
            // Another thread was quicker, or who asked was interrupted before we had read what.
            if (got == -EINTR || got == -EAGAIN || got == -ENOENT) continue;
            if (got < 0) failure = static_cast<int>(-got);
            if (got <= 0) break;  // unmounted
            fuse_session_process_buf(session, &buffer);
        }
        std::free(buffer.mem);  // libfuse's own malloc
        eventfd_write(end.get(), 1);  // what ended one ends all
    }

    fuse_session* session;
    std::filesystem::path const at;
    unsigned const threads;
    Fd end;  // readable: stop answering
    std::atomic<int> failure = 0;  // why requests could not be read
    bool mounted = false;
};

FuseMount::FuseMount(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
FuseMount::~FuseMount() = default;

Result<std::unique_ptr<FuseMount>> FuseMount::mount(fuse_lowlevel_ops const& operations, void* data,
                                                    std::filesystem::path const& at, Options const& options) {
    TRY(check_directory(at));
    auto context = fmt::format("mount at '{}'", printable(at.native()));
    fuse_set_log_func(keep_log);
    char const* words[] = {"holdfast", "-o", options.settings.c_str()};
    fuse_args arguments = FUSE_ARGS_INIT(3, const_cast<char**>(words));
    auto* session = fuse_session_new(&arguments, &operations, sizeof operations, data);
    fuse_opt_free_args(&arguments);
    if (session == nullptr) return fail(ErrorKind::io, context + ": " + last_log());
    auto impl = std::make_unique<Impl>(session, std::filesystem::absolute(at), options.threads);
    if (fuse_session_mount(session, at.c_str()) != 0) {
        return fail(ErrorKind::io, context + ": " + last_log(),
                    "it takes /dev/fuse and, for others than root, fusermount3 (package fuse3)");
    }
    impl->mounted = true;
    auto fd = fuse_session_fd(session);
    // Threads wait in poll(): the one that comes second to a request must not hang in read().
    if (::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK) != 0) {
        return fail(errno_error(context, errno));
    }
    return std::unique_ptr<FuseMount>(new FuseMount(std::move(impl)));
}

Result<void> FuseMount::serve(std::stop_token stop) {
    std::stop_callback on_stop(stop, [this] { eventfd_write(impl_->end.get(), 1); });
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i < impl_->threads; ++i) threads.emplace_back([this] { impl_->work(); });
    threads.clear();  // joined
    if (impl_->failure != 0)
        return fail(errno_error(fmt::format("answer for '{}'", printable(impl_->at.native())), impl_->failure));
    return {};
}

Result<bool> FuseMount::unmount_unused(std::stop_token stop) { return unmount_if_unused(impl_->at, std::move(stop)); }

Result<void> remove_dead_mount(std::filesystem::path const& at, std::stop_token stop) {
    bool gone = TRY(unmount_if_unused(at, std::move(stop)));
    if (gone) return {};
    return fail(ErrorKind::unsafe,
                fmt::format("programs still have files open in '{}', a mount whose process is gone", printable(at.native())),
                "stop them (fuser -m names them), then say it again");
}

}  // namespace holdfast
