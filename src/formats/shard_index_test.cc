#include "formats/shard_index.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

Result<ShardIndex> parse(std::string_view json) { return parse_shard_index(as_bytes(json)); }

TEST(ShardIndex, SaysWhichTensorIsInWhichFile) {
    auto index = parse(R"({"metadata":{"total_size":12},"weight_map":{"a":"x-1.safetensors","b":"x-2.safetensors","c":"x-1.safetensors"}})");
    ASSERT_TRUE(index) << index.error().message;
    EXPECT_EQ(index->tensors, 3u);
    EXPECT_EQ(index->shards.at("x-1.safetensors"), (std::vector<std::string>{"a", "c"}));
}

TEST(ShardIndex, RefusesWhatIsNoneAndFilesElsewhere) {
    for (auto const* bad : {"", "[]", "{", "{}", R"({"weight_map":[]})", R"({"weight_map":{}})", R"({"weight_map":{"a":1}})"}) {
        auto index = parse(bad);
        ASSERT_FALSE(index) << bad;
        EXPECT_EQ(index.error().kind, ErrorKind::damaged) << bad;
    }
    for (auto const* elsewhere : {"../x", "/etc/passwd", "a/b", "..", "", "a\\\\b", "a\\u0000b"}) {
        auto index = parse(std::string(R"({"weight_map":{"a":")") + elsewhere + R"("}})");
        ASSERT_FALSE(index) << elsewhere;
        EXPECT_EQ(index.error().kind, ErrorKind::unsafe) << elsewhere;
    }
    EXPECT_FALSE(parse(std::string(200'000, '[')));
}

}  // namespace
}  // namespace holdfast
