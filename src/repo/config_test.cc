#include "repo/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "repo/test_world.h"

namespace holdfast {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

struct ConfigTest : testing::Test {
    SeededRandom random{3};
    KeyBundle admin = generate_first_bundle(random, "first");
    RepositoryConfig config{.version = kFormatVersion,
                            .repository = admin.repository,
                            .created = *parse_rfc3339("2026-11-22T10:31:07.000000001Z"),
                            .chunk_min = 256u << 10,
                            .chunk_average = 1u << 20,
                            .chunk_max = 4u << 20,
                            .pack = 32u << 20,
                            .admin = admin.admin_public,
                            .data_key = data_key_id(admin.data_public)};
    std::string text = encode(config, *admin.admin_sign);
    TestStore store;

    void put(std::string_view key, std::string_view content) {
        store.objects[std::string(key)] = to_bytes(content);
    }
};

TEST_F(ConfigTest, IsReadAsItWasWritten) {
    auto parsed = parse_config(text);
    ASSERT_TRUE(parsed);
    EXPECT_EQ(*parsed, config);
    EXPECT_THAT(text, testing::StartsWith("{\n  \"holdfast\": 1,\n  \"repository\": \""));
}

TEST_F(ConfigTest, SeesEveryFlipAndTruncation) {
    for (std::size_t i = 0; i < text.size(); ++i) {
        for (int bit = 1; bit < 256; bit <<= 1) {
            auto flipped = text;
            flipped[i] = static_cast<char>(flipped[i] ^ bit);
            EXPECT_FALSE(parse_config(flipped)) << i << " " << bit;
        }
        EXPECT_FALSE(parse_config(text.substr(0, i))) << i;
    }
    EXPECT_FALSE(parse_config(text + "\n"));
    EXPECT_FALSE(parse_config(text + text));
}

TEST_F(ConfigTest, OtherValuesNeedTheAdminsSignature) {
    auto other = config;
    other.chunk_min = 1;
    auto stranger = SignKey::generate(random);
    EXPECT_THAT(parse_config(encode(other, stranger)).error().message, HasSubstr("signature"));
}

TEST_F(ConfigTest, ALaterVersionIsNewerNotDamaged) {
    auto later = config;
    later.version = 2;
    auto signed_later = parse_config(encode(later, *admin.admin_sign));
    EXPECT_EQ(signed_later.error().kind, ErrorKind::usage);
    EXPECT_THAT(signed_later.error().message, HasSubstr("newer than this program"));
    // Whatever a later version writes behind it.
    EXPECT_EQ(parse_config(R"({"holdfast":7,"shape":["new"]})").error().kind, ErrorKind::usage);
    EXPECT_EQ(parse_config(R"({"holdfast":0})").error().kind, ErrorKind::damaged);
    EXPECT_EQ(parse_config(R"({"holdfast":"7"})").error().kind, ErrorKind::damaged);
}

TEST_F(ConfigTest, TheCopyHelpsAndIsReported) {
    put(kConfigKey, text);
    put(kConfigCopyKey, text);
    EXPECT_THAT(load_config(store, {})->notices, IsEmpty());

    store.objects.erase(std::string(kConfigKey));
    auto loaded = load_config(store, {});
    ASSERT_TRUE(loaded);
    EXPECT_EQ(loaded->config, config);
    EXPECT_THAT(loaded->notices, ElementsAre(HasSubstr("missing: its copy")));

    // Also for a flip that turns version 1 into 3.
    for (auto at : {text.find(": 1") + 2, text.size() / 2}) {
        auto flipped = text;
        flipped[at] = static_cast<char>(flipped[at] ^ 2);
        put(kConfigKey, flipped);
        loaded = load_config(store, {});
        ASSERT_TRUE(loaded);
        EXPECT_THAT(loaded->notices, ElementsAre(HasSubstr("damaged: its copy")));
    }
}

TEST_F(ConfigTest, SaysWhatIsWrongWhenTheCopyDoesNotHelp) {
    EXPECT_EQ(load_config(store, {}).error().kind, ErrorKind::not_found);
    put(kConfigKey, "rubbish");
    EXPECT_EQ(load_config(store, {}).error().kind, ErrorKind::damaged);
    put(kConfigCopyKey, "rubbish");
    EXPECT_THAT(load_config(store, {}).error().message, HasSubstr("holdfast.json"));
    store.objects.erase(std::string(kConfigKey));
    EXPECT_EQ(load_config(store, {}).error().kind, ErrorKind::damaged);
    put(kConfigKey, R"({"holdfast":2})");
    put(kConfigCopyKey, R"({"holdfast":2})");
    EXPECT_EQ(load_config(store, {}).error().kind, ErrorKind::usage);
    store.before = [](auto, auto const&) { return fail(ErrorKind::unreachable, "down"); };
    EXPECT_EQ(load_config(store, {}).error().kind, ErrorKind::unreachable);
}

}  // namespace
}  // namespace holdfast
