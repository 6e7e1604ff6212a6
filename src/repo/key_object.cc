// How a bundle is stored: under keys/ (certificate, and the bundle wrapped by a password), and as a
// key file that its holder keeps.
#include <cassert>
#include <fmt/format.h>

#include "base/text.h"
#include "repo/json_object.h"
#include "repo/keys.h"

namespace holdfast {
namespace {

// magic "HFK1" | certificate length (4) | certificate (JSON) | admin's signature (64) | wrapped (1)
// | [argon2 memory in bytes (8) | passes (4) | salt (16) | sealed bundle] | SHA-256 of all before
// (32)
constexpr std::string_view kKeyMagic = "HFK1";
constexpr std::string_view kCertificateSignatureText = "holdfast 1 key certificate";
constexpr std::size_t kChecksumBytes = 32;
constexpr std::size_t kSaltBytes = 16;
// What a store may make us spend on a password.
constexpr Argon2Cost kCostMax{.memory_bytes = 1u << 30, .passes = 16};

Bytes joined(std::string_view text, ByteView bytes) {
    auto all = to_bytes(text);
    all.insert(all.end(), bytes.begin(), bytes.end());
    return all;
}

std::string certificate_text(KeyBundle const& bundle) {
    JsonObject json;
    json.set_hex("id", bundle.id.view());
    json.set_hex("repository", bundle.repository.view());
    json.set("roles", to_text(bundle.roles));
    json.set_hex("sign", bundle.sign.public_key);
    json.set("label", bundle.label);
    return json.dump();
}

Result<KeyCertificate> parse_certificate(std::string_view text) {
    auto json = TRY(JsonObject::parse(text));
    KeyCertificate certificate;
    certificate.id = json.id<BundleId>("id");
    certificate.repository = json.id<RepositoryId>("repository");
    auto roles = parse_roles(json.text("roles"));
    certificate.sign_public = json.array<SignPublicKey>("sign");
    certificate.label = json.text("label");
    if (!json.ok() || !roles)
        return fail(ErrorKind::damaged, "certificate is not what was written");
    certificate.roles = *roles;
    return certificate;
}

struct KeyObject {
    std::string_view certificate;
    Signature signature{};
    bool wrapped = false;
    Argon2Cost cost;
    ByteView salt, associated, sealed;
};

Result<KeyObject> split_object(ByteView object) {
    auto damaged = [](std::string message) {
        return fail(ErrorKind::damaged, "key object " + std::move(message));
    };
    if (object.size() < kKeyMagic.size() + kChecksumBytes)
        return damaged("ends too early");
    auto body = object.first(object.size() - kChecksumBytes);
    auto checksum = sha256(body);
    if (!std::ranges::equal(checksum, object.subspan(body.size())))
        return damaged("does not fit its checksum");
    // From here on, what does not fit was written so.
    ByteReader reader(body);
    KeyObject parts;
    if (as_text(reader.raw(kKeyMagic.size())) != kKeyMagic)
        return damaged("has a format of another kind");
    auto size = reader.u32();
    parts.certificate = as_text(reader.raw(size));
    auto signature = reader.raw(parts.signature.size());
    auto wrapped = reader.u8();
    if (!reader.ok() || wrapped > 1)
        return damaged("is malformed");
    std::ranges::copy(signature, parts.signature.begin());
    parts.wrapped = wrapped == 1;
    if (parts.wrapped) {
        parts.cost.memory_bytes = reader.u64();
        parts.cost.passes = reader.u32();
        parts.salt = reader.raw(kSaltBytes);
        parts.associated = body.first(body.size() - reader.remaining());
        parts.sealed = reader.raw(reader.remaining());
    }
    if (!reader.done())
        return damaged("is malformed");
    return parts;
}

}  // namespace

Result<Bytes> wrap_bundle(KeyBundle const& bundle, SignKey const& admin,
                          std::optional<ByteView> password, Random& random) {
    auto certificate = certificate_text(bundle);
    ByteWriter writer;
    writer.raw(as_bytes(kKeyMagic));
    writer.u32(static_cast<std::uint32_t>(certificate.size()));
    writer.raw(as_bytes(certificate));
    writer.raw(admin.sign(joined(kCertificateSignatureText, as_bytes(certificate))));
    writer.u8(password ? 1 : 0);
    if (password) {
        Argon2Cost cost;
        std::array<std::uint8_t, kSaltBytes> salt;
        random.fill(salt);
        writer.u64(cost.memory_bytes);
        writer.u32(cost.passes);
        writer.raw(salt);
        auto key = TRY(argon2id(*password, salt, cost, 32));
        writer.raw(xchacha_seal(key.view(), random, writer.view(), encode(bundle).view()));
    }
    writer.raw(sha256(writer.view()));
    return writer.take();
}

Result<KeyCertificate> read_certificate(ByteView object, std::optional<SignPublicKey> admin) {
    auto parts = TRY(split_object(object));
    if (admin && !signature_fits(*admin, joined(kCertificateSignatureText, as_bytes(parts.certificate)),
                                 parts.signature))
        return fail(ErrorKind::damaged, "key object is not certified by the admin");
    auto certificate = TRY(parse_certificate(parts.certificate));
    certificate.has_password = parts.wrapped;
    return certificate;
}

Result<KeyBundle> unwrap_bundle(ByteView object, ByteView password) {
    auto parts = TRY(split_object(object));
    if (!parts.wrapped)
        return fail(ErrorKind::key_refused, "this key has no password", "use its key file");
    if (!is_sane(parts.cost) || parts.cost.memory_bytes > kCostMax.memory_bytes ||
        parts.cost.passes > kCostMax.passes)
        return fail(ErrorKind::damaged, "key object asks for too much memory or time");
    auto key = TRY(argon2id(password, parts.salt, parts.cost, 32));
    auto plain = xchacha_open(key.view(), parts.associated, parts.sealed);
    if (!plain)
        return fail(ErrorKind::key_refused, "wrong password");
    auto bundle = decode_bundle(*plain);
    wipe(*plain);
    if (!bundle)
        return bundle;
    if (certificate_text(*bundle) != parts.certificate)
        return fail(ErrorKind::damaged, "key object's certificate is of another bundle");
    if (!signature_fits(bundle->admin_public, joined(kCertificateSignatureText, as_bytes(parts.certificate)),
                        parts.signature))
        return fail(ErrorKind::damaged, "key object is not certified by the admin");
    return bundle;
}

namespace {

constexpr std::string_view kFileBegin = "-----BEGIN HOLDFAST KEY 1-----\n";
constexpr std::string_view kFileEnd = "-----END HOLDFAST KEY 1-----\n";
constexpr std::size_t kHexLine = 64;

std::string key_file_head(KeyBundle const& bundle) {
    return fmt::format("{}{} of repository {}\nkey {}\nlabel {}\n\n", kFileBegin,
                       to_text(bundle.roles), bundle.repository.hex(), bundle.id.hex(),
                       printable(bundle.label));
}

}  // namespace

std::string to_key_file(KeyBundle const& bundle) {
    auto secret = encode(bundle);
    // Reserved at once: a growing string would leave keys behind in freed memory.
    auto text = key_file_head(bundle);
    text.reserve(text.size() + 3 * secret.size() + 200);
    constexpr std::string_view digits = "0123456789abcdef";
    std::size_t column = 0;
    for (auto byte : secret.view()) {
        text += digits[byte >> 4];
        text += digits[byte & 15];
        column += 2;
        if (column == kHexLine) {
            text += '\n';
            column = 0;
        }
    }
    if (column != 0)
        text += '\n';
    text += "sha256 " + to_hex(sha256(secret.view())) + "\n";
    text += kFileEnd;
    return text;
}

Result<KeyBundle> parse_key_file(std::string_view text) {
    auto damaged = [] {
        return fail(ErrorKind::damaged, "key file is not what was written",
                    "take another copy of it, or export a new one with `holdfast key export`");
    };
    if (!text.starts_with(kFileBegin) && text.find(kFileEnd) == text.npos &&
        text.find("HOLDFAST KEY") == text.npos)
        return fail(ErrorKind::usage, "this is no key file", "make one with `holdfast key export`");
    auto blank = text.find("\n\n");
    auto sum = text.find("sha256 ");
    if (blank == text.npos || sum == text.npos || sum < blank + 2)
        return damaged();
    auto hex = text.substr(blank + 2, sum - blank - 2);
    auto secret = Secret::of_size(hex.size() / 2);
    std::size_t digits = 0;
    for (char c : hex) {
        if (c == '\n')
            continue;
        auto value = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (value < 0 || digits / 2 >= secret.size())
            return damaged();
        auto& byte = secret.writable()[digits / 2];
        byte = static_cast<std::uint8_t>(byte << 4 | value);
        ++digits;
    }
    auto bundle = decode_bundle(secret.view().first(digits / 2));
    if (!bundle)
        return damaged();
    // One bundle has one spelling: whatever differs from it anywhere is damage.
    auto again = to_key_file(*bundle);
    auto same = again == text;
    wipe(again);
    if (!same)
        return damaged();
    return bundle;
}

}  // namespace holdfast
