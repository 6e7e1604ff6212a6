#include "base/bytes.h"

namespace holdfast {

std::string to_hex(ByteView bytes) {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    text.reserve(bytes.size() * 2);
    for (auto byte : bytes) {
        text.push_back(kDigits[byte >> 4]);
        text.push_back(kDigits[byte & 15]);
    }
    return text;
}

Result<Bytes> from_hex(std::string_view text) {
    auto digit = [](char c) {
        if (c >= '0' && c <= '9') return c - '0';
        if (c >= 'a' && c <= 'f') return c - 'a' + 10;
        return -1;
    };
    if (text.size() % 2 != 0) return fail(ErrorKind::usage, "hexadecimal text has an odd length");
    Bytes bytes;
    bytes.reserve(text.size() / 2);
    for (std::size_t i = 0; i < text.size(); i += 2) {
        auto high = digit(text[i]);
        auto low = digit(text[i + 1]);
        if (high < 0 || low < 0) {
            return fail(ErrorKind::usage, "not hexadecimal (lower case): '" + std::string(text) + "'");
        }
        bytes.push_back(static_cast<std::uint8_t>(high << 4 | low));
    }
    return bytes;
}

void ByteWriter::varint(std::uint64_t value) {
    while (value >= 0x80) {
        u8(static_cast<std::uint8_t>(value) | 0x80);
        value >>= 7;
    }
    u8(static_cast<std::uint8_t>(value));
}

std::uint64_t ByteReader::varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        auto byte = u8();
        if (!ok_) return 0;
        auto bits = static_cast<std::uint64_t>(byte & 0x7f);
        if (shift == 63 && bits > 1) break;
        value |= bits << shift;
        if ((byte & 0x80) == 0) {
            if (byte == 0 && shift != 0) break;
            return value;
        }
    }
    ok_ = false;
    rest_ = {};
    return 0;
}

ByteView ByteReader::raw(std::size_t size) {
    if (!ok_ || size > rest_.size()) {
        ok_ = false;
        rest_ = {};
        return {};
    }
    auto bytes = rest_.first(size);
    rest_ = rest_.subspan(size);
    return bytes;
}

std::size_t ByteReader::count(std::size_t item_bytes_min) {
    auto value = varint();
    if (value > rest_.size() / item_bytes_min) {
        ok_ = false;
        rest_ = {};
        return 0;
    }
    return value;
}

}  // namespace holdfast
