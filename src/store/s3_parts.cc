#include "store/s3_parts.h"

#include <charconv>

#include "base/text.h"
#include "store/s3_xml.h"

namespace holdfast::s3 {

std::vector<ByteView> slice(std::span<ByteView const> parts, std::uint64_t offset,
                            std::uint64_t length) {
    std::vector<ByteView> result;
    for (auto part : parts) {
        if (length == 0)
            break;
        if (offset >= part.size()) {
            offset -= part.size();
            continue;
        }
        auto rest = part.subspan(offset);
        rest = rest.first(std::min<std::uint64_t>(rest.size(), length));
        result.push_back(rest);
        length -= rest.size();
        offset = 0;
    }
    return result;
}

std::string hex_sha256(std::span<ByteView const> parts) {
    Sha256 hash;
    for (auto part : parts)
        hash.update(part);
    return to_hex(hash.finish());
}

std::string base64(ByteView bytes) {
    constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        auto group = bytes.subspan(i, std::min<std::size_t>(3, bytes.size() - i));
        std::uint32_t bits = static_cast<std::uint32_t>(group[0]) << 16;
        if (group.size() > 1)
            bits |= static_cast<std::uint32_t>(group[1]) << 8;
        if (group.size() > 2)
            bits |= group[2];
        text += kDigits[bits >> 18 & 63];
        text += kDigits[bits >> 12 & 63];
        text += group.size() > 1 ? kDigits[bits >> 6 & 63] : '=';
        text += group.size() > 2 ? kDigits[bits & 63] : '=';
    }
    return text;
}

std::optional<std::uint64_t> parse_number(std::string_view text) {
    std::uint64_t value = 0;
    auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || error != std::errc() || at != text.data() + text.size())
        return std::nullopt;
    return value;
}

std::optional<Error> error_in_success(HttpAnswer const& answer, std::string_view root) {
    auto text = as_text(answer.body);
    auto parsed = parse_xml(text);
    if (parsed && parsed->name == "Error") {
        return Error{ErrorKind::unreachable,
                     fmt::format("the server says {} and then {}: {}", answer.status,
                                 printable(parsed->text_of("Code")),
                                 printable(parsed->text_of("Message").substr(0, 300))),
                     {}};
    }
    if (root.empty() || (parsed && parsed->name == root))
        return std::nullopt;
    return Error{
        ErrorKind::unreachable,
        fmt::format("the server's answer is not whole (a {} of {} bytes)", root, text.size()),
        "check that the endpoint is an S3 server"};
}

}  // namespace holdfast::s3
