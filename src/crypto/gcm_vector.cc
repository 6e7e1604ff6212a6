#include <algorithm>
#include <sodium.h>

#include "crypto/gcm_engine.h"

#ifdef HOLDFAST_IPSEC_MB
#define NO_COMPAT_IMB_API_053  // names of old, which OpenSSL has, too
#include <intel-ipsec-mb.h>

namespace holdfast {
namespace {

// The table of functions for this processor; for good. It is only read.
IMB_MGR* manager() {
    static IMB_MGR* const made = [] {
        auto* fresh = alloc_mb_mgr(0);
        if (fresh != nullptr) init_mb_mgr_auto(fresh, nullptr);
        return fresh;
    }();
    return made;
}

// The schedule of the thread's last key: a pack, and an index, seal many things with one. Wiped when the thread ends.
class Schedule {
  public:
    Schedule() = default;
    Schedule(Schedule const&) = delete;
    ~Schedule() {
        sodium_memzero(&data_, sizeof data_);
        wipe(key_);
    }
    gcm_key_data const* of(ByteView key32) {
        if (!known_ || sodium_memcmp(key_.data(), key32.data(), key_.size()) != 0) {
            std::ranges::copy(key32, key_.begin());
            IMB_AES256_GCM_PRE(manager(), key_.data(), &data_);
            known_ = true;
        }
        return &data_;
    }

  private:
    alignas(64) gcm_key_data data_{};
    std::array<std::uint8_t, 32> key_{};
    bool known_ = false;
};
thread_local Schedule schedule;

void vector_seal(ByteView key32, GcmNonce const& nonce, ByteView associated, ByteView plain, std::uint8_t* sealed) {
    gcm_context_data context;
    IMB_AES256_GCM_ENC(manager(), schedule.of(key32), &context, sealed, plain.data(), plain.size(), nonce.data(),
                       associated.data(), associated.size(), sealed + plain.size(), kGcmTagBytes);
}

bool vector_open(ByteView key32, GcmNonce const& nonce, ByteView associated, ByteView sealed, std::uint8_t* plain) {
    gcm_context_data context;
    auto size = sealed.size() - kGcmTagBytes;
    std::array<std::uint8_t, kGcmTagBytes> tag;
    IMB_AES256_GCM_DEC(manager(), schedule.of(key32), &context, plain, sealed.data(), size, nonce.data(),
                       associated.data(), associated.size(), tag.data(), tag.size());
    return sodium_memcmp(tag.data(), sealed.data() + size, tag.size()) == 0;
}

}  // namespace

std::optional<GcmEngine> vector_gcm() {
    // The library asks the processor alone; the system has to keep such registers, too.
    if (!__builtin_cpu_supports("avx512f")) return {};
    constexpr std::uint64_t needed = IMB_FEATURE_AVX512_SKX | IMB_FEATURE_VAES | IMB_FEATURE_VPCLMULQDQ;
    auto const* found = manager();
    if (found == nullptr || (found->features & needed) != needed) return {};
    return GcmEngine{vector_seal, vector_open};
}

}  // namespace holdfast
#else
namespace holdfast {
std::optional<GcmEngine> vector_gcm() { return {}; }
}  // namespace holdfast
#endif
