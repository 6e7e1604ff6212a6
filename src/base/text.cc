#include "base/text.h"

#include <algorithm>
#include <fmt/format.h>
#include <limits>

namespace holdfast {
namespace {

// Length of the well-formed UTF-8 sequence at the front of `text`; 0 when there is none.
std::size_t utf8_sequence(std::string_view text) {
    auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    auto continues = [&](std::size_t i) { return i < text.size() && (byte(i) & 0xc0) == 0x80; };
    auto first = byte(0);
    if (first < 0x80) return 1;
    if (first >= 0xc2 && first <= 0xdf) return continues(1) ? 2 : 0;
    if (first >= 0xe0 && first <= 0xef) {
        if (!continues(1) || !continues(2)) return 0;
        if (first == 0xe0 && byte(1) < 0xa0) return 0;
        if (first == 0xed && byte(1) > 0x9f) return 0;
        return 3;
    }
    if (first >= 0xf0 && first <= 0xf4) {
        if (!continues(1) || !continues(2) || !continues(3)) return 0;
        if (first == 0xf0 && byte(1) < 0x90) return 0;
        if (first == 0xf4 && byte(1) > 0x8f) return 0;
        return 4;
    }
    return 0;
}

// C1 controls are two bytes in UTF-8 and steer terminals just as the C0 ones do.
bool is_control(std::string_view sequence) {
    auto first = static_cast<unsigned char>(sequence[0]);
    if (sequence.size() == 1) return first < 0x20 || first == 0x7f;
    return first == 0xc2 && static_cast<unsigned char>(sequence[1]) < 0xa0;
}

// Letters put in, left out, changed, or swapped with their neighbour: "teir" is one step from "tier".
std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> before, above, row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        before = std::move(above);
        above = row;
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            auto substituted = above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            row[j] = std::min({above[j] + 1, row[j - 1] + 1, substituted});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                row[j] = std::min(row[j], before[j - 2] + 1);
            }
        }
    }
    return row[b.size()];
}

// Matches one `[...]` class at the front of `pattern`; sets `rest` behind it. A class that is never
// closed matches a literal '['.
bool match_class(std::string_view pattern, char c, std::string_view& rest) {
    std::size_t i = 1;
    bool negated = i < pattern.size() && (pattern[i] == '!' || pattern[i] == '^');
    if (negated) ++i;
    bool matched = false;
    for (bool first = true; i < pattern.size() && (first || pattern[i] != ']'); first = false) {
        auto low = static_cast<unsigned char>(pattern[i]);
        auto high = low;
        if (i + 2 < pattern.size() && pattern[i + 1] == '-' && pattern[i + 2] != ']') {
            high = static_cast<unsigned char>(pattern[i + 2]);
            i += 2;
        }
        auto value = static_cast<unsigned char>(c);
        matched = matched || (low <= value && value <= high);
        ++i;
    }
    if (i >= pattern.size()) {
        rest = pattern.substr(1);
        return c == '[';
    }
    rest = pattern.substr(i + 1);
    return matched != negated && c != '/';
}

}  // namespace

std::string printable(std::string_view name) {
    std::string text;
    text.reserve(name.size());
    while (!name.empty()) {
        auto size = utf8_sequence(name);
        if (size == 0 || is_control(name.substr(0, size))) {
            for (std::size_t i = 0; i < std::max<std::size_t>(size, 1); ++i) {
                text += fmt::format("\\x{:02x}", static_cast<unsigned char>(name[i]));
            }
        } else if (name.front() == '\\') {
            text += "\\\\";
        } else {
            text += name.substr(0, size);
        }
        name.remove_prefix(std::max<std::size_t>(size, 1));
    }
    return text;
}

Result<std::string> from_printable(std::string_view text) {
    std::string name;
    name.reserve(text.size());
    for (auto rest = text; !rest.empty();) {
        if (rest.front() != '\\') {
            name += rest.front();
            rest.remove_prefix(1);
        } else if (rest.starts_with("\\\\")) {
            name += '\\';
            rest.remove_prefix(2);
        } else if (rest.starts_with("\\x") && rest.size() >= 4) {
            auto byte = from_hex(rest.substr(2, 2));
            if (!byte) break;
            name += static_cast<char>(byte->front());
            rest.remove_prefix(4);
        } else {
            break;
        }
    }
    if (printable(name) != text) return fail(ErrorKind::damaged, "badly escaped name");
    return name;
}

bool is_utf8(std::string_view text) {
    while (!text.empty()) {
        auto size = utf8_sequence(text);
        if (size == 0) return false;
        text.remove_prefix(size);
    }
    return true;
}

std::string nearest(std::string_view word, std::span<std::string const> candidates) {
    std::string_view best;
    auto best_distance = std::numeric_limits<std::size_t>::max();
    for (auto const& candidate : candidates) {
        auto distance = edit_distance(word, candidate);
        if (distance < best_distance) {
            best_distance = distance;
            best = candidate;
        }
    }
    auto limit = std::max<std::size_t>(1, std::max(word.size(), best.size()) / 3);
    return best_distance <= limit ? std::string(best) : std::string();
}

bool glob_match(std::string_view pattern, std::string_view text) {
    // On a mismatch, only the last star is tried again one further: linear in practice, never
    // exponential. `**` may cross '/', `*` may not.
    std::string_view star_pattern, star_text;
    bool star = false, deep = false;
    std::string_view deep_pattern, deep_text;
    bool have_deep = false;
    for (;;) {
        if (!pattern.empty() && pattern.front() == '*') {
            deep = pattern.starts_with("**");
            pattern.remove_prefix(deep ? 2 : 1);
            if (deep) {
                deep_pattern = pattern;
                deep_text = text;
                have_deep = true;
                star = false;
            } else {
                star_pattern = pattern;
                star_text = text;
                star = true;
            }
            continue;
        }
        if (pattern.empty() && text.empty()) return true;
        bool matched = false;
        std::string_view rest;
        if (!pattern.empty() && !text.empty()) {
            char p = pattern.front();
            rest = pattern.substr(1);
            if (p == '?') {
                matched = text.front() != '/';
            } else if (p == '[') {
                matched = match_class(pattern, text.front(), rest);
            } else if (p == '\\' && pattern.size() > 1) {
                matched = pattern[1] == text.front();
                rest = pattern.substr(2);
            } else {
                matched = p == text.front();
            }
        }
        if (matched) {
            pattern = rest;
            text.remove_prefix(1);
        } else if (star && !star_text.empty() && star_text.front() != '/') {
            star_text.remove_prefix(1);
            pattern = star_pattern;
            text = star_text;
        } else if (have_deep && !deep_text.empty()) {
            deep_text.remove_prefix(1);
            pattern = deep_pattern;
            text = deep_text;
            star = false;
        } else {
            return false;
        }
    }
}

std::vector<std::string> split(std::string_view text, char separator) {
    std::vector<std::string> parts;
    for (;;) {
        auto at = text.find(separator);
        parts.emplace_back(text.substr(0, at));
        if (at == std::string_view::npos) return parts;
        text.remove_prefix(at + 1);
    }
}

std::string join(std::span<std::string const> parts, std::string_view separator) {
    std::string text;
    for (auto const& part : parts) {
        if (!text.empty()) text += separator;
        text += part;
    }
    return text;
}

}  // namespace holdfast
