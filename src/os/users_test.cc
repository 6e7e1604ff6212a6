#include "os/users.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

TEST(Users, FindsRootByNameAndNumber) {
    auto by_name = lookup_user("root");
    ASSERT_TRUE(by_name) << by_name.error().message;
    EXPECT_EQ(by_name->uid, 0U);
    EXPECT_EQ(by_name->home, "/root");
    auto by_number = lookup_user(uid_t{0});
    ASSERT_TRUE(by_number);
    EXPECT_EQ(by_number->name, "root");
}

TEST(Users, UnknownUserIsNotFound) {
    auto user = lookup_user("no-such-user-here");
    ASSERT_FALSE(user);
    EXPECT_EQ(user.error().kind, ErrorKind::not_found);
    EXPECT_EQ(user.error().message, "user 'no-such-user-here': no such user on this machine");
}

TEST(Users, RememberedNamesAgree) {
    for (int turn = 0; turn < 2; ++turn) {
        EXPECT_EQ(user_name(0), "root");
        EXPECT_EQ(group_name(0), "root");
        EXPECT_EQ(user_by_name("root"), uid_t{0});
        EXPECT_EQ(group_by_name("root"), gid_t{0});
        EXPECT_EQ(user_name(3999999999U), std::nullopt);
        EXPECT_EQ(group_name(3999999999U), std::nullopt);
        EXPECT_EQ(user_by_name("no-such-user-here"), std::nullopt);
        EXPECT_EQ(group_by_name("no-such-group-here"), std::nullopt);
    }
}

}  // namespace
}  // namespace holdfast
