#pragma once

// For tests alone: a repository in memory, and machines that use it.

#include <filesystem>
#include <gtest/gtest.h>

#include "repo/test_world.h"

namespace holdfast {

struct TestMachines : testing::Test {
    SeededRandom random{5};
    ManualClock clock{*parse_rfc3339("2026-01-01T00:00:00Z")};
    std::unique_ptr<Executor> executor = make_seeded_executor(1);
    std::filesystem::path directory = make_directory();
    TestStore store;
    ByteView password = as_bytes("correct horse");
    KeyBundle admin = create_repository(store, world("none"), password, {}).value();

    static std::filesystem::path make_directory() {
        auto pattern = (std::filesystem::temp_directory_path() / "machines-XXXXXX").string();
        return mkdtemp(pattern.data());
    }
    ~TestMachines() override { std::filesystem::remove_all(directory); }

    // Each machine has directories of its own.
    RepositoryWorld world(std::string const& machine) {
        return {clock, random, *executor, directory / machine / "state", directory / machine / "cache"};
    }
};

}  // namespace holdfast
