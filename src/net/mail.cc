#include "net/mail.h"

#include <algorithm>
#include <cassert>
#include <fmt/format.h>

#include "base/text.h"

namespace holdfast {
namespace {

constexpr std::size_t kAddressCharactersMax = 254;  // RFC 5321, 4.5.3.1.3
constexpr std::size_t kLineCharactersMax = 76;
constexpr std::string_view kLineBreakers("\r\n\0", 3);

bool is_printable_ascii(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; });
}

// Stricter than RFC 5321, which nobody needs: no quoted local parts, no comments.
bool is_address(std::string_view text) {
    auto at = text.rfind('@');
    if (at == std::string_view::npos || at == 0 || at + 1 == text.size())
        return false;
    if (text.size() > kAddressCharactersMax || text.front() == '-')
        return false;
    return std::ranges::all_of(text,
                               [](char c) {
                                   return c > ' ' && c <= '~' &&
                                          std::string_view("<>()\\\",;").find(c) ==
                                              std::string_view::npos;
                               }) &&
           text.find('@') == at;
}

Result<void> check_address(std::string_view role, MailAddress const& address) {
    if (!is_address(address.address)) {
        return fail(ErrorKind::usage,
                    fmt::format("{}: '{}' is not a mail address", role, printable(address.address)),
                    "write it as name@example.com, in plain ASCII");
    }
    if (address.name.find_first_of(kLineBreakers) != std::string::npos) {
        return fail(ErrorKind::usage, fmt::format("{}: the name '{}' holds a line break", role,
                                                  printable(address.name)));
    }
    return {};
}

std::string to_base64(std::string_view bytes) {
    constexpr std::string_view kDigits =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string result;
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        auto group = bytes.substr(i, 3);
        std::uint32_t bits = 0;
        for (std::size_t k = 0; k < 3; ++k) {
            bits = bits << 8 | (k < group.size() ? static_cast<std::uint8_t>(group[k]) : 0U);
        }
        for (std::size_t k = 0; k < 4; ++k) {
            result += k <= group.size() ? kDigits[bits >> (18 - 6 * k) & 63] : '=';
        }
    }
    return result;
}

// As UTF-8, whatever it was.
std::string to_utf8(std::string_view text) {
    return is_utf8(text) ? std::string(text) : printable(text);
}

// How many bytes of valid UTF-8 fit into `bytes_max` without cutting a character.
std::size_t whole_characters(std::string_view text, std::size_t bytes_max) {
    if (text.size() <= bytes_max)
        return text.size();
    auto size = bytes_max;
    while (size > 0 && (static_cast<std::uint8_t>(text[size]) & 0xC0) == 0x80)
        --size;
    return size;
}

// The text of a header, after its name: plain when that is safe, else encoded words, each on a line
// of its own (75 characters at most, and never a part of a character: RFC 2047, 2 and 5).
std::string header_text(std::string_view text) {
    constexpr std::size_t kPlainCharactersMax = 60;
    if (is_printable_ascii(text) && text.size() <= kPlainCharactersMax &&
        text.find("=?") == std::string_view::npos) {
        return std::string(text);
    }
    constexpr std::size_t kWordBytesMax = 42;  // 56 digits, and 12 around them
    auto rest_text = to_utf8(text);
    std::string_view rest = rest_text;
    std::string result;
    while (!rest.empty()) {
        auto size = whole_characters(rest, kWordBytesMax);
        if (!result.empty())
            result += "\r\n ";
        result += "=?UTF-8?B?" + to_base64(rest.substr(0, size)) + "?=";
        rest.remove_prefix(size);
    }
    return result;
}

// "Name" <address>, or the address alone.
std::string header_address(MailAddress const& address) {
    if (address.name.empty())
        return address.address;
    auto name = header_text(address.name);
    if (!name.starts_with("=?")) {
        std::string quoted;
        for (char c : name) {
            if (c == '"' || c == '\\')
                quoted += '\\';
            quoted += c;
        }
        name = '"' + quoted + '"';
    }
    return fmt::format("{}\r\n <{}>", name, address.address);
}

std::string header_date(Time time) {
    constexpr std::string_view kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    constexpr std::string_view kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    auto day = std::chrono::floor<std::chrono::days>(time);
    std::chrono::year_month_day date(day);
    std::chrono::hh_mm_ss clock(std::chrono::floor<std::chrono::seconds>(time - day));
    return fmt::format(
        "{}, {} {} {} {:02}:{:02}:{:02} +0000", kDays[std::chrono::weekday(day).c_encoding()],
        static_cast<unsigned>(date.day()), kMonths[static_cast<unsigned>(date.month()) - 1],
        static_cast<int>(date.year()), clock.hours().count(), clock.minutes().count(),
        clock.seconds().count());
}

// One line of text as quoted-printable, without its end. What a relay may mangle is encoded though
// the standard does not ask for it: a '.' or "From " at the beginning, blanks at the end.
std::string quoted_printable_line(std::string_view line) {
    std::string result;
    std::size_t in_line = 0;
    for (std::size_t i = 0; i < line.size(); ++i) {
        char c = line[i];
        bool last = i + 1 == line.size();
        bool plain = c > ' ' && c <= '~' && c != '=';
        if (c == ' ' || c == '\t')
            plain = !last;
        if (i == 0 && (c == '.' || line.starts_with("From ")))
            plain = false;
        auto text =
            plain ? std::string(1, c) : fmt::format("={:02X}", static_cast<std::uint8_t>(c));
        // Room for the '=' that continues the line. A '.' that begins a continuation is encoded,
        // too.
        if (in_line + text.size() > kLineCharactersMax - 1) {
            result += "=\r\n";
            in_line = 0;
            if (c == '.')
                text = "=2E";
        }
        result += text;
        in_line += text.size();
    }
    return result;
}

std::string quoted_printable(std::string_view body) {
    std::string result;
    while (!body.empty()) {
        auto end = body.find('\n');
        auto line = body.substr(0, end);
        body.remove_prefix(end == std::string_view::npos ? body.size() : end + 1);
        if (line.ends_with('\r'))
            line.remove_suffix(1);
        result += quoted_printable_line(to_utf8(line));
        result += "\r\n";
    }
    return result;
}

}  // namespace

Result<void> check_mail(Mail const& mail) {
    TRY(check_address("sender", mail.from));
    if (mail.to.empty())
        return fail(ErrorKind::usage, "the mail has no recipient");
    for (auto const& address : mail.to)
        TRY(check_address("recipient", address));
    if (mail.subject.find_first_of(kLineBreakers) != std::string::npos) {
        return fail(ErrorKind::usage,
                    fmt::format("the subject '{}' holds a line break", printable(mail.subject)));
    }
    return {};
}

std::string format_mail(Mail const& mail, Time date, std::string_view message_id) {
    assert(check_mail(mail) && message_id.find_first_of(kLineBreakers) == std::string_view::npos);
    std::string to;
    for (auto const& address : mail.to) {
        if (!to.empty())
            to += ",\r\n ";
        to += header_address(address);
    }
    return fmt::format(
        "Date: {}\r\n"
        "From: {}\r\n"
        "To: {}\r\n"
        "Subject: {}\r\n"
        "Message-ID: <{}>\r\n"
        "Auto-Submitted: auto-generated\r\n"
        "MIME-Version: 1.0\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n"
        "\r\n"
        "{}",
        header_date(date), header_address(mail.from), to, header_text(mail.subject), message_id,
        quoted_printable(mail.body));
}

}  // namespace holdfast
