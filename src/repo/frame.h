#pragma once

#include "codec/codec.h"
#include "crypto/crypto.h"
#include "repo/content.h"
#include "repo/keys.h"

namespace holdfast {

// The start of a pack: to which key it is sealed.
struct PackHeader {
    DataKeyId data_key;
    BoxPublicKey ephemeral{};
    bool operator==(PackHeader const&) const = default;
};
inline constexpr std::size_t kPackHeaderBytes = 4 + 8 + 32;
Bytes encode(PackHeader const& header);
// `damaged` without the magic.
Result<PackHeader> decode_pack_header(ByteView bytes);

// What seals the frames of one pack. Its writer has it as long as it builds the pack; later only a
// holder of the data private key can derive it again.
class PackKey {
  public:
    // Draws an ephemeral key; `header` is what the pack then begins with. Fails on a public key of
    // small order.
    static Result<PackKey> create(RepositoryId const& repository, BoxPublicKey const& data_public,
                                  Random& random, PackHeader& header);
    // key_refused when the pack is sealed to another data key.
    static Result<PackKey> derive(RepositoryId const& repository, BoxKey const& data,
                                  PackHeader const& header);

    // Which run of a pack is sealed: it is bound into the seal.
    struct Slot {
        std::uint32_t number = 0;      // of the frame, kDirectory for the directory
        std::uint8_t kind = 0;         // ChunkKind, 0 for the directory
        std::uint32_t raw_length = 0;  // when decoded
    };
    static constexpr std::uint32_t kDirectory = 0xffffffff;

    // `sealed` has stored.size() + 16 bytes. Never twice for one number with other bytes: the number
    // is the nonce.
    void seal(Slot slot, ByteView stored, ByteSpan sealed) const;
    // `damaged` when it is not what was sealed in this slot of this pack of this repository. `stored`
    // has sealed.size() - 16 bytes.
    Result<void> open(Slot slot, ByteView sealed, ByteSpan stored) const;

  private:
    PackKey(RepositoryId const& repository, Secret key)
        : repository_(repository), key_(std::move(key)) {}
    Bytes associated(Slot slot) const;

    RepositoryId repository_;
    Secret key_;
};

}  // namespace holdfast
