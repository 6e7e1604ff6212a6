#include "os/process.h"

#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <thread>

#include "os/child_process.h"
#include "os/clock.h"
#include "os/process_spawn.h"
#include "os/run_into.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

Command shell(std::string script) {
    return {.argv = {"sh", "-c", std::move(script)}};
}

bool is_alive(pid_t pid) {
    // A zombie that waits for its reaper is not alive.
    std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
    std::string text;
    std::getline(stat, text);
    auto at = text.rfind(") ");
    return at != std::string::npos && text[at + 2] != 'Z';
}

bool ends_within(pid_t pid, Duration duration) {
    auto until = system_clock().elapsed() + duration;
    while (is_alive(pid)) {
        if (system_clock().elapsed() > until)
            return false;
        system_clock().sleep(10ms, {});
    }
    return true;
}

TEST(Process, ReturnsExitCodeAndBothStreams) {
    auto result = run(shell("echo out; echo err >&2; exit 7"), {});
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_EQ(result->exit_code, 7);
    EXPECT_EQ(result->signal, 0);
    EXPECT_EQ(result->out, "out\n");
    EXPECT_EQ(result->err, "err\n");
    EXPECT_FALSE(result->timed_out);
}

TEST(Process, GivesOutputAwayAsItComes) {
    std::uint64_t bytes = 0;
    auto take = [&](ByteView piece) -> Result<void> {
        bytes += piece.size();
        return {};
    };
    auto result = run_into(take, shell("head -c 3000000 /dev/zero; echo err >&2; exit 7"), {});
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_EQ(bytes, 3'000'000u);
    EXPECT_EQ(result->exit_code, 7);
    EXPECT_EQ(result->err, "err\n");
    EXPECT_EQ(result->out, "");
    EXPECT_FALSE(result->out_truncated);
}

TEST(Process, StopsAProgramWhoseOutputNobodyTakes) {
    auto refuse = [](ByteView) -> Result<void> { return fail(ErrorKind::no_space, "full"); };
    auto result = run_into(refuse, shell("echo $$; exec yes"), {});
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().kind, ErrorKind::no_space);
    EXPECT_EQ(result.error().message, "full");
}

TEST(Process, SaysWhichSignalEndedIt) {
    auto result = run(shell("kill -SEGV $$"), {});
    ASSERT_TRUE(result);
    EXPECT_EQ(result->signal, SIGSEGV);
    EXPECT_EQ(result->exit_code, 128 + SIGSEGV);
}

TEST(Process, ArgumentsAreNotSeenByAShell) {
    auto result = run({.argv = {"printf", "%s|", "a b", "$HOME", "'", ""}}, {});
    ASSERT_TRUE(result);
    EXPECT_EQ(result->out, "a b|$HOME|'||");
}

TEST(Process, MissingProgramIsNotFound) {
    auto result = run({.argv = {"holdfast-no-such-program"}}, {});
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().kind, ErrorKind::not_found);
    EXPECT_THAT(result.error().message, HasSubstr("program 'holdfast-no-such-program'"));
    EXPECT_FALSE(result.error().hint.empty());
}

TEST(Process, MissingDirectoryIsNamed) {
    auto result = run({.argv = {"true"}, .directory = "/no/such/place"}, {});
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().kind, ErrorKind::not_found);
    EXPECT_THAT(result.error().message, HasSubstr("/no/such/place"));
}

TEST(Process, ProgramThatMayNotBeExecutedIsAnError) {
    auto path = std::filesystem::temp_directory_path() / ("plain-" + std::to_string(getpid()));
    std::ofstream(path) << "#!/bin/sh\n";
    auto result = run({.argv = {path.string()}}, {});
    std::filesystem::remove(path);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().kind, ErrorKind::io);
    EXPECT_THAT(result.error().message, HasSubstr("Permission denied"));
}

TEST(Process, RefusesArgumentsThatWouldBeCut) {
    auto result = run({.argv = {"echo", std::string("a\0b", 3)}}, {});
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().kind, ErrorKind::usage);
}

TEST(Process, MegabytesOfInputComeBack) {
    Bytes input(5 << 20);
    for (std::size_t i = 0; i < input.size(); ++i)
        input[i] = static_cast<std::uint8_t>(i * 31);
    auto result = run({.argv = {"cat"}, .input = input}, {});
    ASSERT_TRUE(result);
    EXPECT_EQ(to_bytes(result->out), input);
}

TEST(Process, InputThatIsNotReadIsNoFailure) {
    auto result = run({.argv = {"true"}, .input = Bytes(4 << 20)}, {});
    ASSERT_TRUE(result);
    EXPECT_TRUE(result->success());
}

TEST(Process, KeepsOnlySoMuchOutput) {
    auto result = run(
        {.argv = {"sh", "-c", "head -c 1000000 /dev/zero; echo end >&2"}, .output_bytes_max = 1000},
        {});
    ASSERT_TRUE(result);
    EXPECT_EQ(result->out.size(), 1000U);
    EXPECT_TRUE(result->out_truncated);
    EXPECT_EQ(result->err, "end\n");
    EXPECT_FALSE(result->err_truncated);
}

TEST(Process, EnvironmentIsAddedAndRemovedAndNeverHoldsThePassword) {
    setenv("HOLDFAST_PASSWORD", "secret", 1);
    setenv("HOLDFAST_TEST_GONE", "1", 1);
    setenv("HOLDFAST_TEST_KEPT", "2", 1);
    auto result = run({.argv = {"env"},
                       .environment = {{"HOLDFAST_TEST_NEW", "3"}, {"HOLDFAST_PASSWORD", "also"}},
                       .environment_removed = {"HOLDFAST_TEST_GONE"}},
                      {});
    unsetenv("HOLDFAST_PASSWORD");
    ASSERT_TRUE(result);
    EXPECT_THAT(result->out, Not(HasSubstr("HOLDFAST_PASSWORD")));
    EXPECT_THAT(result->out, Not(HasSubstr("HOLDFAST_TEST_GONE")));
    EXPECT_THAT(result->out, HasSubstr("HOLDFAST_TEST_KEPT=2\n"));
    EXPECT_THAT(result->out, HasSubstr("HOLDFAST_TEST_NEW=3\n"));
}

TEST(Process, InheritsNoDescriptorsSignalsOrMask) {
    int leaked = open("/etc/hostname", O_RDONLY);  // not close-on-exec, as libraries do it
    signal(SIGPIPE, SIG_IGN);
    sigset_t blocked;
    sigset_t before;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &blocked, &before);
    auto result = run(shell("ls /proc/$$/fd"), {});
    // Not by a shell: some of them reset their own mask.
    auto signals = run({.argv = {"grep", "-E", "Sig(Blk|Ign)", "/proc/self/status"}}, {});
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    signal(SIGPIPE, SIG_DFL);
    close(leaked);
    ASSERT_TRUE(result);
    EXPECT_EQ(result->out, "0\n1\n2\n");
    ASSERT_TRUE(signals);
    EXPECT_EQ(signals->out, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

TEST(Process, WorksWhenOurStandardStreamsAreClosed) {
    pid_t pid = fork();
    if (pid == 0) {
        close(0);
        close(1);
        close(2);
        auto result = run({.argv = {"sh", "-c", "cat; echo err >&2"}, .input = to_bytes("in")}, {});
        _exit(result && result->out == "in" && result->err == "err\n" ? 0 : 1);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    EXPECT_EQ(status, 0);
}

TEST(Process, AStreamThatLiesAtAStandardNumberArrives) {
    pid_t pid = fork();
    if (pid == 0) {
        close(0);
        process::Spawn streams{.input = Fd(open("/etc/hostname", O_RDONLY | O_CLOEXEC)),
                               .output = Fd(open("/dev/null", O_WRONLY | O_CLOEXEC)),
                               .error = Fd(open("/dev/null", O_WRONLY | O_CLOEXEC)),
                               .death_signal = 0};
        if (streams.input.get() != 0)
            _exit(2);
        auto child = process::spawn({.argv = {"cat"}}, std::move(streams));
        if (!child)
            _exit(3);
        ProcessResult result;
        process::reap(child->pid, result);
        _exit(result.exit_code);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    EXPECT_EQ(status, 0);
}

TEST(Process, RunsInTheDirectory) {
    auto result = run({.argv = {"pwd"}, .directory = "/usr"}, {});
    ASSERT_TRUE(result);
    EXPECT_EQ(result->out, "/usr\n");
}

TEST(Process, RunsAsAnotherUserWithItsGroups) {
    if (geteuid() != 0)
        GTEST_SKIP() << "needs root";
    auto user = lookup_user("nobody");
    ASSERT_TRUE(user);
    Command command{.argv = {"sh", "-c", "id -un; id -Gn; echo $HOME"}, .user = *user};
    // Not with the groups that we happen to have: in a process of its own, which changes them.
    pid_t pid = fork();
    if (pid == 0) {
        gid_t ours[] = {0, 4};
        if (setgroups(2, ours) != 0)
            _exit(2);
        auto result = run(command, {});
        _exit(result && result->out == "nobody\nnogroup\n" + user->home + "\n" ? 0 : 1);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    EXPECT_EQ(status, 0);
}

TEST(Process, BecomingAnotherUserNeedsTheRight) {
    if (geteuid() != 0)
        GTEST_SKIP() << "needs root";
    auto nobody = lookup_user("nobody");
    auto root = lookup_user("root");
    pid_t pid = fork();
    if (pid == 0) {
        if (setuid(nobody->uid) != 0)
            _exit(2);
        auto result = run({.argv = {"true"}, .user = *root}, {});
        bool named =
            !result && result.error().message.find("become user 'root'") != std::string::npos;
        _exit(named ? 0 : 1);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    EXPECT_EQ(status, 0);
}

TEST(Process, TimeoutStopsTheWholeGroup) {
    auto command = shell("sleep 1000 & echo $!; wait");
    command.timeout = 1500ms;
    command.grace = 60s;
    auto start = system_clock().elapsed();
    auto result = run(command, {});
    ASSERT_TRUE(result);
    EXPECT_TRUE(result->timed_out);
    EXPECT_FALSE(result->success());
    EXPECT_LT(system_clock().elapsed() - start, 30s);
    ASSERT_FALSE(result->out.empty());
    EXPECT_TRUE(ends_within(std::stoi(result->out), 10s));
}

TEST(Process, KillsWhatIgnoresTheRequest) {
    auto command = shell("trap '' TERM; echo $$; while :; do sleep 0.05; done");
    command.timeout = 1500ms;  // the shell must have come to its trap
    command.grace = 200ms;
    auto result = run(command, {});
    ASSERT_TRUE(result);
    EXPECT_TRUE(result->timed_out);
    EXPECT_EQ(result->signal, SIGKILL);
}

TEST(Process, MembersOfTheGroupGetTheRestOfTheGrace) {
    auto path = std::filesystem::temp_directory_path() / ("grace-" + std::to_string(getpid()));
    auto command = shell("(trap 'sleep 0.3; touch " + path.string() +
                         "; exit' TERM; while :; do sleep 0.02; done) & exec sleep 1000");
    command.timeout = 1500ms;
    command.grace = 60s;
    auto result = run(command, {});
    ASSERT_TRUE(result);
    EXPECT_TRUE(std::filesystem::exists(path));
    std::filesystem::remove(path);
}

TEST(Process, StopTokenCancels) {
    std::stop_source source;
    std::jthread later([&] {
        system_clock().sleep(100ms, {});
        source.request_stop();
    });
    auto start = system_clock().elapsed();
    auto result = run(shell("sleep 1000"), source.get_token());
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().kind, ErrorKind::cancelled);
    EXPECT_LT(system_clock().elapsed() - start, 30s);
}

TEST(Process, DoesNotWaitForWhatTheProgramLeftBehind) {
    auto start = system_clock().elapsed();
    auto result = run(shell("sleep 60 & echo started"), {});
    ASSERT_TRUE(result);
    EXPECT_EQ(result->out, "started\n");
    EXPECT_LT(system_clock().elapsed() - start, 30s);
}

TEST(Process, CheckedRunTellsWhatTheProgramSaid) {
    auto result = run_checked(shell("echo first >&2; echo 'cannot open' >&2; exit 3"), {});
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().message, "program 'sh': exit code 3: first; cannot open");
}

TEST(Process, ManyAtOnceFromManyThreads) {
    std::vector<std::jthread> threads;
    std::atomic<int> good = 0;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&, i] {
            for (int n = 0; n < 10; ++n) {
                auto text = std::to_string(i * 100 + n);
                auto result = run({.argv = {"cat"}, .input = to_bytes(text)}, {});
                if (result && result->out == text)
                    ++good;
            }
        });
    }
    threads.clear();
    EXPECT_EQ(good, 40);
}

TEST(ChildProcess, RunsBesideUsAndIsStoppedByItsDestructor) {
    pid_t pid = 0;
    {
        auto child = ChildProcess::start(shell("echo ready; exec sleep 1000"));
        ASSERT_TRUE(child) << child.error().message;
        pid = (*child)->pid();
        EXPECT_TRUE(is_alive(pid));
        EXPECT_FALSE((*child)->wait(50ms));
    }
    EXPECT_FALSE(is_alive(pid));
}

TEST(ChildProcess, TellsHowItEndedAndWhatItSaid) {
    auto child = ChildProcess::start(shell("echo out; echo err >&2; exit 5"));
    ASSERT_TRUE(child);
    auto ended = (*child)->wait(10s);
    ASSERT_TRUE(ended);
    EXPECT_EQ(ended->exit_code, 5);
    EXPECT_EQ((*child)->output_tail(), "out\nerr\n");
    EXPECT_EQ((*child)->terminate(SIGTERM, 1s).exit_code, 5);
}

TEST(ChildProcess, KeepsTheTailOfLongOutput) {
    auto child = ChildProcess::start(shell("head -c 1000000 /dev/zero; echo the end"),
                                     {.output_tail_bytes = 100});
    ASSERT_TRUE(child);
    ASSERT_TRUE((*child)->wait(10s));
    EXPECT_EQ((*child)->output_tail().size(), 100U);
    EXPECT_THAT((*child)->output_tail(), testing::EndsWith("the end\n"));
}

TEST(ChildProcess, WritesToAFile) {
    auto path = std::filesystem::temp_directory_path() / ("child-" + std::to_string(getpid()));
    {
        auto child = ChildProcess::start(
            {.argv = {"sh", "-c", "cat; echo err >&2"}, .input = to_bytes("given")},
            {.output_path = path.string()});
        ASSERT_TRUE(child);
        ASSERT_TRUE((*child)->wait(10s));
    }
    std::ifstream file(path);
    std::string text{std::istreambuf_iterator<char>(file), {}};
    EXPECT_EQ(text, "givenerr\n");
    std::filesystem::remove(path);
}

TEST(ChildProcess, StartFailsClearly) {
    auto missing = ChildProcess::start({.argv = {"holdfast-no-such-program"}});
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().kind, ErrorKind::not_found);
    auto unwritable = ChildProcess::start({.argv = {"true"}}, {.output_path = "/no/such/dir/log"});
    ASSERT_FALSE(unwritable);
    EXPECT_THAT(unwritable.error().message, HasSubstr("/no/such/dir/log"));
}

TEST(ChildProcess, TerminateSendsTheSignalFirst) {
    auto child =
        ChildProcess::start(shell("trap 'echo asked; exit 4' INT; echo up; while :; do "
                                  "sleep 0.02; done"));
    ASSERT_TRUE(child);
    while ((*child)->output_tail() != "up\n")
        system_clock().sleep(5ms, {});
    auto ended = (*child)->terminate(SIGINT, 5s);
    EXPECT_EQ(ended.exit_code, 4);
    EXPECT_EQ((*child)->output_tail(), "up\nasked\n");
}

TEST(ChildProcess, TerminateKillsTheGroupAfterTheGrace) {
    auto child =
        ChildProcess::start(shell("trap '' TERM; sh -c 'echo $$; exec sleep 1000' & wait; wait"));
    ASSERT_TRUE(child);
    while ((*child)->output_tail().find('\n') == std::string::npos)
        system_clock().sleep(5ms, {});
    auto grandchild = std::stoi((*child)->output_tail());
    auto ended = (*child)->terminate(SIGTERM, 200ms);
    EXPECT_EQ(ended.signal, SIGKILL);
    EXPECT_TRUE(ends_within(grandchild, 10s));
}

TEST(ChildProcess, DiesWithUsEvenByKill9) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    pid_t us = fork();
    if (us == 0) {
        // Started by a thread that ended long before: the program must not die with that one.
        Result<std::unique_ptr<ChildProcess>> child;
        std::thread([&] { child = ChildProcess::start(shell("exec sleep 1000")); }).join();
        pid_t pid = (*child)->pid();
        if (write(ends[1], &pid, sizeof pid) != sizeof pid)
            _exit(1);
        pause();
    }
    pid_t pid = 0;
    ASSERT_EQ(read(ends[0], &pid, sizeof pid), static_cast<ssize_t>(sizeof pid));
    system_clock().sleep(100ms, {});
    EXPECT_TRUE(is_alive(pid));
    kill(us, SIGKILL);
    waitpid(us, nullptr, 0);
    EXPECT_TRUE(ends_within(pid, 10s));
    close(ends[0]);
    close(ends[1]);
}

}  // namespace
}  // namespace holdfast
