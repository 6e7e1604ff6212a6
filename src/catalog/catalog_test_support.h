#pragma once

#include <cstdlib>
#include <filesystem>
#include <gtest/gtest.h>
#include <string>

#include "catalog/catalog.h"
#include "os/clock.h"

namespace holdfast::catalog {

inline Time const kStart = Time(std::chrono::seconds(1'795'344'000));  // 2026-11-22T12:00:00Z

// A catalog in a directory of its own, under a clock that the test moves.
class CatalogTest : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = ::testing::TempDir() + "/catalog-XXXXXX";
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        directory = pattern;
    }
    void TearDown() override { std::filesystem::remove_all(directory); }

    std::filesystem::path path() const { return directory / "state" / "catalog.sqlite"; }
    Catalog open() {
        auto catalog = Catalog::open(path(), clock);
        EXPECT_TRUE(catalog.has_value()) << catalog.error().message;
        return std::move(*catalog);
    }

    std::filesystem::path directory;
    ManualClock clock{kStart};
};

inline Point make_point(std::string id, Time time) {
    Point point;
    point.repository = "repo-1";
    point.id = std::move(id);
    point.dataset = "database";
    point.kind = "postgres";
    point.time = time;
    point.bytes = 1000;
    point.attributes = {{"lsn", "0/3000028"}, {"quote\"", "ä\n"}};
    return point;
}

}  // namespace holdfast::catalog
