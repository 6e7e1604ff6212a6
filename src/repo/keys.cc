#include "repo/keys.h"

#include <cassert>
#include <utility>

namespace holdfast {
namespace {

// magic "HFB1" | bundle id (16) | repository id (16) | roles (1) | id key (32) | index key (32) |
// data public key (32) | [reader: data private key (32)] | signing seed (32) | admin public key
// (32) | [admin: admin seed (32)] | label length (2) | label
constexpr std::string_view kBundleMagic = "HFB1";
constexpr std::size_t kLabelBytesMax = 200;

std::string cut(std::string_view label) { return std::string(label.substr(0, kLabelBytesMax)); }

Secret random_secret(Random& random, std::size_t size) {
    auto secret = Secret::of_size(size);
    random.fill(secret.writable());
    return secret;
}

template <typename Id>
Id random_id(Random& random) {
    Id id;
    random.fill(id.bytes);
    return id;
}

// Fills a Secret of the exact size: a growing buffer would leave keys behind in freed memory.
class SecretWriter {
  public:
    explicit SecretWriter(std::size_t size) : secret_(Secret::of_size(size)) {}
    void raw(ByteView bytes) {
        assert(at_ + bytes.size() <= secret_.size());
        if (!bytes.empty())
            std::memcpy(secret_.writable().data() + at_, bytes.data(), bytes.size());
        at_ += bytes.size();
    }
    void u8(std::uint8_t value) { raw({&value, 1}); }
    Secret take() {
        assert(at_ == secret_.size());
        return std::move(secret_);
    }

  private:
    Secret secret_;
    std::size_t at_ = 0;
};

Error not_a_bundle() {
    return {ErrorKind::damaged, "key bundle is not what was written", {}};
}

}  // namespace

std::string to_text(Roles roles) {
    std::string text;
    for (auto [role, word] : {std::pair{Role::writer, "writer"}, std::pair{Role::reader, "reader"},
                              std::pair{Role::admin, "admin"}}) {
        if ((roles & static_cast<Roles>(role)) == 0)
            continue;
        if (!text.empty())
            text += '+';
        text += word;
    }
    return text;
}

Result<Roles> parse_roles(std::string_view text) {
    Roles roles = 0;
    for (auto rest = text;;) {
        auto word = rest.substr(0, rest.find('+'));
        if (word == "writer") {
            roles |= static_cast<Roles>(Role::writer);
        } else if (word == "reader") {
            roles |= static_cast<Roles>(Role::reader);
        } else if (word == "admin") {
            roles |= static_cast<Roles>(Role::admin);
        } else {
            return fail(ErrorKind::usage, "no role '" + std::string(word) + "'",
                        "roles are writer, reader, admin, joined by '+'");
        }
        if (word.size() == rest.size())
            return roles;
        rest.remove_prefix(word.size() + 1);
    }
}

KeyBundle KeyBundle::clone() const {
    KeyBundle copy;
    copy.id = id;
    copy.repository = repository;
    copy.roles = roles;
    copy.id_key = id_key.clone();
    copy.index_key = index_key.clone();
    copy.data_public = data_public;
    if (data_private)
        copy.data_private = data_private->clone();
    copy.sign = sign.clone();
    copy.admin_public = admin_public;
    if (admin_sign)
        copy.admin_sign = admin_sign->clone();
    copy.label = label;
    return copy;
}

Secret derive_from_index_key(KeyBundle const& keys, std::string_view purpose, std::size_t size) {
    return hkdf_sha256(keys.index_key.view(), keys.repository.view(), as_bytes(purpose), size);
}

DatasetTag dataset_tag(KeyBundle const& keys, std::string_view dataset) {
    auto key = derive_from_index_key(keys, "holdfast 1 dataset tag");
    return DatasetTag{HmacKey(key.view()).of(as_bytes(dataset))};
}

DataKeyId data_key_id(BoxPublicKey const& data_public) {
    return DataKeyId::from_bytes(sha256(data_public));
}

KeyBundle generate_first_bundle(Random& random, std::string label) {
    auto data = BoxKey::generate(random);
    KeyBundle bundle;
    bundle.id = random_id<BundleId>(random);
    bundle.repository = random_id<RepositoryId>(random);
    bundle.roles = kAllRoles;
    bundle.id_key = random_secret(random, 32);
    bundle.index_key = random_secret(random, 32);
    bundle.data_public = data.public_key;
    bundle.data_private = std::move(data.private_key);
    bundle.sign = SignKey::generate(random);
    bundle.admin_sign = SignKey::generate(random);
    bundle.admin_public = bundle.admin_sign->public_key;
    bundle.label = cut(label);
    return bundle;
}

KeyBundle generate_bundle(KeyBundle const& from, Roles roles, std::string label, Random& random) {
    assert(from.has(Role::admin) && from.admin_sign && roles != 0 && (roles & ~kAllRoles) == 0);
    auto bundle = from.clone();
    bundle.id = random_id<BundleId>(random);
    bundle.roles = roles;
    bundle.sign = SignKey::generate(random);
    bundle.label = cut(label);
    if (!bundle.has(Role::admin))
        bundle.admin_sign.reset();
    if (!bundle.has(Role::reader))
        bundle.data_private.reset();
    assert(!bundle.has(Role::reader) || bundle.data_private);
    return bundle;
}

Secret encode(KeyBundle const& bundle) {
    assert(bundle.has(Role::reader) == bundle.data_private.has_value());
    assert(bundle.has(Role::admin) == bundle.admin_sign.has_value());
    assert(bundle.label.size() <= kLabelBytesMax);
    auto optional = (bundle.data_private ? 32u : 0u) + (bundle.admin_sign ? 32u : 0u);
    SecretWriter writer(kBundleMagic.size() + 16 + 16 + 1 + 5 * 32 + optional + 2 +
                        bundle.label.size());
    writer.raw(as_bytes(kBundleMagic));
    writer.raw(bundle.id.view());
    writer.raw(bundle.repository.view());
    writer.u8(bundle.roles);
    writer.raw(bundle.id_key.view());
    writer.raw(bundle.index_key.view());
    writer.raw(bundle.data_public);
    if (bundle.data_private)
        writer.raw(bundle.data_private->view());
    writer.raw(bundle.sign.seed.view());
    writer.raw(bundle.admin_public);
    if (bundle.admin_sign)
        writer.raw(bundle.admin_sign->seed.view());
    writer.u8(static_cast<std::uint8_t>(bundle.label.size() & 0xff));
    writer.u8(static_cast<std::uint8_t>(bundle.label.size() >> 8));
    writer.raw(as_bytes(bundle.label));
    return writer.take();
}

Result<KeyBundle> decode_bundle(ByteView bytes) {
    ByteReader reader(bytes);
    auto take = [&]<std::size_t N>(std::array<std::uint8_t, N>& to) {
        auto raw = reader.raw(N);
        if (raw.size() == N)
            std::memcpy(to.data(), raw.data(), N);
    };
    KeyBundle bundle;
    if (as_text(reader.raw(kBundleMagic.size())) != kBundleMagic)
        return fail(not_a_bundle());
    take(bundle.id.bytes);
    take(bundle.repository.bytes);
    bundle.roles = reader.u8();
    if (bundle.roles == 0 || (bundle.roles & ~kAllRoles) != 0)
        return fail(not_a_bundle());
    bundle.id_key = Secret(reader.raw(32));
    bundle.index_key = Secret(reader.raw(32));
    take(bundle.data_public);
    auto data_private = bundle.has(Role::reader) ? reader.raw(32) : ByteView{};
    auto seed = reader.raw(32);
    take(bundle.admin_public);
    auto admin_seed = bundle.has(Role::admin) ? reader.raw(32) : ByteView{};
    auto label_size = reader.u16();
    bundle.label = to_text(reader.raw(label_size));
    if (!reader.done() || label_size > kLabelBytesMax)
        return fail(not_a_bundle());

    bundle.sign = SignKey::from_seed(seed);
    // A private key beside a public one that is not its own would seal what it cannot open.
    if (bundle.has(Role::reader)) {
        auto data = BoxKey::from_private(data_private);
        if (data.public_key != bundle.data_public)
            return fail(not_a_bundle());
        bundle.data_private = std::move(data.private_key);
    }
    if (bundle.has(Role::admin)) {
        bundle.admin_sign = SignKey::from_seed(admin_seed);
        if (bundle.admin_sign->public_key != bundle.admin_public)
            return fail(not_a_bundle());
    }
    return bundle;
}

}  // namespace holdfast
