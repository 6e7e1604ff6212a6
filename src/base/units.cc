#include "base/units.h"

#include <array>
#include <cctype>
#include <cmath>
#include <fmt/format.h>

namespace holdfast {
namespace {

std::string_view trim(std::string_view text) {
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
    return text;
}

// Takes a decimal number with an optional fraction; false when there is none.
bool take_decimal(std::string_view& text, double& value) {
    std::size_t size = 0;
    bool point = false;
    while (size < text.size() && (std::isdigit(static_cast<unsigned char>(text[size])) ||
                                  (text[size] == '.' && !point && size > 0))) {
        point = point || text[size] == '.';
        ++size;
    }
    if (size == 0 || size > 18) return false;
    value = std::stod(std::string(text.substr(0, size)));
    text.remove_prefix(size);
    return true;
}

std::string_view take_word(std::string_view& text) {
    std::size_t size = 0;
    while (size < text.size() && std::isalpha(static_cast<unsigned char>(text[size]))) ++size;
    auto word = text.substr(0, size);
    text.remove_prefix(size);
    return word;
}

struct Unit {
    std::string_view name;
    double factor;
};

constexpr std::array kByteUnits = {
    Unit{"", 1},          Unit{"B", 1},
    Unit{"kB", 1e3},      Unit{"KB", 1e3},
    Unit{"MB", 1e6},      Unit{"GB", 1e9},
    Unit{"TB", 1e12},     Unit{"KiB", 1024},
    Unit{"MiB", 1 << 20}, Unit{"GiB", 1 << 30},
    Unit{"TiB", 1ull << 40},
};

constexpr double kMinute = 60, kHour = 3600, kDay = 86400;
constexpr std::array kTimeUnits = {
    Unit{"ms", 1e-3},       Unit{"s", 1},
    Unit{"sec", 1},         Unit{"second", 1},
    Unit{"m", kMinute},     Unit{"min", kMinute},
    Unit{"minute", kMinute}, Unit{"h", kHour},
    Unit{"hour", kHour},    Unit{"d", kDay},
    Unit{"day", kDay},      Unit{"w", 7 * kDay},
    Unit{"week", 7 * kDay}, Unit{"month", 30 * kDay},
    Unit{"quarter", 90 * kDay}, Unit{"y", 365 * kDay},
    Unit{"year", 365 * kDay},
};

Unit const* find_time_unit(std::string_view word) {
    for (auto const& unit : kTimeUnits) {
        if (unit.name == word) return &unit;
    }
    // Plurals of the words, not of the letters: "days", never "ds".
    if (word.size() > 3 && word.ends_with('s')) return find_time_unit(word.substr(0, word.size() - 1));
    return nullptr;
}

}  // namespace

std::string format_bytes(std::uint64_t bytes) {
    static constexpr std::array kNames = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (value >= 1024 && unit + 1 < kNames.size()) {
        value /= 1024;
        ++unit;
    }
    if (unit == 0) return fmt::format("{} B", bytes);
    return fmt::format("{:.1f} {}", value, kNames[unit]);
}

Result<std::uint64_t> parse_bytes(std::string_view text) {
    auto rest = trim(text);
    double value = 0;
    if (take_decimal(rest, value)) {
        rest = trim(rest);
        for (auto const& unit : kByteUnits) {
            if (unit.name == rest && value * unit.factor < 9e18) {
                return static_cast<std::uint64_t>(std::llround(value * unit.factor));
            }
        }
    }
    return fail(ErrorKind::usage, fmt::format("not a size: '{}'", text), "write it as 32 MiB or 1.5 GB");
}

std::string format_duration(Duration duration) {
    if (duration < Duration(0)) return "-" + format_duration(-duration);
    auto total = std::chrono::duration<double>(duration).count();
    if (total < 1) return fmt::format("{:.0f} ms", total * 1000);
    if (total < kMinute) return fmt::format("{:.1f} s", total);
    auto whole = static_cast<std::uint64_t>(total);
    if (total < kHour) return fmt::format("{}m {}s", whole / 60, whole % 60);
    if (total < kDay) return fmt::format("{}h {}m", whole / 3600, whole % 3600 / 60);
    return fmt::format("{}d {}h", whole / 86400, whole % 86400 / 3600);
}

Result<Duration> parse_duration(std::string_view text) {
    auto rest = trim(text);
    double total = 0;
    bool any = false;
    while (!rest.empty()) {
        double value = 1;
        bool has_number = take_decimal(rest, value);
        rest = trim(rest);
        auto const* unit = find_time_unit(take_word(rest));
        if (unit == nullptr || (any && !has_number)) {
            any = false;
            break;
        }
        total += value * unit->factor;
        any = true;
        rest = trim(rest);
    }
    if (!any || total > 200 * 365 * kDay) {
        return fail(ErrorKind::usage, fmt::format("not a duration: '{}'", text),
                    "write it as 15m, 1h30m, 2d or 3 months");
    }
    return Duration(static_cast<std::int64_t>(std::llround(total * 1e3)) * 1'000'000);
}

}  // namespace holdfast
