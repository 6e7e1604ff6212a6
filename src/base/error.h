#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace holdfast {

// What the caller can do about an error. The command line turns each kind into an exit code.
enum class ErrorKind {
    internal,          // a fault of ours: report it
    usage,             // the command, the plan or an argument is at fault: fix the input
    partial,           // done, but something could not be read or set
    not_found,         // the named thing does not exist
    key_refused,       // wrong password, or a key without the role that is needed
    damaged,           // stored bytes are not what was written: restore from elsewhere
    check_failed,      // a verification, check or drill failed
    objective_missed,  // an objective of the plan was not met
    unreachable,       // a store or server does not answer or refuses: retry, or mend the connection
    unsafe,            // refused, because going on could destroy something
    no_space,          // a disk or quota is full
    exists,            // the thing exists already
    cancelled,         // stopped by the user
    io,                // the operating system refused: see the message
};

// Names a kind in messages and JSON: "not_found".
std::string_view name(ErrorKind kind);

// An error reads outside-in and names the object: "restore 'database': read pack 3f2a: checksum
// mismatch". The hint says what to do next, and may be empty.
struct Error {
    ErrorKind kind = ErrorKind::internal;
    std::string message;
    std::string hint;

    // Puts `outer` before the message: "outer: message".
    Error within(std::string_view outer) &&;
    Error with_hint(std::string text) && {
        hint = std::move(text);
        return std::move(*this);
    }
};

// The error of a failed system call: "open 'x': No such file or directory". The kind follows errno:
// ENOENT not_found, ENOSPC and EDQUOT no_space, EEXIST exists, everything else io.
Error errno_error(std::string_view what, int error_number);

}  // namespace holdfast
