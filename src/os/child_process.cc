#include "os/child_process.h"

#include <cassert>
#include <cerrno>
#include <condition_variable>
#include <fcntl.h>
#include <fmt/format.h>
#include <mutex>
#include <poll.h>
#include <sys/socket.h>
#include <thread>

#include "base/text.h"
#include "os/process_spawn.h"

namespace holdfast {

// A thread of its own starts the program, reads what it writes, and reaps it. It lives as long as
// the program, which matters: the death signal is sent when the *thread* that forked ends.
struct ChildProcess::State {
    Command command;
    ChildOptions options;

    mutable std::mutex mutex;
    std::condition_variable_any changed;
    bool started = false;  // the attempt was made: pid or error is set
    std::optional<Error> error;
    pid_t pid = -1;
    std::optional<ProcessResult> ended;  // set under the lock together with reaping
    std::string tail;

    std::jthread keeper;  // last: joined first

    void keep();
    Result<process::Spawned> spawn(Fd& input, Fd& output);
    void serve(process::Spawned const& child, Fd input, Fd output);
    void read_output(Fd& output);
};

namespace {

void write_input(Fd& input, ByteView& rest) {
    auto sent = send(input.get(), rest.data(), rest.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
        rest = rest.subspan(static_cast<std::size_t>(sent));
    } else if (errno != EINTR && errno != EAGAIN) {
        rest = {};
    }
    if (rest.empty())
        input.reset();
}

}  // namespace

Result<process::Spawned> ChildProcess::State::spawn(Fd& input, Fd& output) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        return fail(errno_error("make a socket pair", errno));
    }
    input = Fd(ends[0]);
    Fd child_input(ends[1]);
    shutdown(child_input.get(), SHUT_WR);
    Fd child_output;
    if (options.output_path.empty()) {
        auto pipe = TRY(process::make_pipe());
        output = std::move(pipe.read);
        child_output = std::move(pipe.write);
        process::set_nonblocking(output);
    } else {
        child_output = Fd(open(options.output_path.c_str(),
                               O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0600));
        if (!child_output) {
            return fail(
                errno_error(fmt::format("open '{}'", printable(options.output_path)), errno));
        }
    }
    Fd child_error(fcntl(child_output.get(), F_DUPFD_CLOEXEC, 3));
    if (!child_error)
        return fail(errno_error("copy a descriptor", errno));
    return process::spawn(command, {.input = std::move(child_input),
                                    .output = std::move(child_output),
                                    .error = std::move(child_error),
                                    .death_signal = options.death_signal});
}

void ChildProcess::State::keep() {
    Fd input;
    Fd output;
    auto child = spawn(input, output);
    {
        std::lock_guard lock(mutex);
        started = true;
        if (child) {
            pid = child->pid;
        } else {
            error = std::move(child).error();
        }
    }
    changed.notify_all();
    if (child)
        serve(*child, std::move(input), std::move(output));
}

void ChildProcess::State::serve(process::Spawned const& child, Fd input, Fd output) {
    ByteView rest = command.input;
    if (rest.empty())
        input.reset();
    while (true) {
        pollfd polled[] = {
            {input.get(), POLLOUT, 0}, {output.get(), POLLIN, 0}, {child.handle.get(), POLLIN, 0}};
        if (poll(polled, std::size(polled), -1) < 0)
            continue;  // EINTR
        if (polled[0].revents)
            write_input(input, rest);
        if (polled[1].revents || polled[2].revents)
            read_output(output);
        if (polled[2].revents)
            break;
    }
    std::lock_guard lock(mutex);
    ProcessResult result;
    process::reap(child.pid, result);
    ended = result;
    changed.notify_all();
}

void ChildProcess::State::read_output(Fd& output) {
    char buffer[64 * 1024];
    // At most this much at a time, so that the end of the program is seen while others write.
    for (int turn = 0; output && turn < 64; ++turn) {
        auto size = read(output.get(), buffer, sizeof buffer);
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0 && errno == EAGAIN)
            return;
        if (size <= 0) {
            output.reset();
            return;
        }
        std::lock_guard lock(mutex);
        tail.append(buffer, static_cast<std::size_t>(size));
        if (tail.size() > options.output_tail_bytes) {
            tail.erase(0, tail.size() - options.output_tail_bytes);
        }
    }
}

ChildProcess::ChildProcess() : state_(std::make_unique<State>()) {}

Result<std::unique_ptr<ChildProcess>> ChildProcess::start(Command command, ChildOptions options) {
    assert(!command.argv.empty() && !command.timeout);
    std::unique_ptr<ChildProcess> child(new ChildProcess());
    auto& state = *child->state_;
    state.command = std::move(command);
    state.options = std::move(options);
    state.keeper = std::jthread([&state] { state.keep(); });
    std::unique_lock lock(state.mutex);
    state.changed.wait(lock, [&] { return state.started; });
    if (state.error)
        return fail(*state.error);
    lock.unlock();
    return child;
}

ChildProcess::~ChildProcess() {
    if (pid() > 0)
        terminate(state_->options.stop_signal, state_->options.stop_grace);
}

pid_t ChildProcess::pid() const {
    std::lock_guard lock(state_->mutex);
    return state_->pid;
}

std::optional<ProcessResult> ChildProcess::wait(Duration timeout, std::stop_token stop) {
    std::unique_lock lock(state_->mutex);
    state_->changed.wait_for(lock, stop, timeout, [&] { return state_->ended.has_value(); });
    return state_->ended;
}

void ChildProcess::send_signal(int signal) {
    // Under the lock it cannot be reaped, so that the number cannot belong to anybody else.
    std::lock_guard lock(state_->mutex);
    if (!state_->ended)
        kill(state_->pid, signal);
}

ProcessResult ChildProcess::terminate(int signal, Duration grace) {
    send_signal(signal);
    if (auto ended = wait(grace))
        return *ended;
    {
        std::lock_guard lock(state_->mutex);
        if (!state_->ended)
            kill(-state_->pid, SIGKILL);
    }
    std::unique_lock lock(state_->mutex);
    state_->changed.wait(lock, [&] { return state_->ended.has_value(); });
    return *state_->ended;
}

std::string ChildProcess::output_tail() const {
    std::lock_guard lock(state_->mutex);
    return state_->tail;
}

}  // namespace holdfast
