#include "base/error.h"

#include <cerrno>
#include <system_error>

namespace holdfast {

std::string_view name(ErrorKind kind) {
    switch (kind) {
        case ErrorKind::internal: return "internal";
        case ErrorKind::usage: return "usage";
        case ErrorKind::partial: return "partial";
        case ErrorKind::not_found: return "not_found";
        case ErrorKind::key_refused: return "key_refused";
        case ErrorKind::damaged: return "damaged";
        case ErrorKind::check_failed: return "check_failed";
        case ErrorKind::objective_missed: return "objective_missed";
        case ErrorKind::unreachable: return "unreachable";
        case ErrorKind::unsafe: return "unsafe";
        case ErrorKind::no_space: return "no_space";
        case ErrorKind::exists: return "exists";
        case ErrorKind::cancelled: return "cancelled";
        case ErrorKind::io: return "io";
    }
    return "internal";
}

Error Error::within(std::string_view outer) && {
    message.insert(0, std::string(outer) + ": ");
    return std::move(*this);
}

Error errno_error(std::string_view what, int error_number) {
    auto kind = ErrorKind::io;
    switch (error_number) {
        case ENOENT: kind = ErrorKind::not_found; break;
        case ENOSPC:
        case EDQUOT: kind = ErrorKind::no_space; break;
        case EEXIST: kind = ErrorKind::exists; break;
        default: break;
    }
    return {kind, std::string(what) + ": " + std::generic_category().message(error_number), {}};
}

}  // namespace holdfast
