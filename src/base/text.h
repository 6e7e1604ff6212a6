#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace holdfast {

// A name of any bytes as people and terminals can see it: valid UTF-8 without control characters
// stays, every other byte becomes \xNN, and a backslash becomes two. Reversible.
std::string printable(std::string_view name);
// The inverse. Refuses (damaged) what printable() does not write: one name has one spelling.
Result<std::string> from_printable(std::string_view text);

// Whether the bytes are well-formed UTF-8 (RFC 3629).
bool is_utf8(std::string_view text);

// The candidate nearest to `word` by edit distance, for "did you mean"; empty when none is near
// (more than a third of the letters differ).
std::string nearest(std::string_view word, std::span<std::string const> candidates);

// Shell-like pattern: `*` (not '/'), `**` (also '/'), `?`, `[abc]`, `[!a-z]`. Matches the whole text.
bool glob_match(std::string_view pattern, std::string_view text);

std::vector<std::string> split(std::string_view text, char separator);
std::string join(std::span<std::string const> parts, std::string_view separator);

}  // namespace holdfast
