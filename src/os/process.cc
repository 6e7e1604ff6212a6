#include "os/process.h"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <csignal>
#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/text.h"
#include "os/clock.h"
#include "os/process_spawn.h"
#include "os/run_into.h"

namespace holdfast {
namespace {

using process::Pipe;
using process::Spawned;

// One run: feeds the program, reads from it, and waits for its end, all in one poll loop.
class Run {
  public:
    // `output` may be null: then what the program writes is kept.
    Run(Command const& command, OutputSink const* output, std::stop_token stop)
        : command_(command), output_(output), stop_(std::move(stop)) {}

    Result<ProcessResult> go() {
        stop_event_ = Fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
        if (!stop_event_)
            return fail(errno_error("eventfd", errno));
        TRY(start());
        // Wakes the loop. The token is asked again each time around.
        std::stop_callback wake(stop_, [this] { eventfd_write(stop_event_.get(), 1); });
        while (step()) {
        }
        return finish();
    }

  private:
    Result<void> start() {
        // A socket and not a pipe: a program that does not read its input must not raise SIGPIPE in
        // us.
        int ends[2];
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
            return fail(errno_error("make a socket pair", errno));
        }
        input_ = Fd(ends[0]);
        Fd child_input(ends[1]);
        shutdown(child_input.get(), SHUT_WR);
        Pipe out = TRY(process::make_pipe());
        Pipe err = TRY(process::make_pipe());
        out_ = std::move(out.read);
        err_ = std::move(err.read);
        process::set_nonblocking(out_);
        process::set_nonblocking(err_);
        if (command_.timeout)
            deadline_ = system_clock().elapsed() + *command_.timeout;
        child_ = TRY(process::spawn(command_, {.input = std::move(child_input),
                                               .output = std::move(out.write),
                                               .error = std::move(err.write),
                                               .death_signal = SIGKILL}));
        return {};
    }

    // One turn of the loop; false when there is nothing left to wait for.
    bool step() {
        if (input_ && input_at_ == command_.input.size())
            input_.reset();
        if (!stopping_ && stop_.stop_requested())
            begin_stop();
        auto now = system_clock().elapsed();
        if (!stopping_ && deadline_ && now >= *deadline_) {
            result_.timed_out = true;
            begin_stop();
        }
        if (stopping_ && now >= kill_at_) {
            kill(-child_.pid, SIGKILL);
            if (ended_)
                return false;
            killed_ = true;
        }

        // The descriptor -1 is ignored by poll.
        pollfd polled[] = {
            {input_.get(), POLLOUT, 0},
            {out_.get(), POLLIN, 0},
            {err_.get(), POLLIN, 0},
            {ended_ ? -1 : child_.handle.get(), POLLIN, 0},
            {stopping_ ? -1 : stop_event_.get(), POLLIN, 0},
        };
        if (poll(polled, std::size(polled), timeout_ms(now)) < 0)
            return true;  // EINTR
        if (polled[0].revents)
            write_input();
        if (polled[3].revents)
            ended_ = true;
        // When the program has ended, all that it wrote is in the pipes: reading until they are
        // empty gets it, and does not wait for what it left behind.
        if (ended_ || polled[1].revents)
            drain(out_, result_.out, result_.out_truncated);
        if (ended_ || polled[2].revents)
            drain(err_, result_.err, result_.err_truncated);
        if (!ended_)
            return true;
        // While stopping, whoever of the group still holds a pipe gets the rest of the grace.
        return stopping_ && !killed_ && (out_ || err_);
    }

    void begin_stop() {
        stopping_ = true;
        kill(-child_.pid, SIGTERM);
        kill_at_ = system_clock().elapsed() + command_.grace;
    }

    int timeout_ms(Duration now) const {
        if (killed_)
            return -1;
        auto until = stopping_ ? std::optional(kill_at_) : deadline_;
        if (!until)
            return -1;
        auto left = std::chrono::ceil<std::chrono::milliseconds>(*until - now).count();
        return static_cast<int>(std::clamp<std::int64_t>(left, 0, 1 << 30));
    }

    void write_input() {
        auto size = std::min<std::size_t>(command_.input.size() - input_at_, 1 << 20);
        auto sent = send(input_.get(), command_.input.data() + input_at_, size,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0) {
            input_at_ += static_cast<std::size_t>(sent);
        } else if (errno != EINTR && errno != EAGAIN) {
            input_.reset();  // the program does not want it
        }
    }

    // What comes after a failure is read and dropped: the program must see its signal, not a full pipe.
    void give(ByteView piece) {
        if (refused_)
            return;
        auto taken = (*output_)(piece);
        if (taken)
            return;
        refused_ = std::move(taken).error();
        if (!stopping_)
            begin_stop();
    }

    void drain(Fd& from, std::string& to, bool& truncated) {
        char buffer[64 * 1024];
        while (from) {
            auto size = read(from.get(), buffer, sizeof buffer);
            if (size < 0 && errno == EINTR)
                continue;
            if (size < 0 && errno == EAGAIN)
                return;
            if (size <= 0) {
                from.reset();
                return;
            }
            auto got = static_cast<std::size_t>(size);
            if (output_ && &to == &result_.out) {
                give(as_bytes({buffer, got}));
                if (!ended_)
                    return;
                continue;
            }
            auto kept = std::min(got, command_.output_bytes_max - to.size());
            to.append(buffer, kept);
            if (kept < got)
                truncated = true;
            // A program that writes without end must not keep us from seeing the timeout.
            if (!ended_)
                return;
        }
    }

    Result<ProcessResult> finish() {
        // Before it is reaped, its number cannot belong to anybody else.
        if (stopping_)
            kill(-child_.pid, SIGKILL);
        process::reap(child_.pid, result_);
        if (refused_)
            return fail(std::move(*refused_));
        if (stopping_ && !result_.timed_out) {
            return fail(ErrorKind::cancelled,
                        fmt::format("program '{}': stopped", printable(command_.argv[0])));
        }
        return std::move(result_);
    }

    Command const& command_;
    OutputSink const* output_;
    std::optional<Error> refused_;  // what `output_` failed with
    std::stop_token stop_;
    Fd stop_event_;
    Fd input_;
    std::size_t input_at_ = 0;
    Fd out_;
    Fd err_;
    Spawned child_{};
    std::optional<Duration> deadline_;
    bool ended_ = false;
    bool stopping_ = false;
    bool killed_ = false;
    Duration kill_at_{};
    ProcessResult result_;
};

// The last lines of what a program wrote to standard error, on one line.
std::string last_words(std::string_view err) {
    constexpr std::size_t kCharactersMax = 400;
    while (!err.empty() && (err.back() == '\n' || err.back() == ' '))
        err.remove_suffix(1);
    if (err.size() > kCharactersMax)
        err.remove_prefix(err.size() - kCharactersMax);
    std::vector<std::string> lines = split(err, '\n');
    return printable(join(lines, "; "));
}

}  // namespace

Result<ProcessResult> run(Command const& command, std::stop_token stop) {
    assert(!command.argv.empty());
    return Run(command, nullptr, std::move(stop)).go();
}

Result<ProcessResult> run_into(OutputSink const& output, Command const& command, std::stop_token stop) {
    assert(!command.argv.empty());
    return Run(command, &output, std::move(stop)).go();
}

Error failure_of(Command const& command, ProcessResult const& result) {
    assert(!result.success());
    auto program = fmt::format("program '{}'", printable(command.argv[0]));
    std::string what;
    if (result.timed_out) {
        what = "did not end in time";
    } else if (result.signal) {
        what = fmt::format("ended by signal {} ({})", result.signal, strsignal(result.signal));
    } else {
        what = fmt::format("exit code {}", result.exit_code);
    }
    auto words = last_words(result.err);
    return {ErrorKind::io,
            fmt::format("{}: {}{}{}", program, what, words.empty() ? "" : ": ", words),
            {}};
}

Result<ProcessResult> run_checked(Command const& command, std::stop_token stop) {
    auto result = TRY(run(command, std::move(stop)));
    if (!result.success())
        return fail(failure_of(command, result));
    return result;
}

}  // namespace holdfast
