#pragma once

#include "base/error.h"

namespace holdfast::cli {

// Exit codes, one for each class of failure; stated for users in docs/command-line.md.
enum ExitCode {
    kDone = 0,
    kInternal = 1,
    kUsage = 2,
    kPartial = 3,
    kNotFound = 4,
    kKeyRefused = 5,
    kDamaged = 6,
    kCheckFailed = 7,
    kObjectiveMissed = 8,
    kUnreachable = 9,
    kUnsafe = 10,
    kCancelled = 130,
};

inline int exit_code(ErrorKind kind) {
    switch (kind) {
        case ErrorKind::internal: return kInternal;
        case ErrorKind::usage: return kUsage;
        case ErrorKind::partial: return kPartial;
        case ErrorKind::not_found: return kNotFound;
        case ErrorKind::key_refused: return kKeyRefused;
        case ErrorKind::damaged: return kDamaged;
        case ErrorKind::check_failed: return kCheckFailed;
        case ErrorKind::objective_missed: return kObjectiveMissed;
        case ErrorKind::unreachable:
        case ErrorKind::no_space:
        case ErrorKind::io: return kUnreachable;
        case ErrorKind::exists:
        case ErrorKind::unsafe: return kUnsafe;
        case ErrorKind::cancelled: return kCancelled;
    }
    return kInternal;
}

}  // namespace holdfast::cli
