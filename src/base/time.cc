#include "base/time.h"

#include <fmt/format.h>

namespace holdfast {
namespace {

using std::chrono::days;
using std::chrono::floor;
using std::chrono::nanoseconds;
using std::chrono::seconds;

struct Civil {
    std::chrono::year_month_day date;
    std::chrono::hh_mm_ss<nanoseconds> clock;
};

Civil civil(Time time) {
    auto day = floor<days>(time);
    return {std::chrono::year_month_day(day), std::chrono::hh_mm_ss<nanoseconds>(time - day)};
}

// Reads exactly `digits` decimal digits from the front of `text`.
bool take_number(std::string_view& text, int digits, int& value) {
    value = 0;
    if (text.size() < static_cast<std::size_t>(digits)) return false;
    for (int i = 0; i < digits; ++i) {
        char c = text[static_cast<std::size_t>(i)];
        if (c < '0' || c > '9') return false;
        value = value * 10 + (c - '0');
    }
    text.remove_prefix(static_cast<std::size_t>(digits));
    return true;
}

bool take(std::string_view& text, std::string_view any_of) {
    if (text.empty() || any_of.find(text.front()) == std::string_view::npos) return false;
    text.remove_prefix(1);
    return true;
}

// A fraction after the point: 1 or more digits, in nanoseconds.
bool take_fraction(std::string_view& text, std::int64_t& value) {
    value = 0;
    int digits = 0;
    while (!text.empty() && text.front() >= '0' && text.front() <= '9') {
        if (digits < 9) value = value * 10 + (text.front() - '0');
        ++digits;
        text.remove_prefix(1);
    }
    for (int i = digits; i < 9; ++i) value *= 10;
    return digits > 0;
}

// Joins parts into a Time; false when a part is out of its range or the time is outside 1678-2262.
bool join(int year, int month, int day, int hour, int minute, int second, std::int64_t fraction,
          Time& time) {
    auto date = std::chrono::year(year) / month / day;
    if (!date.ok() || hour > 23 || minute > 59 || second > 60 || year < 1678 || year > 2261) {
        return false;
    }
    time = Time(std::chrono::sys_days(date)) + std::chrono::hours(hour) +
           std::chrono::minutes(minute) + seconds(second) + nanoseconds(fraction);
    return true;
}

}  // namespace

std::string to_rfc3339(Time time) {
    auto [date, clock] = civil(time);
    auto text = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", static_cast<int>(date.year()),
                            static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                            clock.hours().count(), clock.minutes().count(), clock.seconds().count());
    auto fraction = clock.subseconds().count();
    if (fraction % 1000 != 0) {
        text += fmt::format(".{:09}", fraction);
    } else if (fraction % 1000000 != 0) {
        text += fmt::format(".{:06}", fraction / 1000);
    } else if (fraction != 0) {
        text += fmt::format(".{:03}", fraction / 1000000);
    }
    return text + "Z";
}

Result<Time> parse_rfc3339(std::string_view text) {
    auto rest = text;
    int year, month, day, hour, minute, second;
    std::int64_t fraction = 0;
    bool good = take_number(rest, 4, year) && take(rest, "-") && take_number(rest, 2, month) &&
                take(rest, "-") && take_number(rest, 2, day) && take(rest, "Tt ") &&
                take_number(rest, 2, hour) && take(rest, ":") && take_number(rest, 2, minute) &&
                take(rest, ":") && take_number(rest, 2, second);
    if (good && take(rest, ".")) good = take_fraction(rest, fraction);
    auto offset = std::chrono::minutes(0);
    if (good && !take(rest, "Zz")) {
        bool west = !rest.empty() && rest.front() == '-';
        int hours = 0, minutes = 0;
        good = take(rest, "+-") && take_number(rest, 2, hours) && take(rest, ":") &&
               take_number(rest, 2, minutes) && hours <= 23 && minutes <= 59;
        offset = std::chrono::minutes(hours * 60 + minutes) * (west ? -1 : 1);
    }
    Time time;
    good = good && rest.empty() && join(year, month, day, hour, minute, second, fraction, time);
    if (!good) {
        return fail(ErrorKind::usage, fmt::format("not a time: '{}'", text),
                    "write it as 2026-11-22T10:31:07Z, with Z or an offset such as +01:00");
    }
    return time - offset;
}

std::string to_key_time(Time time) {
    auto [date, clock] = civil(time);
    return fmt::format("{:04}{:02}{:02}T{:02}{:02}{:02}.{:09}Z", static_cast<int>(date.year()),
                       static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                       clock.hours().count(), clock.minutes().count(), clock.seconds().count(),
                       clock.subseconds().count());
}

Result<Time> parse_key_time(std::string_view text) {
    auto rest = text;
    int year, month, day, hour, minute, second;
    std::int64_t fraction = 0;
    Time time;
    bool good = text.size() == 26 && take_number(rest, 4, year) && take_number(rest, 2, month) &&
                take_number(rest, 2, day) && take(rest, "T") && take_number(rest, 2, hour) &&
                take_number(rest, 2, minute) && take_number(rest, 2, second) && take(rest, ".") &&
                take_fraction(rest, fraction) && rest == "Z" &&
                join(year, month, day, hour, minute, second, fraction, time);
    if (!good) return fail(ErrorKind::damaged, fmt::format("not a time of a key: '{}'", text));
    return time;
}

}  // namespace holdfast
