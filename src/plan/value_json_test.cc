#include <gtest/gtest.h>

#include "plan/value.h"

namespace holdfast::plan {
namespace {

TEST(ValueJson, RoundTripsEveryTypeInOrder) {
    std::string text =
        R"({"z":1,"a":[true,null,-9223372036854775808,1.5,"ä\n\u0000"],"m":{"k":{}},"e":[]})";
    auto value = value_from_json(text);
    ASSERT_TRUE(value.has_value()) << value.error().message;
    EXPECT_EQ(to_json(*value), text);
    auto again = value_from_json(to_json(*value));
    ASSERT_TRUE(again.has_value());
    EXPECT_EQ(*again, *value);
    EXPECT_TRUE(value->find("e")->is_list());
    EXPECT_EQ(to_json(Value()), "null");
}

TEST(ValueJson, KeepsNumbersOfEitherType) {
    auto value = value_from_json("[1.0,1,18446744073709551615,0.1]");
    ASSERT_TRUE(value.has_value());
    EXPECT_NE(value->items()[0].number(), nullptr);
    EXPECT_NE(value->items()[1].integer(), nullptr);
    EXPECT_NE(value->items()[2].number(), nullptr);
    auto again = value_from_json(to_json(*value));
    ASSERT_TRUE(again.has_value());
    EXPECT_EQ(*again, *value);
}

TEST(ValueJson, ReplacesWhatIsNotUtf8) {
    EXPECT_EQ(to_json(Value(std::string("a\xff"))), "\"a\xef\xbf\xbd\"");
}

TEST(ValueJson, RefusesWhatItShould) {
    for (std::string text :
         {"", "{", "[1,]", "{\"a\":1} x", "{\"a\":1,\"a\":2}", "nul", "\"\xff\"", "1e999"}) {
        auto value = value_from_json(text);
        EXPECT_FALSE(value.has_value()) << text;
    }
    EXPECT_TRUE(value_from_json(std::string(64, '[') + std::string(64, ']')).has_value());
    auto deep = value_from_json(std::string(100'000, '['));
    ASSERT_FALSE(deep.has_value());
    EXPECT_NE(deep.error().message.find("64 levels"), std::string::npos);
}

}  // namespace
}  // namespace holdfast::plan
