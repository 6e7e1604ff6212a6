#pragma once

#include <array>
#include <compare>
#include <cstring>
#include <functional>
#include <string>

#include "base/bytes.h"

namespace holdfast {

// A name of `N` bytes; the tag keeps kinds apart. Written as lower-case hexadecimal.
template <typename Tag, std::size_t N>
struct Id {
    std::array<std::uint8_t, N> bytes{};

    static constexpr std::size_t kSize = N;
    auto operator<=>(Id const&) const = default;
    ByteView view() const { return bytes; }
    std::string hex() const { return to_hex(bytes); }
    // For messages: the first eight digits.
    std::string brief() const { return hex().substr(0, 8); }
    static Result<Id> from_hex(std::string_view text) {
        auto raw = TRY(holdfast::from_hex(text));
        if (raw.size() != N) return fail(ErrorKind::usage, "wrong length of id '" + std::string(text) + "'");
        return from_bytes(raw);
    }
    // `raw` has N bytes (asserted by the caller's format checks).
    static Id from_bytes(ByteView raw) {
        Id id;
        std::memcpy(id.bytes.data(), raw.data(), N);
        return id;
    }
};

using RepositoryId = Id<struct RepositoryTag, 16>;
using BundleId = Id<struct BundleTag, 16>;     // a key bundle, and so a writer
using DataKeyId = Id<struct DataKeyTag, 8>;    // first bytes of SHA-256 of a data public key
using ChunkId = Id<struct ChunkTag, 32>;       // HMAC-SHA-256(id key, bytes)
using PackId = Id<struct PackTag, 32>;         // SHA-256 of the sealed directory
using PointId = Id<struct PointTag, 32>;       // SHA-256 of the point object
using DatasetTag = Id<struct DatasetNameTag, 32>;  // HMAC-SHA-256(derived key, dataset name)

}  // namespace holdfast

template <typename Tag, std::size_t N>
struct std::hash<holdfast::Id<Tag, N>> {
    // Ids are digests: any eight bytes of them are a hash.
    std::size_t operator()(holdfast::Id<Tag, N> const& id) const noexcept {
        std::size_t value;
        std::memcpy(&value, id.bytes.data(), sizeof value);
        return value;
    }
};
