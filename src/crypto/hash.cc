// SHA-256, HMAC and HKDF over OpenSSL's plain SHA-256 functions: their state is a value, so a keyed
// state is copied in 112 bytes where the EVP interface allocates for each message.
#include <algorithm>
#include <cassert>
#include <cstring>
#include <functional>
#include <openssl/sha.h>
#include <utility>
#include <vector>

#include "crypto/crypto.h"
#include "crypto/sha256_lanes.h"

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

namespace {

// Fewer messages than this are hashed sooner one after the other.
constexpr std::size_t kLanesWorth = 9;

// The messages of one HmacKey::of_each(), each in a lane as long as it has whole blocks.
class HmacLanes {
  public:
    HmacLanes(HmacKey::State const& inner, HmacKey::State const& outer, std::span<ByteView const> messages, std::span<Hash32> hashes)
        : inner_(load(inner)), outer_(load(outer)), messages_(messages), hashes_(hashes), order_(messages.size()) {
        for (std::size_t i = 0; i < order_.size(); ++i) order_[i] = i;
        // The longest first: the lanes end at about the same time.
        std::ranges::sort(order_, std::greater{}, [&](std::size_t i) { return messages[i].size(); });
    }
    ~HmacLanes() {
        wipe({reinterpret_cast<std::uint8_t*>(&lanes_), sizeof lanes_});
        wipe({reinterpret_cast<std::uint8_t*>(&inner_), sizeof inner_});
        wipe({reinterpret_cast<std::uint8_t*>(&outer_), sizeof outer_});
    }
    HmacLanes(HmacLanes const&) = delete;

    void run(ShaLanesKernel kernel) {
        for (std::size_t lane = 0; lane < kShaLanes; ++lane) begin(lane);
        while (static_cast<std::size_t>(std::ranges::count_if(left_, [](auto blocks) { return blocks > 0; })) >= kLanesWorth) {
            auto step = SIZE_MAX;
            for (std::size_t lane = 0; lane < kShaLanes; ++lane) {
                if (left_[lane] > 0 && left_[lane] < step) step = left_[lane], shortest_ = lane;
            }
            // Lanes without a message repeat another's, for nothing.
            for (std::size_t lane = 0; lane < kShaLanes; ++lane) {
                if (left_[lane] == 0) data_[lane] = data_[shortest_];
            }
            kernel(lanes_, data_, step);
            for (std::size_t lane = 0; lane < kShaLanes; ++lane) {
                if (left_[lane] == 0) continue;
                left_[lane] -= step;
                if (left_[lane] > 0) continue;
                end(lane);
                begin(lane);
            }
        }
        for (std::size_t lane = 0; lane < kShaLanes; ++lane) {
            if (left_[lane] > 0) end(lane);
        }
        // Those that have not begun: too short for a lane, or too few.
        for (; next_ < order_.size(); ++next_) finish_from(inner_, order_[next_], 0);
    }

  private:
    void begin(std::size_t lane) {
        if (next_ == order_.size() || messages_[order_[next_]].size() < kBlockBytes) return;
        message_[lane] = order_[next_++];
        data_[lane] = messages_[message_[lane]].data();
        left_[lane] = messages_[message_[lane]].size() / kBlockBytes;
        for (std::size_t i = 0; i < 8; ++i) lanes_.state[i][lane] = inner_.h[i];
    }

    void end(std::size_t lane) {
        auto const done = static_cast<std::size_t>(data_[lane] - messages_[message_[lane]].data());
        auto context = inner_;
        for (std::size_t i = 0; i < 8; ++i) context.h[i] = lanes_.state[i][lane];
        // Bits of the message, with the block of the key.
        auto const bits = std::uint64_t{8} * (kBlockBytes + done);
        context.Nl = static_cast<SHA_LONG>(bits);
        context.Nh = static_cast<SHA_LONG>(bits >> 32);
        finish_from(context, message_[lane], done);
        left_[lane] = 0;
    }

    void finish_from(SHA256_CTX context, std::size_t message, std::size_t done) {
        update(context, messages_[message].subspan(done));
        auto hash = finish(context);
        auto outer = outer_;
        update(outer, hash);
        hashes_[message] = finish(outer);
    }

    SHA256_CTX inner_, outer_;
    std::span<ByteView const> messages_;
    std::span<Hash32> hashes_;
    std::vector<std::size_t> order_;
    std::size_t next_ = 0;
    ShaLanes lanes_{};
    std::uint8_t const* data_[kShaLanes] = {};
    std::array<std::size_t, kShaLanes> left_{};  // whole blocks; 0: no message
    std::array<std::size_t, kShaLanes> message_{};
    std::size_t shortest_ = 0;
};

}  // namespace

void HmacKey::of_each(std::span<ByteView const> messages, std::span<Hash32> hashes) const {
    assert(messages.size() == hashes.size());
    static auto const kernel = sha_lanes_kernel();
    if (kernel != nullptr && messages.size() >= kLanesWorth) return HmacLanes(inner_, outer_, messages, hashes).run(kernel);
    for (std::size_t i = 0; i < messages.size(); ++i) hashes[i] = of(messages[i]);
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
