#include "os/signals.h"

#include <csignal>
#include <functional>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include "os/clock.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;

// Signals are for whole processes: each test runs in one of its own. Returns its exit code.
int in_a_process(std::function<int()> const& body) {
    pid_t pid = fork();
    if (pid == 0) {
        alarm(10);
        _exit(body());
    }
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

TEST(Signals, FirstOneAsksToStop) {
    for (int number : {SIGINT, SIGTERM, SIGHUP}) {
        EXPECT_EQ(0, in_a_process([&] {
                      signal(number, SIG_DFL);
                      StopOnSignals stop;
                      if (stop.token().stop_requested() || stop.signal() != 0)
                          return 1;
                      kill(getpid(), number);
                      system_clock().sleep(5s, stop.token());
                      return stop.token().stop_requested() && stop.signal() == number ? 0 : 2;
                  }));
    }
}

TEST(Signals, SecondOneEndsAtOnceEvenWhenACallbackHangs) {
    EXPECT_EQ(130, in_a_process([] {
                  signal(SIGINT, SIG_DFL);
                  StopOnSignals stop;
                  std::stop_callback hang(stop.token(), [] { pause(); });
                  kill(getpid(), SIGINT);
                  while (stop.signal() == 0)
                      system_clock().sleep(1ms, {});
                  system_clock().sleep(50ms, {});
                  kill(getpid(), SIGINT);
                  system_clock().sleep(5s, {});
                  return 1;
              }));
}

TEST(Signals, IgnoredOnesStayIgnored) {
    EXPECT_EQ(0, in_a_process([] {
                  signal(SIGHUP, SIG_IGN);  // as nohup does it
                  StopOnSignals stop;
                  kill(getpid(), SIGHUP);
                  return system_clock().sleep(100ms, stop.token()) ? 0 : 1;
              }));
}

TEST(Signals, WritingToAClosedPipeIsAnErrorAndNotTheEnd) {
    EXPECT_EQ(0, in_a_process([] {
                  signal(SIGPIPE, SIG_DFL);
                  StopOnSignals stop;
                  int ends[2];
                  if (pipe(ends) != 0)
                      return 1;
                  close(ends[0]);
                  return write(ends[1], "x", 1) == -1 && errno == EPIPE ? 0 : 2;
              }));
}

TEST(Signals, AreAsBeforeWhenItIsGone) {
    EXPECT_EQ(1000 + SIGTERM, in_a_process([] {
                  signal(SIGTERM, SIG_DFL);
                  { StopOnSignals stop; }
                  kill(getpid(), SIGTERM);
                  return 0;
              }));
}

}  // namespace
}  // namespace holdfast
