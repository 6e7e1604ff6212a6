#pragma once

// For tests alone: a repository with points, in memory.

#include <gtest/gtest.h>

#include "repo/test_world.h"
#include "repo/verify.h"

namespace holdfast {

// A tree for these tests: the contents of its files, one behind the other; they are called 0, 1, ….
inline Result<void> walk_test_tree(Fetch& fetch, RecoveryPoint const& point, TreeVisitor const& visitor,
                            std::stop_token stop) {
    auto bytes = fetch.content(point.tree, 1u << 30, stop);
    if (!bytes) return visitor.damaged("", bytes.error());
    ByteReader reader(*bytes);
    for (int i = 0; reader.remaining() > 0; ++i) {
        auto content = TRY(decode_content(reader));
        TRY(visitor.content(std::to_string(i), content));
    }
    return {};
}

class PointsTest : public testing::Test {
  protected:
    void SetUp() override {
        auto bundle = create_repository(store, world, as_bytes("password"), {});
        ASSERT_TRUE(bundle) << bundle.error().message;
        keys = std::move(*bundle);
        repository = open();
        ASSERT_TRUE(repository);
    }

    // As a new client would: nothing is remembered.
    std::unique_ptr<Repository> open() {
        auto opened = open_repository(store, keys.clone(), world, {}, {});
        EXPECT_TRUE(opened) << opened.error().message;
        return opened ? std::move(*opened) : nullptr;
    }

    PointInfo back_up(std::string const& dataset, std::vector<Bytes> const& files) {
        auto ingest = *repository->begin_ingest(
            {.pack_bytes = pack_bytes, .packs_in_flight_max = 2, .frames_in_flight_bytes = 8u << 20, .zstd_level = 1,
             .parity_percent = parity},
            {});
        ByteWriter tree;
        for (auto const& file : files) {
            auto stream = ingest->open_stream(ChunkKind::data, {.cut = Layout::Cut::pages, .cuts = {}});
            EXPECT_TRUE(stream->append(file));
            encode(*stream->finish(), tree);
        }
        auto stream = ingest->open_stream(ChunkKind::tree, {});
        EXPECT_TRUE(stream->append(tree.view()));
        RecoveryPoint point;
        point.dataset = dataset;
        point.kind = "files";
        point.time = point.started = world.clock.now();
        point.root = "/";
        point.tree = *stream->finish();
        point.files = files.size();
        EXPECT_TRUE(ingest->flush());
        point.stored = ingest->statistics().bytes_stored;
        auto published = repository->publish(*ingest, point, {});
        EXPECT_TRUE(published) << published.error().message;
        clock.advance(std::chrono::seconds(1));
        return *published;
    }

    // What the point's files are, or the first reason why they can't be had.
    Result<std::vector<Bytes>> restore(PointInfo const& point) {
        auto fetch = TRY(repository->begin_fetch({}, {}));
        std::vector<Bytes> files;
        auto tree = TRY(fetch->content(point.point.tree, 1u << 30, {}));
        ByteReader reader(tree);
        while (reader.remaining() > 0) {
            auto content = TRY(decode_content(reader));
            files.push_back(TRY(fetch->content(content, 1u << 30, {})));
        }
        return files;
    }

    Result<Verification> verify(bool data) {
        return verify_repository(*repository, {.data = data}, walk_test_tree, {}, {});
    }
    Verification verified(bool data) {
        auto found = verify(data);
        EXPECT_TRUE(found) << found.error().message;
        return found ? std::move(*found) : Verification{};
    }

    unsigned parity = 0;  // per cent
    std::size_t pack_bytes = 1u << 20;
    TestStore store;
    ManualClock clock{*parse_rfc3339("2026-11-22T10:00:00Z")};
    SeededRandom random{3};
    std::unique_ptr<Executor> executor = make_thread_executor(2);
    RepositoryWorld world{clock, random, *executor, {}, {}};
    KeyBundle keys;
    std::unique_ptr<Repository> repository;
};

}  // namespace holdfast
