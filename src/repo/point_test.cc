#include "repo/point.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "repo/receipt.h"

namespace holdfast {
namespace {

using testing::HasSubstr;

std::string every_byte() {
    std::string text;
    for (int byte = 0; byte < 256; ++byte)
        text += static_cast<char>(byte);
    return text;
}

struct PointTest : testing::Test {
    SeededRandom random{5};
    KeyBundle admin = generate_first_bundle(random, "first");
    KeyBundle writer = generate_bundle(admin, static_cast<Roles>(Role::writer), "w", random);

    RecoveryPoint point = example();
    SealedPoint sealed = seal_point(point, writer, random);

    Result<KeyCertificate> find(BundleId const& id) const {
        for (auto const* keys : {&admin, &writer})
            if (keys->id == id)
                return KeyCertificate{keys->id,    keys->repository,
                                      keys->roles, keys->sign.public_key,
                                      keys->label, false};
        return fail(ErrorKind::damaged, "unknown");
    }
    CertificateLookup lookup = [this](BundleId const& id) { return find(id); };

    static RecoveryPoint example() {
        RecoveryPoint point;
        point.dataset = "files:/caf\xc3\xa9";
        point.kind = "files";
        point.started = *parse_rfc3339("1969-12-31T23:59:59.999999999Z");
        point.time = *parse_rfc3339("2261-12-31T00:00:00Z");
        point.root = "/" + every_byte();
        point.tree.size = 1'000'000'000'000;
        point.tree.depth = 0;
        ChunkId id;
        id.bytes.fill(0xab);
        point.tree.extents = {{id, 7, 1000}, {std::nullopt, 0, 999'999'999'000}};
        point.files = ~0ull;
        point.bytes = 1ull << 63;
        point.host = "h\"\\";
        point.version = "0.1.0";
        point.attributes = {{"lsn", "0/3000028"}, {every_byte(), every_byte()}, {"", ""}};
        return point;
    }
};

TEST_F(PointTest, DocumentKeepsEveryField) {
    auto decoded = decode_point(encode(point));
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(*decoded, point);
    EXPECT_EQ(encode(*decoded), encode(point));
    RecoveryPoint empty;
    EXPECT_EQ(*decode_point(encode(empty)), empty);
}

TEST_F(PointTest, DocumentRefusesWhatIsMissingOrMalformed) {
    auto text = encode(point);
    EXPECT_FALSE(decode_point(""));
    EXPECT_FALSE(decode_point("[]"));
    EXPECT_FALSE(decode_point("{}"));
    EXPECT_FALSE(decode_point(std::string(100'000, '[')));
    for (auto member : {"\"tree\":", "\"time\":", "\"root\":", "\"files\":", "\"attributes\":"}) {
        auto other = text;
        other.replace(other.find(member), 2, "\"x");
        EXPECT_EQ(decode_point(other).error().kind, ErrorKind::damaged) << member;
    }
    auto negative = text;
    auto at = negative.find("\"files\":") + 8;
    negative.insert(at, "-");
    EXPECT_FALSE(decode_point(negative));
    // A member of a later version is passed over.
    EXPECT_TRUE(decode_point("{\"later\":[1]," + text.substr(1)));
}

TEST_F(PointTest, KeysHaveOneSpelling) {
    auto tag = dataset_tag(writer, "x");
    auto key = point_key(tag, point.time, sealed.id);
    auto parsed = parse_point_key(key);
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->dataset, tag);
    EXPECT_EQ(parsed->time, point.time);
    EXPECT_EQ(parsed->id, sealed.id);
    for (std::size_t i = 0; i < key.size(); ++i)
        EXPECT_FALSE(parse_point_key(key.substr(0, i)));
    EXPECT_FALSE(parse_point_key(key + "0"));
    auto upper = key;
    upper.back() = 'A';
    EXPECT_FALSE(parse_point_key(upper));
}

TEST_F(PointTest, OpensAndNamesItsWriter) {
    auto info = open_point(sealed.key, sealed.object, admin, lookup);
    ASSERT_TRUE(info) << info.error().message;
    EXPECT_EQ(info->point, point);
    EXPECT_EQ(info->writer, writer.id);
    EXPECT_EQ(info->id, sealed.id);
    EXPECT_FALSE(info->confirmed);
}

TEST_F(PointTest, SeesEveryFlipAndTruncation) {
    for (std::size_t i = 0; i < sealed.object.size(); ++i) {
        auto flipped = sealed.object;
        flipped[i] ^= static_cast<std::uint8_t>(1u << (i % 8));
        EXPECT_EQ(open_point(sealed.key, flipped, admin, lookup).error().kind, ErrorKind::damaged);
        // Also when the store renames it so that the hash fits.
        auto parsed = *parse_point_key(sealed.key);
        auto renamed = point_key(parsed.dataset, parsed.time, PointId{sha256(flipped)});
        EXPECT_EQ(open_point(renamed, flipped, admin, lookup).error().kind, ErrorKind::damaged);
        EXPECT_FALSE(open_point(sealed.key, ByteView(sealed.object).first(i), admin, lookup));
    }
}

TEST_F(PointTest, ANameOfAnotherTimeDatasetOrPointIsRefused) {
    auto parsed = *parse_point_key(sealed.key);
    auto other = point_key(parsed.dataset, parsed.time, PointId{sha256(as_bytes("other"))});
    EXPECT_THAT(open_point(other, sealed.object, admin, lookup).error().message,
                HasSubstr("does not fit its id"));
    auto later = point_key(parsed.dataset, parsed.time - std::chrono::hours(1), parsed.id);
    EXPECT_THAT(open_point(later, sealed.object, admin, lookup).error().message,
                HasSubstr("name of another one"));
    auto moved = point_key(dataset_tag(writer, "y"), parsed.time, parsed.id);
    EXPECT_THAT(open_point(moved, sealed.object, admin, lookup).error().message,
                HasSubstr("name of another one"));
}

TEST_F(PointTest, ReceiptIsOfItsPointAndByAnAdmin) {
    Receipt receipt{sealed.id, *parse_rfc3339("2026-01-01T00:00:00Z")};
    auto key = receipt_key(sealed.id);
    auto object = seal_receipt(receipt, admin, random);
    EXPECT_EQ(open_receipt(key, object, writer, lookup)->received, receipt.received);
    PointId other;
    EXPECT_THAT(open_receipt(receipt_key(other), object, writer, lookup).error().message,
                HasSubstr("another point"));
    auto liar = writer.clone();
    liar.roles = kAllRoles;
    EXPECT_THAT(
        open_receipt(key, seal_receipt(receipt, liar, random), admin, lookup).error().message,
        HasSubstr("may not sign a receipt"));
    for (std::size_t i = 0; i < object.size(); ++i) {
        auto flipped = object;
        flipped[i] ^= 0x10;
        EXPECT_EQ(open_receipt(key, flipped, admin, lookup).error().kind, ErrorKind::damaged);
        EXPECT_FALSE(open_receipt(key, ByteView(object).first(i), admin, lookup));
    }
}

}  // namespace
}  // namespace holdfast
