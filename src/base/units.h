#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"

namespace holdfast {

// "1.5 GiB", "512 B": binary units, at most one decimal, for people.
std::string format_bytes(std::uint64_t bytes);
// "1.5 GiB", "1500MB", "4096", "32 MiB": decimal (kB MB GB TB) and binary (KiB MiB GiB TiB) units.
Result<std::uint64_t> parse_bytes(std::string_view text);

// "1h 5m", "12.3 s", "250 ms", "3d 4h": the two largest units, for people.
std::string format_duration(Duration duration);
// "15m", "1h", "1h30m", "2d", "3 months", "250ms", "quarter": sums of number and unit. Units: ms, s, m
// (min), h, d (day, daily), w (week), month (30 days), quarter (90 days), y (year, 365 days), each
// singular or plural; a bare unit means one of it. Refuses negative durations and bare numbers.
Result<Duration> parse_duration(std::string_view text);

}  // namespace holdfast
