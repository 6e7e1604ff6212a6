#include "repo/mend.h"

#include <fmt/format.h>

#include <algorithm>

namespace holdfast {
namespace {

// What the store refuses to read as a whole is asked for in runs of so many bytes: few bytes are lost around
// a bad spot, and an object store is not asked too often.
constexpr std::uint64_t kMendStep = 64u << 10;

bool may_have_the_rest(ErrorKind kind) { return kind == ErrorKind::damaged || kind == ErrorKind::io; }

}  // namespace

Result<Bytes> read_around_damage(Store& store, PackId const& id, std::uint64_t size, std::stop_token stop) {
    if (size > kPackBytesMax) {
        return fail(ErrorKind::damaged, fmt::format("{} bytes are more than any pack has", size));
    }
    auto key = pack_key(id);
    Bytes bytes(size);
    auto whole = store.read(key, 0, bytes, stop);
    if (whole) return bytes;
    if (!may_have_the_rest(whole.error().kind)) return fail(std::move(whole.error()));
    auto there = std::min(TRY(store.head(key, stop)).size, size);
    // A read that failed may have left anything.
    std::ranges::fill(bytes, std::uint8_t{0});
    for (std::uint64_t at = 0; at < there; at += kMendStep) {
        auto piece = ByteSpan(bytes).subspan(at, std::min(kMendStep, there - at));
        auto got = store.read(key, at, piece, stop);
        if (got) continue;
        if (!may_have_the_rest(got.error().kind)) return fail(std::move(got.error()));
        std::ranges::fill(piece, std::uint8_t{0});
    }
    return bytes;
}

Result<Bytes> read_mended(Store& store, PackId const& id, std::optional<std::uint64_t> size, std::stop_token stop) {
    auto known = size.has_value();
    if (!known) size = TRY(store.head(pack_key(id), stop)).size;
    auto bytes = TRY(read_around_damage(store, id, *size, stop));
    if (!known) bytes.resize(stated_pack_bytes(bytes));
    TRY(mend_pack(bytes));
    auto trailer = TRY(decode_trailer(bytes, bytes.size()));
    auto hash = sha256(ByteView(bytes).subspan(trailer.directory_offset, trailer.directory_bytes));
    if (PackId::from_bytes(hash) != id) return fail(ErrorKind::damaged, "holds another pack under this name");
    return bytes;
}

}  // namespace holdfast
