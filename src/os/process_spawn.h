#pragma once

// How run() and ChildProcess start a program; for these two only.

#include <sys/types.h>

#include "os/fd.h"
#include "os/process.h"

namespace holdfast::process {

struct Spawn {
    Fd input;          // becomes standard input
    Fd output;         // becomes standard output
    Fd error;          // becomes standard error
    int death_signal;  // sent to the program when the calling *thread* ends; 0: none
};

struct Spawned {
    pid_t pid;
    Fd handle;  // a pidfd: readable when the program ended
};

// Returns when the program is executing. Every descriptor of `spawn` is closed on our side.
Result<Spawned> spawn(Command const& command, Spawn spawn);

// A pipe whose ends are not inherited.
struct Pipe {
    Fd read;
    Fd write;
};
Result<Pipe> make_pipe();
// Never blocks from now on.
void set_nonblocking(Fd const& fd);

// Reaps a program that ended, and fills exit_code and signal.
void reap(pid_t pid, ProcessResult& result);

}  // namespace holdfast::process
