#pragma once

#include <stop_token>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace holdfast {

// Whether `descriptor` (1: standard output, 2: standard error) is a terminal that somebody looks
// at.
bool is_terminal(int descriptor);

// Columns of the terminal; `otherwise` when it is none or does not tell.
unsigned terminal_width(int descriptor, unsigned otherwise = 80);

struct PasswordPrompt {
    std::string text;  // "password: "
    std::string terminal = "/dev/tty";
};

// Asks on the terminal, not on standard input, and does not echo what is typed. The result is
// without the line's end, at most 1024 bytes, and was never copied: the caller wipes it. Errors:
// usage (there is no terminal), cancelled (`stop` was requested, or Ctrl-D), io. The echo is on
// again afterwards in any case.
Result<Bytes> read_password(PasswordPrompt const& prompt, std::stop_token stop);

}  // namespace holdfast
