#include "repo/envelope.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace holdfast {
namespace {

using testing::HasSubstr;

struct EnvelopeTest : testing::Test {
    SeededRandom random{7};
    KeyBundle admin = generate_first_bundle(random, "first");
    KeyBundle writer = generate_bundle(admin, static_cast<Roles>(Role::writer), "writer", random);
    KeyBundle reader = generate_bundle(admin, static_cast<Roles>(Role::reader), "reader", random);

    static KeyCertificate certificate(KeyBundle const& keys) {
        return {keys.id, keys.repository, keys.roles, keys.sign.public_key, keys.label,
                false};
    }
    Result<KeyCertificate> find(BundleId const& id) const {
        for (auto const* keys : {&admin, &writer, &reader})
            if (keys->id == id)
                return certificate(*keys);
        return fail(ErrorKind::damaged,
                    "is signed by " + id.brief() + ", which no admin certified");
    }
    Result<OpenDocument> open(DocumentKind kind, KeyBundle const& keys, ByteView bytes) const {
        return open_document(kind, keys, bytes, [&](BundleId const& id) { return find(id); });
    }
    void expect_damaged(Result<OpenDocument> const& result, std::string const& message) const {
        ASSERT_FALSE(result);
        EXPECT_EQ(result.error().kind, ErrorKind::damaged);
        EXPECT_THAT(result.error().message, HasSubstr(message));
    }
};

TEST_F(EnvelopeTest, OpensForEveryBundleOfTheRepository) {
    auto sealed = seal_document(DocumentKind::point, writer, as_bytes("hello"), random);
    EXPECT_EQ(sealed.size(), 5 + kEnvelopeOverheadBytes);
    for (auto const* keys : {&admin, &writer, &reader}) {
        auto document = open(DocumentKind::point, *keys, sealed);
        ASSERT_TRUE(document);
        EXPECT_EQ(to_text(document->plain), "hello");
        EXPECT_EQ(document->signer.id, writer.id);
        EXPECT_EQ(document->signer.label, "writer");
    }
    auto empty = seal_document(DocumentKind::index, writer, {}, random);
    EXPECT_TRUE(open(DocumentKind::index, admin, empty)->plain.empty());
}

TEST_F(EnvelopeTest, SeesEveryFlipAndEveryTruncation) {
    auto sealed = seal_document(DocumentKind::log, writer, as_bytes("some text of a log"), random);
    for (std::size_t i = 0; i < sealed.size(); ++i) {
        for (std::uint8_t bit = 1; bit != 0; bit = static_cast<std::uint8_t>(bit << 1)) {
            auto flipped = sealed;
            flipped[i] ^= bit;
            expect_damaged(open(DocumentKind::log, reader, flipped), "");
        }
        expect_damaged(open(DocumentKind::log, reader, ByteView(sealed).first(i)), "");
    }
    auto longer = sealed;
    longer.push_back(0);
    expect_damaged(open(DocumentKind::log, reader, longer), "signature does not fit");
    expect_damaged(open(DocumentKind::log, reader, {}), "ends too early");
}

TEST_F(EnvelopeTest, TellsOtherRepositoryKindAndSigner) {
    auto point = seal_document(DocumentKind::point, writer, as_bytes("p"), random);
    expect_damaged(open(DocumentKind::log, admin, point), "is a recovery point, not a log entry");

    auto stranger = generate_first_bundle(random, "elsewhere");
    expect_damaged(open(DocumentKind::point, stranger, point), "belongs to another repository");

    auto uncertified = writer.clone();
    random.fill(uncertified.id.bytes);
    expect_damaged(open(DocumentKind::point, admin,
                        seal_document(DocumentKind::point, uncertified, as_bytes("p"), random)),
                   "which no admin certified");

    // The certified id with another signing key.
    auto forger = writer.clone();
    forger.sign = SignKey::generate(random);
    expect_damaged(open(DocumentKind::point, admin,
                        seal_document(DocumentKind::point, forger, as_bytes("p"), random)),
                   "signature does not fit");

    // The right signer and a wrong index key: an old key, or a forger without it.
    auto keyless = writer.clone();
    keyless.index_key = Secret::of_size(32);
    expect_damaged(open(DocumentKind::point, admin,
                        seal_document(DocumentKind::point, keyless, as_bytes("p"), random)),
                   "seal does not fit");
}

TEST_F(EnvelopeTest, RolesDecideWhoSignsWhat) {
    // A writer that pretends to be an admin towards seal_document() only.
    auto liar = writer.clone();
    liar.roles = kAllRoles;
    expect_damaged(open(DocumentKind::receipt, admin,
                        seal_document(DocumentKind::receipt, liar, as_bytes("r"), random)),
                   "a writer, which may not sign a receipt");
    expect_damaged(open(DocumentKind::proven, admin,
                        seal_document(DocumentKind::proven, liar, as_bytes("r"), random)),
                   "may not sign a proof");
    auto reading = reader.clone();
    reading.roles = kAllRoles;
    expect_damaged(open(DocumentKind::point, admin,
                        seal_document(DocumentKind::point, reading, as_bytes("r"), random)),
                   "a reader, which may not sign");
}

}  // namespace
}  // namespace holdfast
