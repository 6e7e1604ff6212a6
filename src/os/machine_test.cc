#include "os/machine.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast {
namespace {

TEST(Machine, KnowsItself) {
    EXPECT_FALSE(host_name().empty());
    EXPECT_EQ(boot_id().size(), 36U);
    EXPECT_EQ(process_id(), getpid());
}

TEST(Machine, ProcessNameIsShortAndPlain) {
    auto name = process_name();
    EXPECT_EQ(name, process_name());
    EXPECT_LE(name.size(), 80U);
    EXPECT_EQ(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-"), std::string::npos);
}

TEST(Machine, TellsLivingFromDeadProcesses) {
    EXPECT_TRUE(process_may_live(process_name()));

    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        auto name = process_name();
        _exit(write(ends[1], name.data(), name.size()) == static_cast<ssize_t>(name.size()) ? 0
                                                                                            : 1);
    }
    char buffer[100];
    auto size = read(ends[0], buffer, sizeof buffer);
    std::string name(buffer, static_cast<std::size_t>(size));
    EXPECT_NE(name, process_name());
    waitpid(pid, nullptr, 0);
    EXPECT_FALSE(process_may_live(name));
    close(ends[0]);
    close(ends[1]);
}

TEST(Machine, AnotherProcessWithTheSameNumberIsAnotherProcess) {
    auto name = process_name();
    auto earlier = name.substr(0, name.rfind('-') + 1) + "1";
    EXPECT_FALSE(process_may_live(earlier));
}

TEST(Machine, WhatCannotBeToldMayLive) {
    EXPECT_TRUE(process_may_live("0123456789abcdef-4026531836-999999-1"));
    EXPECT_TRUE(process_may_live(""));
    EXPECT_TRUE(process_may_live("what is this"));
    auto name = process_name();
    EXPECT_TRUE(process_may_live(name + "x"));
}

TEST(Machine, FreeSpaceOfAPath) {
    auto space = space_of("/");
    ASSERT_TRUE(space);
    EXPECT_GT(space->total, space->available);
    EXPECT_GT(space->available, 0U);
    auto missing = space_of("/no/such/place");
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().kind, ErrorKind::not_found);
}

}  // namespace
}  // namespace holdfast
