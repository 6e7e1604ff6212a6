#include "repo/envelope.h"

#include <cassert>

#include "repo/approval.h"
#include "repo/wal_key.h"

namespace holdfast {
namespace {

constexpr std::string_view kEnvelopeMagic = "HFE1";
constexpr std::size_t kAssociatedBytes = kEnvelopeHeaderBytes - sizeof(Signature);
constexpr std::string_view kDocumentSignatureText = "holdfast 1 document";

Bytes associated_data(DocumentKind kind, RepositoryId const& repository, BundleId const& signer) {
    ByteWriter writer;
    writer.raw(as_bytes(kEnvelopeMagic));
    writer.u8(static_cast<std::uint8_t>(kind));
    writer.raw(repository.view());
    writer.raw(signer.view());
    return writer.take();
}

Bytes signed_text(ByteView associated, ByteView sealed) {
    Bytes text;
    text.reserve(kDocumentSignatureText.size() + associated.size() + sealed.size());
    for (auto part : {as_bytes(kDocumentSignatureText), associated, sealed})
        text.insert(text.end(), part.begin(), part.end());
    return text;
}

Secret envelope_key(KeyBundle const& keys) {
    return derive_from_index_key(keys, "holdfast 1 documents");
}

}  // namespace

std::string_view name(DocumentKind kind) {
    if (kind == kWalDocument)
        return "part of a write-ahead log";
    if (kind == kRequestDocument)
        return "request to delete";
    if (kind == kApprovalDocument)
        return "approval";
    if (kind == kUseDocument)
        return "note that a request was used";
    switch (kind) {
        case DocumentKind::index:
            return "index segment";
        case DocumentKind::point:
            return "recovery point";
        case DocumentKind::log:
            return "log entry";
        case DocumentKind::receipt:
            return "receipt";
        case DocumentKind::lease:
            return "lease";
        case DocumentKind::self:
            return "copy of our own state";
        case DocumentKind::proven:
            return "proof";
        case DocumentKind::hold:
            return "hold";
        case DocumentKind::doomed:
            return "list of doomed packs";
        case DocumentKind::watch:
            return "list of writers that were seen";
        case DocumentKind::merged:
            return "merged index segment";
        case DocumentKind::ring:
            return "key ring";
    }
    return "document";
}

Roles roles_that_sign(DocumentKind kind) {
    if (kind == kWalDocument)
        return static_cast<Roles>(Role::writer);
    if (kind == kRequestDocument || kind == kUseDocument)
        return static_cast<Roles>(Role::admin);
    // A person's: the keys of machines lie where nobody watches.
    if (kind == kApprovalDocument)
        return Role::reader | Role::admin;
    switch (kind) {
        case DocumentKind::index:
        case DocumentKind::point:
        case DocumentKind::lease:
            return static_cast<Roles>(Role::writer);
        case DocumentKind::log:
        case DocumentKind::self:
        case DocumentKind::hold:
            return Role::writer | Role::admin;
        case DocumentKind::receipt:
        case DocumentKind::doomed:
        case DocumentKind::watch:
        case DocumentKind::merged:
        case DocumentKind::ring:
            return static_cast<Roles>(Role::admin);
        case DocumentKind::proven:
            return static_cast<Roles>(Role::reader);
    }
    return 0;
}

std::optional<DocumentKind> kind_of_document(ByteView bytes) {
    if (bytes.size() < kEnvelopeOverheadBytes || as_text(bytes.first(kEnvelopeMagic.size())) != kEnvelopeMagic)
        return std::nullopt;
    return static_cast<DocumentKind>(bytes[kEnvelopeMagic.size()]);
}

Bytes seal_document(DocumentKind kind, KeyBundle const& keys, ByteView plain, Random& random) {
    assert((keys.roles & roles_that_sign(kind)) != 0);
    auto bytes = associated_data(kind, keys.repository, keys.id);
    auto sealed = xchacha_seal(envelope_key(keys).view(), random, bytes, plain);
    auto signature = keys.sign.sign(signed_text(bytes, sealed));
    bytes.insert(bytes.end(), signature.begin(), signature.end());
    bytes.insert(bytes.end(), sealed.begin(), sealed.end());
    return bytes;
}

Result<OpenDocument> open_document(DocumentKind kind, KeyBundle const& keys, ByteView bytes,
                                   CertificateLookup const& certificates) {
    auto damaged = [](std::string message) { return fail(ErrorKind::damaged, std::move(message)); };
    if (bytes.size() < kEnvelopeOverheadBytes)
        return damaged("ends too early");
    if (as_text(bytes.first(kEnvelopeMagic.size())) != kEnvelopeMagic)
        return damaged("is no sealed document");
    ByteReader reader(bytes.subspan(kEnvelopeMagic.size()));
    auto found_kind = static_cast<DocumentKind>(reader.u8());
    auto repository = RepositoryId::from_bytes(reader.raw(RepositoryId::kSize));
    auto signer = BundleId::from_bytes(reader.raw(BundleId::kSize));
    if (repository != keys.repository)
        return damaged("belongs to another repository (" + repository.brief() + ")");
    if (found_kind != kind)
        return damaged("is a " + std::string(name(found_kind)) + ", not a " +
                       std::string(name(kind)));
    auto certificate = TRY(certificates(signer));
    if ((certificate.roles & roles_that_sign(kind)) == 0)
        return damaged("is signed by " + signer.brief() + ", a " + to_text(certificate.roles) +
                       ", which may not sign a " + std::string(name(kind)));

    auto associated = bytes.first(kAssociatedBytes);
    auto sealed = bytes.subspan(kEnvelopeHeaderBytes);
    Signature signature;
    std::memcpy(signature.data(), bytes.data() + kAssociatedBytes, signature.size());
    if (!signature_fits(certificate.sign_public, signed_text(associated, sealed), signature))
        return damaged("signature does not fit");
    auto plain = TRY(xchacha_open(envelope_key(keys).view(), associated, sealed));
    return OpenDocument{std::move(plain), std::move(certificate)};
}

}  // namespace holdfast
