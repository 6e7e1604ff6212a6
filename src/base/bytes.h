#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/result.h"

namespace holdfast {

using Bytes = std::vector<std::uint8_t>;
using ByteView = std::span<std::uint8_t const>;
using ByteSpan = std::span<std::uint8_t>;

inline ByteView as_bytes(std::string_view text) {
    return {reinterpret_cast<std::uint8_t const*>(text.data()), text.size()};
}
inline std::string_view as_text(ByteView bytes) {
    return {reinterpret_cast<char const*>(bytes.data()), bytes.size()};
}
inline Bytes to_bytes(std::string_view text) {
    auto view = as_bytes(text);
    return {view.begin(), view.end()};
}
inline std::string to_text(ByteView bytes) { return std::string(as_text(bytes)); }

// Lower-case hexadecimal.
std::string to_hex(ByteView bytes);

// How many bytes `parts` hold together.
inline std::uint64_t total_size(std::span<ByteView const> parts) {
    std::uint64_t size = 0;
    for (auto part : parts) size += part.size();
    return size;
}
// Refuses odd lengths, and everything but 0-9 and lower-case a-f: one value has one spelling.
Result<Bytes> from_hex(std::string_view text);

// Appends little-endian integers and length-prefixed runs to a buffer.
class ByteWriter {
  public:
    template <typename T>
        requires std::is_integral_v<T>
    void integer(T value) {
        static_assert(std::endian::native == std::endian::little);
        auto at = bytes_.size();
        bytes_.resize(at + sizeof value);
        std::memcpy(bytes_.data() + at, &value, sizeof value);
    }
    void u8(std::uint8_t value) { bytes_.push_back(value); }
    void u16(std::uint16_t value) { integer(value); }
    void u32(std::uint32_t value) { integer(value); }
    void u64(std::uint64_t value) { integer(value); }
    void i64(std::int64_t value) { integer(value); }
    // LEB128: 7 bits a byte, least significant first.
    void varint(std::uint64_t value);
    void raw(ByteView bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
    // varint length, then the bytes.
    void blob(ByteView bytes) {
        varint(bytes.size());
        raw(bytes);
    }
    void blob(std::string_view text) { blob(as_bytes(text)); }

    std::size_t size() const { return bytes_.size(); }
    ByteView view() const { return bytes_; }
    Bytes take() { return std::move(bytes_); }

  private:
    Bytes bytes_;
};

// Reads what ByteWriter wrote, from bytes that are not trusted: every read is checked, a failed read
// yields zero or empty and makes ok() false for good. Callers check ok() before they use what they
// read to allocate or to loop, and finish with done().
class ByteReader {
  public:
    explicit ByteReader(ByteView bytes) : rest_(bytes) {}

    template <typename T>
        requires std::is_integral_v<T>
    T integer() {
        T value{};
        auto bytes = raw(sizeof value);
        if (bytes.size() == sizeof value) std::memcpy(&value, bytes.data(), sizeof value);
        return value;
    }
    std::uint8_t u8() { return integer<std::uint8_t>(); }
    std::uint16_t u16() { return integer<std::uint16_t>(); }
    std::uint32_t u32() { return integer<std::uint32_t>(); }
    std::uint64_t u64() { return integer<std::uint64_t>(); }
    std::int64_t i64() { return integer<std::int64_t>(); }
    // Refuses over-long spellings, so that one value has one encoding.
    std::uint64_t varint();
    ByteView raw(std::size_t size);
    ByteView blob() {
        auto size = varint();
        return size > rest_.size() ? raw(rest_.size() + 1) : raw(size);
    }
    std::string text() { return to_text(blob()); }
    // A count of things of which each takes at least `item_bytes_min` (>= 1) of what is left: safe to
    // reserve for. A larger count fails.
    std::size_t count(std::size_t item_bytes_min);

    std::size_t remaining() const { return rest_.size(); }
    bool ok() const { return ok_; }
    // True when everything was read and nothing failed.
    bool done() const { return ok_ && rest_.empty(); }

  private:
    ByteView rest_;
    bool ok_ = true;
};

}  // namespace holdfast
