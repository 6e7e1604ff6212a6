// SHA-256, HMAC and HKDF over OpenSSL's plain SHA-256 functions: their state is a value, so a keyed
// state is copied in 112 bytes where the EVP interface allocates for each message.
#include <algorithm>
#include <cassert>
#include <cstring>
#include <openssl/sha.h>
#include <utility>

#include "crypto/crypto.h"

namespace holdfast {
namespace {

constexpr std::size_t kBlockBytes = 64;

static_assert(sizeof(SHA256_CTX) == sizeof(HmacKey::State));

SHA256_CTX start() {
    SHA256_CTX context;
    SHA256_Init(&context);
    return context;
}

void update(SHA256_CTX& context, ByteView bytes) {
    if (!bytes.empty())
        SHA256_Update(&context, bytes.data(), bytes.size());
}

Hash32 finish(SHA256_CTX& context) {
    Hash32 hash;
    SHA256_Final(hash.data(), &context);
    return hash;
}

SHA256_CTX load(HmacKey::State const& state) {
    SHA256_CTX context;
    std::memcpy(&context, state.data(), sizeof context);
    return context;
}

}  // namespace

Hash32 sha256(ByteView bytes) {
    auto context = start();
    update(context, bytes);
    return finish(context);
}

Sha256::Sha256() : context_(new SHA256_CTX(start())) {}
Sha256::~Sha256() {
    delete static_cast<SHA256_CTX*>(context_);
}
Sha256::Sha256(Sha256&& other) noexcept : context_(std::exchange(other.context_, nullptr)) {}
Sha256& Sha256::operator=(Sha256&& other) noexcept {
    std::swap(context_, other.context_);
    return *this;
}
void Sha256::update(ByteView bytes) {
    holdfast::update(*static_cast<SHA256_CTX*>(context_), bytes);
}
Hash32 Sha256::finish() {
    return holdfast::finish(*static_cast<SHA256_CTX*>(context_));
}

HmacKey::HmacKey(ByteView key) {
    std::array<std::uint8_t, kBlockBytes> block{};
    if (key.size() > kBlockBytes) {
        auto hashed = sha256(key);
        std::ranges::copy(hashed, block.begin());
        wipe(hashed);
    } else {
        std::ranges::copy(key, block.begin());
    }
    auto keyed = [&](std::uint8_t pad, State& state) {
        auto padded = block;
        for (auto& byte : padded)
            byte ^= pad;
        auto context = start();
        update(context, padded);
        std::memcpy(state.data(), &context, sizeof context);
        wipe(padded);
    };
    keyed(0x36, inner_);
    keyed(0x5c, outer_);
    wipe(block);
}

HmacKey::~HmacKey() {
    wipe({reinterpret_cast<std::uint8_t*>(inner_.data()), sizeof inner_});
    wipe({reinterpret_cast<std::uint8_t*>(outer_.data()), sizeof outer_});
}

Hash32 HmacKey::of(ByteView bytes) const {
    auto inner = load(inner_);
    update(inner, bytes);
    auto hash = finish(inner);
    auto outer = load(outer_);
    update(outer, hash);
    return finish(outer);
}

Hash32 HmacKey::of(ByteView first, ByteView second) const {
    auto inner = load(inner_);
    update(inner, first);
    update(inner, second);
    auto hash = finish(inner);
    auto outer = load(outer_);
    update(outer, hash);
    return finish(outer);
}

Secret hkdf_sha256(ByteView key, ByteView salt, ByteView info, std::size_t size) {
    assert(size > 0 && size <= 255 * sizeof(Hash32));
    auto extracted = HmacKey(salt).of(key);
    HmacKey expand(extracted);
    wipe(extracted);

    auto result = Secret::of_size(size);
    // T(n) = HMAC(PRK, T(n-1) ‖ info ‖ n), RFC 5869 section 2.3.
    auto input = Secret::of_size(sizeof(Hash32) + info.size() + 1);
    std::size_t previous = 0;
    std::uint8_t n = 0;
    for (std::size_t done = 0; done < size;) {
        auto bytes = input.writable();
        std::ranges::copy(info, bytes.begin() + static_cast<std::ptrdiff_t>(previous));
        bytes[previous + info.size()] = ++n;
        auto block = expand.of(bytes.first(previous + info.size() + 1));
        auto take = std::min(sizeof block, size - done);
        std::memcpy(result.writable().data() + done, block.data(), take);
        std::memcpy(bytes.data(), block.data(), sizeof block);
        wipe(block);
        previous = sizeof block;
        done += take;
    }
    return result;
}

}  // namespace holdfast
