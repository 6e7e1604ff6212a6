#include "os/signals.h"

#include <cassert>
#include <csignal>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>

namespace holdfast {
namespace {

constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP};

bool is_ignored(int signal) {
    struct sigaction action {};
    sigaction(signal, nullptr, &action);
    return action.sa_handler == SIG_IGN;
}

extern "C" void end_at_once(int signal) {
    _exit(128 + signal);
}

}  // namespace

StopOnSignals::StopOnSignals() {
    std::signal(SIGPIPE, SIG_IGN);
    sigemptyset(&signals_);
    for (int signal : kSignals) {
        if (!is_ignored(signal))
            sigaddset(&signals_, signal);
    }
    pthread_sigmask(SIG_BLOCK, &signals_, &mask_before_);
    signal_fd_ = Fd(signalfd(-1, &signals_, SFD_CLOEXEC | SFD_NONBLOCK));
    end_event_ = Fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    assert(signal_fd_ && end_event_);
    thread_ = std::jthread([this] { wait_for_signals(); });
}

StopOnSignals::~StopOnSignals() {
    eventfd_write(end_event_.get(), 1);
    thread_.join();
    for (int signal : kSignals) {
        if (sigismember(&signals_, signal))
            std::signal(signal, SIG_DFL);
    }
    pthread_sigmask(SIG_SETMASK, &mask_before_, nullptr);
}

void StopOnSignals::wait_for_signals() {
    while (true) {
        // After the first signal only the end is waited for: descriptor -1 is ignored by poll.
        pollfd polled[] = {{signal_ ? -1 : signal_fd_.get(), POLLIN, 0},
                           {end_event_.get(), POLLIN, 0}};
        if (poll(polled, 2, -1) < 0)
            continue;  // EINTR
        if (polled[1].revents)
            return;
        signalfd_siginfo info{};
        if (read(signal_fd_.get(), &info, sizeof info) != static_cast<ssize_t>(sizeof info))
            continue;
        signal_ = static_cast<int>(info.ssi_signo);

        // From here on a signal reaches a handler in this thread, at any instant: also when a
        // callback of the request below hangs.
        for (int signal : kSignals) {
            if (sigismember(&signals_, signal))
                std::signal(signal, end_at_once);
        }
        pthread_sigmask(SIG_UNBLOCK, &signals_, nullptr);
        source_.request_stop();
    }
}

}  // namespace holdfast
