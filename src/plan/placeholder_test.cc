#include "plan/placeholder.h"

#include <gtest/gtest.h>

namespace holdfast::plan {
namespace {

Result<std::string> lookup(Placeholder const& placeholder) {
    if (placeholder.name == "to")
        return std::string("latest");
    if (placeholder.name == "evil")
        return std::string("${to} == x");
    if (placeholder.name == "restore" && placeholder.output == "point")
        return std::string("3f2a");
    if (placeholder.name == "empty")
        return std::string();
    return fail(ErrorKind::not_found, "no value for '" + placeholder.name + "'");
}

std::string filled(std::string_view text) {
    auto result = fill(text, lookup);
    return result ? *result : "failed: " + result.error().message;
}

bool when(std::string_view text) {
    auto condition = parse_condition(text);
    EXPECT_TRUE(condition) << text;
    return condition && holds(*condition, lookup).value_or(false);
}

TEST(Placeholder, AreFilledInOnce) {
    EXPECT_EQ(filled("plain"), "plain");
    EXPECT_EQ(filled("${to}"), "latest");
    EXPECT_EQ(filled("a ${to} b ${restore.point}${to}"), "a latest b 3f2alatest");
    EXPECT_EQ(filled("costs $5, {to}, $${to}"), "costs $5, {to}, ${to}");
    EXPECT_EQ(filled("${evil}"), "${to} == x") << "a value is not looked at again";
    EXPECT_EQ(filled("${none}"), "failed: no value for 'none'");
}

TEST(Placeholder, RefusesWhatItCannotRead) {
    for (auto text : {"${", "${}", "${a", "${a b}", "${.x}", "${a.}", "${a.b.c}", "${${to}}"}) {
        EXPECT_FALSE(placeholders(text)) << text;
    }
    auto found = *placeholders("${a} $${b} ${c.d}");
    ASSERT_EQ(found.size(), 2u);
    EXPECT_EQ(found[0].name, "a");
    EXPECT_EQ(found[1].output, "d");
}

TEST(Placeholder, FillsWholeTrees) {
    auto tree = *value_from_json(R"({"a": ["${to}", 5, {"b": "${restore.point}"}], "c": true})");
    EXPECT_EQ(to_json(*fill_tree(tree, lookup)), R"({"a":["latest",5,{"b":"3f2a"}],"c":true})");
    EXPECT_FALSE(fill_tree(*value_from_json(R"(["${none}"])"), lookup));
}

TEST(Condition, Holds) {
    EXPECT_TRUE(when("${to} == latest"));
    EXPECT_FALSE(when("${to} != latest"));
    EXPECT_TRUE(when("${to}"));
    EXPECT_FALSE(when("${empty}"));
    EXPECT_FALSE(when("no"));
    EXPECT_TRUE(when("${empty} == "));
    EXPECT_FALSE(when("${evil} == x")) << "a value cannot change what is asked";
    for (auto text : {"", " ", "a b", "a = b", "a == b == c", "a > b"}) {
        EXPECT_FALSE(parse_condition(text)) << text;
    }
}

}  // namespace
}  // namespace holdfast::plan
