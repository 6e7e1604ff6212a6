#pragma once

#include <cerrno>
#include <fmt/format.h>

#include "base/text.h"

namespace holdfast {

// The error of a system call on a file, by errno: "open '/etc/x': permission denied".
inline std::unexpected<Error> failed(std::string_view verb, std::string const& path) {
    int error_number = errno;
    return fail(errno_error(fmt::format("{} '{}'", verb, printable(path)), error_number));
}

}  // namespace holdfast
