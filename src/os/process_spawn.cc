#include "os/process_spawn.h"

#include <cassert>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/wait.h>

// glibc 2.36 declares pidfd_open without C linkage.
extern "C" {
#include <sys/pidfd.h>
}

#include <algorithm>
#include <fmt/format.h>

#include "base/text.h"

extern char** environ;

namespace holdfast::process {
namespace {

// What failed in the child, sent through a pipe that a successful exec closes.
enum class Stage : int { groups, user, directory, streams, execute };
struct ChildFailure {
    Stage stage;
    int error_number;
};

// Everything the child needs, made before fork: between fork and exec only async-signal-safe calls
// are allowed, because another thread may have held the allocator's lock.
struct Prepared {
    std::vector<char*> argv;
    std::vector<std::string> environment_text;
    std::vector<char*> environment;
    std::vector<std::string> candidates;  // paths to try
    bool change_user = false;
    std::vector<gid_t> groups;
};

std::vector<std::string> make_environment(Command const& command) {
    std::map<std::string, std::string> variables;
    for (char** at = environ; at && *at; ++at) {
        std::string_view text = *at;
        auto equals = text.find('=');
        if (equals == std::string_view::npos)
            continue;
        variables.emplace(text.substr(0, equals), text.substr(equals + 1));
    }
    if (command.user) {
        variables["HOME"] = command.user->home;
        variables["USER"] = variables["LOGNAME"] = command.user->name;
    }
    for (auto const& name : command.environment_removed)
        variables.erase(name);
    for (auto const& [name, value] : command.environment)
        variables[name] = value;
    variables.erase("HOLDFAST_PASSWORD");

    std::vector<std::string> result;
    for (auto const& [name, value] : variables)
        result.push_back(name + "=" + value);
    return result;
}

// The paths where the program may be, in order.
std::vector<std::string> make_candidates(std::string const& program,
                                         std::vector<std::string> const& environment) {
    if (program.find('/') != std::string::npos)
        return {program};
    std::string path = "/usr/local/bin:/usr/bin:/bin";
    for (auto const& variable : environment) {
        if (variable.starts_with("PATH="))
            path = variable.substr(5);
    }
    std::vector<std::string> result;
    for (auto const& directory : split(path, ':')) {
        // An empty entry means the working directory. It is left out: running what happens to lie
        // there is never what an operator wants in a recovery.
        if (!directory.empty())
            result.push_back(directory + "/" + program);
    }
    return result;
}

Prepared prepare(Command const& command) {
    Prepared prepared;
    for (auto const& argument : command.argv) {
        prepared.argv.push_back(const_cast<char*>(argument.c_str()));
    }
    prepared.argv.push_back(nullptr);
    prepared.environment_text = make_environment(command);
    for (auto& variable : prepared.environment_text)
        prepared.environment.push_back(variable.data());
    prepared.environment.push_back(nullptr);
    prepared.candidates = make_candidates(command.argv[0], prepared.environment_text);

    // Somebody who is that user already needs no right to change.
    if (command.user && (command.user->uid != geteuid() || geteuid() == 0)) {
        prepared.change_user = true;
        int count = 64;
        prepared.groups.resize(static_cast<std::size_t>(count));
        while (getgrouplist(command.user->name.c_str(), command.user->gid, prepared.groups.data(),
                            &count) < 0) {
            prepared.groups.resize(prepared.groups.size() * 2);
            count = static_cast<int>(prepared.groups.size());
        }
        prepared.groups.resize(static_cast<std::size_t>(count));
    }
    return prepared;
}

[[noreturn]] void child_fails(int report, Stage stage, int error_number) {
    ChildFailure failure{stage, error_number};
    [[maybe_unused]] auto written = write(report, &failure, sizeof failure);
    _exit(127);
}

// Closes every descriptor above the standard three at exec.
void close_others_at_exec() {
    if (close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) == 0)
        return;
    long count = sysconf(_SC_OPEN_MAX);
    for (int fd = 3; fd < count; ++fd)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
}

// Runs in the child. Only async-signal-safe calls.
[[noreturn]] void run_child(Command const& command, Prepared const& prepared, Spawn const& spawn,
                            int report, pid_t parent) {
    for (int signal = 1; signal < NSIG; ++signal)
        ::signal(signal, SIG_DFL);
    setsid();
    if (dup2(spawn.input.get(), 0) < 0 || dup2(spawn.output.get(), 1) < 0 ||
        dup2(spawn.error.get(), 2) < 0) {
        child_fails(report, Stage::streams, errno);
    }
    close_others_at_exec();
    if (prepared.change_user) {
        if (setgroups(prepared.groups.size(), prepared.groups.data()) != 0 ||
            setgid(command.user->gid) != 0) {
            child_fails(report, Stage::groups, errno);
        }
        if (setuid(command.user->uid) != 0)
            child_fails(report, Stage::user, errno);
    }
    // After setuid, which clears it. The parent may have died just before: then nobody would tell
    // us.
    if (spawn.death_signal) {
        prctl(PR_SET_PDEATHSIG, spawn.death_signal);
        if (getppid() != parent)
            _exit(127);
    }
    if (!command.directory.empty() && chdir(command.directory.c_str()) != 0) {
        child_fails(report, Stage::directory, errno);
    }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);

    // As execvp: the first that can be executed; "permission denied" is worth more than "not
    // found".
    int error_number = ENOENT;
    for (auto const& candidate : prepared.candidates) {
        execve(candidate.c_str(), prepared.argv.data(), prepared.environment.data());
        if (errno == ENOENT || errno == ENOTDIR)
            continue;
        error_number = errno;
        if (errno != EACCES)
            break;
    }
    child_fails(report, Stage::execute, error_number);
}

Error error_of(Command const& command, ChildFailure failure) {
    auto program = fmt::format("program '{}'", printable(command.argv[0]));
    switch (failure.stage) {
        case Stage::groups:
        case Stage::user:
            return errno_error(fmt::format("{}: become user '{}'", program, command.user->name),
                               failure.error_number)
                .with_hint("run as root, or as that user");
        case Stage::directory:
            return errno_error(
                fmt::format("{}: enter directory '{}'", program, printable(command.directory)),
                failure.error_number);
        case Stage::streams:
            return errno_error(program + ": connect streams", failure.error_number);
        case Stage::execute:
            break;
    }
    auto error = errno_error(program, failure.error_number);
    if (error.kind == ErrorKind::not_found) {
        error.hint = "install it, or put its directory into PATH";
    }
    return error;
}

// Waits for what the child reports: nothing means that it is executing the program.
std::optional<ChildFailure> read_failure(Fd const& report) {
    ChildFailure failure{};
    ssize_t size = 0;
    do {
        size = read(report.get(), &failure, sizeof failure);
    } while (size < 0 && errno == EINTR);
    if (size != static_cast<ssize_t>(sizeof failure))
        return std::nullopt;
    return failure;
}

// Descriptors 0 to 2 may be free in our process; a pipe that lands there would be overwritten by
// the child's dup2.
Result<Fd> above_standard(Fd fd) {
    if (fd.get() > 2)
        return fd;
    Fd moved(fcntl(fd.get(), F_DUPFD_CLOEXEC, 3));
    if (!moved)
        return fail(errno_error("move a descriptor", errno));
    return moved;
}

}  // namespace

Result<Spawned> spawn(Command const& command, Spawn spawn) {
    assert(!command.argv.empty());
    for (auto const& argument : command.argv) {
        if (argument.find('\0') != std::string::npos) {
            return fail(ErrorKind::usage, fmt::format("program '{}': an argument holds a NUL byte",
                                                      printable(command.argv[0])));
        }
    }
    spawn.input = TRY(above_standard(std::move(spawn.input)));
    spawn.output = TRY(above_standard(std::move(spawn.output)));
    spawn.error = TRY(above_standard(std::move(spawn.error)));
    auto report = TRY(make_pipe());
    auto prepared = prepare(command);
    pid_t parent = getpid();

    // No handler of ours may run in the child, where it would believe to be us.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    int fork_error = errno;
    if (pid == 0)
        run_child(command, prepared, spawn, report.write.get(), parent);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (pid < 0) {
        return fail(
            errno_error(fmt::format("program '{}': fork", printable(command.argv[0])), fork_error));
    }

    report.write.reset();
    auto failure = read_failure(report.read);
    Fd handle(failure ? -1 : pidfd_open(pid, 0));
    if (failure || !handle) {
        Error error = failure ? error_of(command, *failure) : errno_error("pidfd_open", errno);
        kill(pid, SIGKILL);
        ProcessResult ignored;
        reap(pid, ignored);
        return fail(std::move(error));
    }
    return Spawned{pid, std::move(handle)};
}

Result<Pipe> make_pipe() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return fail(errno_error("make a pipe", errno));
    Pipe pipe{Fd(ends[0]), Fd(ends[1])};
    pipe.read = TRY(above_standard(std::move(pipe.read)));
    pipe.write = TRY(above_standard(std::move(pipe.write)));
    return pipe;
}

void set_nonblocking(Fd const& fd) {
    fcntl(fd.get(), F_SETFL, fcntl(fd.get(), F_GETFL) | O_NONBLOCK);
}

void reap(pid_t pid, ProcessResult& result) {
    int status = 0;
    pid_t reaped = 0;
    do {
        reaped = waitpid(pid, &status, 0);
    } while (reaped < 0 && errno == EINTR);
    assert(reaped == pid);
    if (WIFSIGNALED(status)) {
        result.signal = WTERMSIG(status);
        result.exit_code = 128 + result.signal;
    } else {
        result.exit_code = WEXITSTATUS(status);
    }
}

}  // namespace holdfast::process
