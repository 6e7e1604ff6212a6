#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/result.h"

namespace holdfast {

// A moment in UTC, in nanoseconds since 1970. Years 1678 to 2262.
using Time = std::chrono::sys_time<std::chrono::nanoseconds>;
using Duration = std::chrono::nanoseconds;

// RFC 3339 in UTC. Without a fraction when it is zero, else with as many digits as it needs
// (3, 6 or 9): "2026-11-22T10:31:07Z", "2026-11-22T10:31:07.250Z".
std::string to_rfc3339(Time time);
// Accepts what RFC 3339 allows: any offset, 'T' or a space, fractions of any length (digits after
// the ninth are dropped). Refuses a time without an offset.
Result<Time> parse_rfc3339(std::string_view text);

// "20261122T103107.250000000Z": sorts as text in the order of time; used in object keys.
inline constexpr std::size_t kKeyTimeSize = 26;
std::string to_key_time(Time time);
Result<Time> parse_key_time(std::string_view text);

}  // namespace holdfast
