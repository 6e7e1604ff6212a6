#pragma once

// For tests alone: a repository with an admin, a reader and a writer in a simulated store, and what was promised
// in it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "repo/key_changes.h"
#include "repo/test_files.h"
#include "store/test_interruption.h"

namespace holdfast {

struct KeyOrigin {
    SimulatedObjects objects;
    KeyBundle admin, reader, writer;
};
// Made once: deriving from a password costs more than all the rest.
inline KeyOrigin const& key_origin() {
    static KeyOrigin const made = [] {
        SeededRandom random{11};
        ManualClock clock{*parse_rfc3339("2026-01-01T00:00:00Z")};
        auto executor = make_seeded_executor(1);
        SimulatedObjects objects;
        SimulatedStore store(objects, clock);
        RepositoryWorld world{clock, random, *executor, {}, {}};
        auto admin = create_repository(store, world, as_bytes("correct horse"), {}).value();
        auto repository = open_repository(store, admin.clone(), world, {}, {}).value();
        auto add = [&](Role role) {
            return add_bundle(*repository, {.roles = static_cast<Roles>(role), .label = ""}, {}).value();
        };
        auto reader = add(Role::reader), writer = add(Role::writer);
        return KeyOrigin{std::move(objects), std::move(admin), std::move(reader), std::move(writer)};
    }();
    return made;
}

struct KeyStore : testing::Test {
    SeededRandom random{5};
    ManualClock clock{*parse_rfc3339("2026-01-02T00:00:00Z")};
    std::unique_ptr<Executor> executor = make_seeded_executor(1);
    SimulatedObjects objects = key_origin().objects;
    SimulatedStore store{objects, clock};
    KeyBundle const& admin = key_origin().admin;
    KeyBundle const& reader = key_origin().reader;
    KeyBundle const& writer = key_origin().writer;
    std::map<PointId, TestFiles> acknowledged;
    int files_made = 0;

    Result<std::unique_ptr<Repository>> open(KeyBundle const& keys, Store& on) {
        return open_repository(on, keys.clone(), {clock, random, *executor, {}, {}}, {}, {});
    }
    TestFiles fresh_files() {
        return {Bytes(2000, static_cast<std::uint8_t>(++files_made)), to_bytes("file " + std::to_string(files_made))};
    }
    Result<PointInfo> try_back_up(KeyBundle const& keys, Store& on, TestFiles const& files, std::string pair = "") {
        auto repository = TRY(open(keys, on));
        auto ingest = TRY(repository->begin_ingest({.parity_percent = 0, .pair = std::move(pair)}, {}));
        auto point = TRY(capture_test_files(*ingest, files, "d"));
        clock.advance(std::chrono::seconds(1));
        point.time = clock.now();
        auto info = TRY(repository->publish(*ingest, std::move(point), {}));
        acknowledged[info.id] = files;
        return info;
    }
    PointInfo back_up(KeyBundle const& keys, TestFiles const& files, std::string pair = "") {
        auto info = try_back_up(keys, store, files, std::move(pair));
        EXPECT_TRUE(info) << info.error().message;
        return info ? *info : PointInfo{};
    }
    void back_up(KeyBundle const& keys) { (void)back_up(keys, fresh_files()); }
    // Everything that was acknowledged is listed, confirmed, and restores for a reader whose key nobody touched.
    void check(std::string const& context) {
        auto repository = open(reader, store);
        ASSERT_TRUE(repository) << context << ": " << repository.error().message;
        auto list = (*repository)->points({});
        ASSERT_TRUE(list) << context << ": " << list.error().message;
        auto fetch = (*repository)->begin_fetch({}, {}).value();
        std::size_t found = 0;
        for (auto const& info : list->points) {
            auto expected = acknowledged.find(info.id);
            if (expected == acknowledged.end()) continue;
            ++found;
            EXPECT_TRUE(info.confirmed) << context;
            auto restored = restore_test_files(*fetch, info.point);
            ASSERT_TRUE(restored) << context << ": " << restored.error().message;
            EXPECT_EQ(*restored, expected->second) << context;
        }
        EXPECT_EQ(found, acknowledged.size()) << context;
    }
};

}  // namespace holdfast
