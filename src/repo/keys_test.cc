#include "repo/keys.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace holdfast {
namespace {

using testing::HasSubstr;

struct KeysTest : testing::Test {
    SeededRandom random{11};
    KeyBundle admin = generate_first_bundle(random, "init on h\xff\n");
    KeyBundle writer = generate_bundle(admin, static_cast<Roles>(Role::writer), "w", random);
    KeyBundle reader = generate_bundle(admin, static_cast<Roles>(Role::reader), "r", random);

    // Puts a right checksum behind bytes that were changed on purpose.
    static void resum(Bytes& object) {
        auto body = ByteView(object).first(object.size() - 32);
        auto sum = sha256(body);
        std::copy(sum.begin(), sum.end(), object.end() - 32);
    }
    // Where the argon2 parameters stand: behind magic, length, certificate, signature, flag.
    static std::size_t cost_at(Bytes const& object) {
        std::uint32_t size;
        std::memcpy(&size, object.data() + 4, 4);
        return 8 + size + 64 + 1;
    }
};

TEST_F(KeysTest, RolesHaveOneSpelling) {
    EXPECT_EQ(to_text(kAllRoles), "writer+reader+admin");
    EXPECT_EQ(*parse_roles("reader+writer"), Role::writer | Role::reader);
    EXPECT_FALSE(parse_roles(""));
    EXPECT_FALSE(parse_roles("writer+"));
    EXPECT_EQ(parse_roles("root").error().kind, ErrorKind::usage);
}

TEST_F(KeysTest, BundlesHoldWhatTheirRolesNeed) {
    EXPECT_FALSE(writer.data_private);
    EXPECT_FALSE(writer.admin_sign);
    EXPECT_TRUE(reader.data_private);
    EXPECT_FALSE(reader.admin_sign);
    EXPECT_NE(writer.sign.public_key, admin.sign.public_key);
    for (auto const* keys : {&admin, &writer, &reader}) {
        auto encoded = encode(*keys);
        auto again = decode_bundle(encoded.view());
        ASSERT_TRUE(again);
        EXPECT_TRUE(encode(*again).equals(encoded.view()));
        EXPECT_EQ(again->label, keys->label);
        EXPECT_EQ(again->roles, keys->roles);
        // No private key hides in a bundle without the role.
        auto holds = [&](ByteView secret) {
            auto bytes = encoded.view();
            return std::search(bytes.begin(), bytes.end(), secret.begin(), secret.end()) !=
                   bytes.end();
        };
        EXPECT_EQ(holds(admin.data_private->view()), keys->has(Role::reader));
        EXPECT_EQ(holds(admin.admin_sign->seed.view()), keys->has(Role::admin));
        for (std::size_t i = 0; i < encoded.size(); ++i)
            EXPECT_FALSE(decode_bundle(encoded.view().first(i)));
    }
}

TEST_F(KeysTest, RefusesAPrivateKeyThatIsNotThePublicOnes) {
    auto mixed = admin.clone();
    mixed.data_public = BoxKey::generate(random).public_key;
    EXPECT_FALSE(decode_bundle(encode(mixed).view()));
    mixed = admin.clone();
    mixed.admin_public = SignKey::generate(random).public_key;
    EXPECT_FALSE(decode_bundle(encode(mixed).view()));
}

TEST_F(KeysTest, WrapsAndUnwraps) {
    auto object = wrap_bundle(admin, *admin.admin_sign, as_bytes("secret"), random).value();
    auto opened = unwrap_bundle(object, as_bytes("secret"));
    ASSERT_TRUE(opened);
    EXPECT_TRUE(encode(*opened).equals(encode(admin).view()));
    auto certificate = read_certificate(object, admin.admin_public);
    ASSERT_TRUE(certificate);
    EXPECT_EQ(certificate->id, admin.id);
    EXPECT_EQ(certificate->label, admin.label);
    EXPECT_EQ(certificate->sign_public, admin.sign.public_key);

    auto wrong = unwrap_bundle(object, as_bytes("Secret"));
    EXPECT_EQ(wrong.error().kind, ErrorKind::key_refused);
    EXPECT_EQ(unwrap_bundle(object, {}).error().kind, ErrorKind::key_refused);
}

TEST_F(KeysTest, WithoutAPasswordThereIsOnlyTheCertificate) {
    auto object = wrap_bundle(writer, *admin.admin_sign, std::nullopt, random).value();
    EXPECT_EQ(read_certificate(object, admin.admin_public)->roles, writer.roles);
    EXPECT_EQ(unwrap_bundle(object, {}).error().kind, ErrorKind::key_refused);
    EXPECT_LT(object.size(), 500u);
}

TEST_F(KeysTest, TellsDamageFromAWrongPassword) {
    auto object = wrap_bundle(admin, *admin.admin_sign, as_bytes("secret"), random).value();
    for (std::size_t i = 0; i < object.size(); ++i) {
        auto flipped = object;
        flipped[i] ^= static_cast<std::uint8_t>(1u << (i % 8));
        EXPECT_EQ(unwrap_bundle(flipped, as_bytes("secret")).error().kind, ErrorKind::damaged);
        EXPECT_EQ(unwrap_bundle(flipped, as_bytes("wrong")).error().kind, ErrorKind::damaged);
        EXPECT_EQ(read_certificate(flipped, admin.admin_public).error().kind, ErrorKind::damaged);
        auto part = ByteView(object).first(i);
        EXPECT_EQ(unwrap_bundle(part, as_bytes("secret")).error().kind, ErrorKind::damaged);
        EXPECT_EQ(read_certificate(part, {}).error().kind, ErrorKind::damaged);
    }
}

TEST_F(KeysTest, AStoreCannotMakeUsSpendMemoryOrTime) {
    auto const object = wrap_bundle(admin, *admin.admin_sign, as_bytes("secret"), random).value();
    auto with_cost = [&](std::uint64_t memory, std::uint32_t passes) {
        auto hostile = object;
        auto at = hostile.data() + cost_at(hostile);
        std::memcpy(at, &memory, sizeof memory);
        std::memcpy(at + 8, &passes, sizeof passes);
        resum(hostile);
        return unwrap_bundle(hostile, as_bytes("secret")).error();
    };
    for (auto [memory, passes] :
         std::initializer_list<std::pair<std::uint64_t, std::uint32_t>>{{~0ull, 4},
                                                                        {(1ull << 30) + 1, 1},
                                                                        {1ull << 40, 1},
                                                                        {32u << 20, 17},
                                                                        {32u << 20, ~0u},
                                                                        {32u << 20, 0},
                                                                        {0, 4}}) {
        auto error = with_cost(memory, passes);
        EXPECT_EQ(error.kind, ErrorKind::damaged) << memory << " " << passes;
        EXPECT_THAT(error.message, HasSubstr("too much"));
    }
    // Cheaper parameters within bounds open nothing: they are bound into the seal.
    EXPECT_EQ(with_cost(16u << 20, 4).kind, ErrorKind::key_refused);
}

TEST_F(KeysTest, AStoreCannotCertifyAWriterOfItsOwn) {
    auto stranger = generate_first_bundle(random, "stranger");
    auto forged = wrap_bundle(writer, *stranger.admin_sign, as_bytes("secret"), random).value();
    EXPECT_THAT(read_certificate(forged, admin.admin_public).error().message,
                HasSubstr("not certified by the admin"));
    EXPECT_TRUE(read_certificate(forged, {}));
    EXPECT_EQ(unwrap_bundle(forged, as_bytes("secret")).error().kind, ErrorKind::damaged);

    // More roles than the admin gave.
    auto object = wrap_bundle(writer, *admin.admin_sign, std::nullopt, random).value();
    std::string text = to_text(object);
    auto at = text.find("writer");
    ASSERT_NE(at, text.npos);
    text.replace(at, 6, "reader");
    auto promoted = to_bytes(text);
    resum(promoted);
    EXPECT_EQ(read_certificate(promoted, admin.admin_public).error().kind, ErrorKind::damaged);
    EXPECT_TRUE(read_certificate(promoted, {}));
}

TEST_F(KeysTest, ABundleUnderTheCertificateOfAnotherIsRefused) {
    // Made by somebody who knows the password: the writer's certificate, an admin's bundle.
    auto object = wrap_bundle(writer, *admin.admin_sign, as_bytes("secret"), random).value();
    auto salt_at = cost_at(object) + 12;
    auto key = argon2id(as_bytes("secret"), ByteView(object).subspan(salt_at, 16), {}, 32).value();
    object.resize(salt_at + 16);
    auto sealed = xchacha_seal(key.view(), random, object, encode(admin).view());
    object.insert(object.end(), sealed.begin(), sealed.end());
    object.resize(object.size() + 32);
    resum(object);
    auto opened = unwrap_bundle(object, as_bytes("secret"));
    ASSERT_FALSE(opened);
    EXPECT_THAT(opened.error().message, HasSubstr("of another bundle"));
}

TEST_F(KeysTest, KeyFileSurvivesAndShowsEveryFlip) {
    for (auto const* keys : {&admin, &writer}) {
        auto const text = to_key_file(*keys);
        auto again = parse_key_file(text);
        ASSERT_TRUE(again);
        EXPECT_TRUE(encode(*again).equals(encode(*keys).view()));
        for (std::size_t i = 0; i < text.size(); ++i) {
            for (auto bit : {1, 32}) {  // 32 changes the case of a letter
                auto flipped = text;
                flipped[i] = static_cast<char>(flipped[i] ^ bit);
                EXPECT_EQ(parse_key_file(flipped).error().kind, ErrorKind::damaged) << i;
            }
            if (i >= 30) {
                EXPECT_EQ(parse_key_file(text.substr(0, i)).error().kind, ErrorKind::damaged) << i;
            }
        }
        EXPECT_EQ(parse_key_file(text + "\n").error().kind, ErrorKind::damaged);
    }
    for (auto none : {"", "hello", "-----BEGIN OPENSSH PRIVATE KEY-----\n"})
        EXPECT_EQ(parse_key_file(none).error().kind, ErrorKind::usage);
}

TEST_F(KeysTest, DatasetTagsAreTheSameForAllBundlesAndDifferByName) {
    EXPECT_EQ(dataset_tag(admin, "db"), dataset_tag(writer, "db"));
    EXPECT_NE(dataset_tag(admin, "db"), dataset_tag(admin, "models"));
    auto other = generate_first_bundle(random, "other");
    EXPECT_NE(dataset_tag(admin, "db"), dataset_tag(other, "db"));
    EXPECT_FALSE(
        derive_from_index_key(admin, "a").equals(derive_from_index_key(admin, "b").view()));
}

}  // namespace
}  // namespace holdfast
