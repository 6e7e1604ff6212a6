#include "repo/frame.h"

#include <algorithm>
#include <cassert>

namespace holdfast {
namespace {

constexpr std::string_view kPackMagic = "HFP1";

// HKDF over the shared secret, bound to the repository and to both public keys (as RFC 9180 binds
// them), so that a pack does not open under another header or in another repository.
Result<Secret> pack_key(ByteView private_key, BoxPublicKey const& peer, RepositoryId const& repository,
                        BoxPublicKey const& ephemeral, BoxPublicKey const& data_public) {
    auto shared = TRY(x25519(private_key, peer));
    Bytes salt(repository.bytes.begin(), repository.bytes.end());
    salt.insert(salt.end(), ephemeral.begin(), ephemeral.end());
    auto info = to_bytes("holdfast pack key 1");
    info.insert(info.end(), data_public.begin(), data_public.end());
    return hkdf_sha256(shared.view(), salt, info, 32);
}

GcmNonce nonce_of(std::uint32_t number) {
    GcmNonce nonce{};
    std::memcpy(nonce.data(), &number, sizeof number);
    return nonce;
}

}  // namespace

Bytes encode(PackHeader const& header) {
    ByteWriter writer;
    writer.raw(as_bytes(kPackMagic));
    writer.raw(header.data_key.view());
    writer.raw(header.ephemeral);
    return writer.take();
}

Result<PackHeader> decode_pack_header(ByteView bytes) {
    if (bytes.size() != kPackHeaderBytes || as_text(bytes.first(4)) != kPackMagic) {
        return fail(ErrorKind::damaged, "does not begin as a pack");
    }
    PackHeader header;
    header.data_key = DataKeyId::from_bytes(bytes.subspan(4, DataKeyId::kSize));
    std::copy_n(bytes.begin() + 12, header.ephemeral.size(), header.ephemeral.begin());
    return header;
}

Result<PackKey> PackKey::create(RepositoryId const& repository, BoxPublicKey const& data_public,
                                Random& random, PackHeader& header) {
    auto ephemeral = BoxKey::generate(random);
    header = {.data_key = data_key_id(data_public), .ephemeral = ephemeral.public_key};
    auto key = TRY(pack_key(ephemeral.private_key.view(), data_public, repository,
                            ephemeral.public_key, data_public));
    return PackKey(repository, std::move(key));
}

Result<PackKey> PackKey::derive(RepositoryId const& repository, BoxKey const& data,
                                PackHeader const& header) {
    if (header.data_key != data_key_id(data.public_key)) {
        return fail(ErrorKind::key_refused,
                    "sealed to data key " + header.data_key.hex() + ", which this key does not hold");
    }
    auto key = pack_key(data.private_key.view(), header.ephemeral, repository, header.ephemeral,
                        data.public_key);
    // An ephemeral key of small order is none that create() wrote.
    if (!key) return fail(ErrorKind::damaged, "the pack's ephemeral key is not a key");
    return PackKey(repository, std::move(*key));
}

Bytes PackKey::associated(Slot slot) const {
    ByteWriter writer;
    writer.raw(repository_.view());
    writer.u32(slot.number);
    writer.u8(slot.kind);
    writer.u32(slot.raw_length);
    return writer.take();
}

void PackKey::seal(Slot slot, ByteView stored, ByteSpan sealed) const {
    assert(sealed.size() == stored.size() + kGcmTagBytes);
    gcm_seal(key_.view(), nonce_of(slot.number), associated(slot), stored, sealed);
}

Result<void> PackKey::open(Slot slot, ByteView sealed, ByteSpan stored) const {
    assert(sealed.size() == stored.size() + kGcmTagBytes);
    if (!gcm_open(key_.view(), nonce_of(slot.number), associated(slot), sealed, stored)) {
        return fail(ErrorKind::damaged, "the seal is broken");
    }
    return {};
}

}  // namespace holdfast
