#include "overlay/home_map.h"

#include <random>

#include <gtest/gtest.h>

#include "os/simulated_file_system.h"

namespace holdfast {
namespace {

using Statement = HomeMap::Statement;

std::vector<std::uint64_t> const kSizes{1u << 20, 100, 0, 5ull << 30};
Bytes const kIdentity(32, 7);
std::string const kMap = "/map";

TEST(BlockSet, FindsRunsAcrossWords) {
    BlockSet set(200);
    set.add({60, 70});
    set.add({60, 70});
    EXPECT_EQ(set.count(), 70u);
    EXPECT_EQ(set.next_missing(0, 200), (BlockRun{0, 60}));
    EXPECT_EQ(set.next_missing(60, 200), (BlockRun{130, 70}));
    EXPECT_EQ(set.next_held(0, 200), (BlockRun{60, 70}));
    EXPECT_EQ(set.next_held(100, 120), (BlockRun{100, 20}));
    EXPECT_EQ(set.next_missing(60, 130).count, 0u);
    set.add({190, 50});
    EXPECT_EQ(set.count(), 80u) << "blocks beyond the end are none";
    EXPECT_FALSE(set.contains(189));
    EXPECT_TRUE(set.contains(199));
}

// What was stated, in the order in which it was.
struct Model {
    std::vector<HomeState> states;
    Model() {
        for (auto size : kSizes) states.push_back({BlockSet(blocks_of(size)), size});
    }
    void take(Statement const& statement) {
        auto& state = states[statement.file];
        if (statement.kind == Statement::Kind::home) state.home.add(statement.run);
        else state.end = std::min(state.end, statement.end);
    }
};

Statement random_statement(std::mt19937_64& random) {
    Statement statement{.file = random() % 2 == 0 ? 0u : 3u};
    auto blocks = blocks_of(kSizes[statement.file]);
    if (random() % 8 == 0) {
        statement.kind = Statement::Kind::end;
        statement.end = kSizes[statement.file] - random() % 5000;
    } else {
        auto first = random() % blocks;
        statement.run = {first, 1 + random() % std::min<std::uint64_t>(blocks - first, 100)};
    }
    return statement;
}

// Every block of `part` is in `whole`.
bool lies_in(BlockSet const& part, BlockSet const& whole) {
    for (auto run = part.next_held(0, part.blocks()); run.count > 0; run = part.next_held(run.first + run.count, part.blocks())) {
        if (whole.next_missing(run.first, run.first + run.count).count > 0) return false;
    }
    return true;
}

// One life of a map, in which the machine goes off at an operation; returns how many there were.
std::uint64_t live(std::uint64_t seed, std::uint64_t off_at, PowerLoss const& loss) {
    SimulatedFileSystem files(seed);
    EXPECT_TRUE(HomeMap::create(files, kMap, kIdentity, kSizes));
    auto begin = files.operations();
    files.crash_at(begin + off_at);
    std::mt19937_64 random(seed);
    Model acknowledged, asked;
    auto work = [&]() -> Result<void> {
        for (int life = 0; life < 3; ++life) {
            auto map = TRY(HomeMap::open(files, kMap, kIdentity, kSizes));
            for (int batch = 0; batch < 6; ++batch) {
                std::vector<Statement> statements(1 + random() % 70);
                for (auto& statement : statements) asked.take(statement = random_statement(random));
                TRY(map->state(statements));
                for (auto const& statement : statements) acknowledged.take(statement);
            }
        }
        return {};
    };
    auto done = work();
    auto operations = files.operations() - begin;
    files.lose_power(loss);
    auto after = HomeMap::open(files, kMap, kIdentity, kSizes);
    EXPECT_TRUE(after) << after.error().message;
    if (!after) return operations;
    for (std::size_t file = 0; file < kSizes.size(); ++file) {
        auto const& found = (*after)->loaded()[file];
        EXPECT_TRUE(lies_in(acknowledged.states[file].home, found.home)) << "lost, at operation " << off_at << ", seed " << seed;
        EXPECT_TRUE(lies_in(found.home, asked.states[file].home)) << "invented, at operation " << off_at << ", seed " << seed;
        EXPECT_LE(found.end, acknowledged.states[file].end);
        EXPECT_GE(found.end, asked.states[file].end);
    }
    auto again = HomeMap::open(files, kMap, kIdentity, kSizes);
    EXPECT_TRUE(again && (*again)->loaded() == (*after)->loaded());
    return operations;
}

TEST(HomeMap, WhatWasStatedSurvivesThePowerGoingAtEveryOperation) {
    for (auto unsynced : {Unsynced::lost, Unsynced::partial, Unsynced::kept}) {
        auto operations = live(1, UINT64_MAX / 2, {unsynced, Unsynced::kept});
        ASSERT_GT(operations, 30u);
        for (std::uint64_t off_at = 0; off_at <= operations; ++off_at) live(1 + off_at, off_at, {unsynced, Unsynced::lost});
    }
}

TEST(HomeMap, CreatedOrNotAtAll) {
    for (std::uint64_t off_at = 0;; ++off_at) {
        SimulatedFileSystem files(off_at);
        files.crash_at(off_at);
        auto created = HomeMap::create(files, kMap, kIdentity, kSizes);
        files.lose_power({Unsynced::partial, Unsynced::partial});
        auto opened = HomeMap::open(files, kMap, kIdentity, kSizes);
        ASSERT_TRUE(opened || !created);
        ASSERT_TRUE(opened || opened.error().kind == ErrorKind::not_found);
        if (created) return;
    }
}

// A map with two batches of statements, the first of two sectors.
void make_map(SimulatedFileSystem& files) {
    ASSERT_TRUE(HomeMap::create(files, kMap, kIdentity, kSizes));
    auto map = HomeMap::open(files, kMap, kIdentity, kSizes).value();
    std::vector<Statement> many;
    for (std::uint64_t i = 0; i < 40; ++i) many.push_back({3, Statement::Kind::home, {i * 2, 1}, 0});
    ASSERT_TRUE(map->state(many));
    Statement const last{3, Statement::Kind::home, {1001, 5}, 0};
    ASSERT_TRUE(map->state({&last, 1}));
}

TEST(HomeMap, DamageToWhatWasDurableIsNeverTakenForAnUnfinishedEnd) {
    for (std::uint64_t at : {0, 511, 512 + 4, 1024 + 40}) {
        SimulatedFileSystem files(1);
        make_map(files);
        files.flip(kMap, at, 1);
        auto opened = HomeMap::open(files, kMap, kIdentity, kSizes);
        ASSERT_FALSE(opened) << at;
        EXPECT_EQ(opened.error().kind, ErrorKind::damaged);
    }
}

TEST(HomeMap, ATornStatementAtTheEndIsLeftOut) {
    SimulatedFileSystem files(1);
    make_map(files);
    files.flip(kMap, 1536 + 100, 1);
    auto opened = HomeMap::open(files, kMap, kIdentity, kSizes);
    ASSERT_TRUE(opened) << opened.error().message;
    EXPECT_EQ((*opened)->loaded()[3].home.count(), 40u);
    EXPECT_FALSE((*opened)->loaded()[3].home.contains(1001));
}

TEST(HomeMap, AnotherPointsMapIsRefused) {
    SimulatedFileSystem files(1);
    make_map(files);
    auto other = HomeMap::open(files, kMap, Bytes(32, 8), kSizes);
    ASSERT_FALSE(other);
    EXPECT_EQ(other.error().kind, ErrorKind::damaged);
    std::vector<std::uint64_t> sizes = kSizes;
    sizes[0] += 1;
    EXPECT_FALSE(HomeMap::open(files, kMap, kIdentity, sizes));
}

TEST(HomeMap, TakesNothingAfterAFailure) {
    SimulatedFileSystem files(1);
    make_map(files);
    auto map = HomeMap::open(files, kMap, kIdentity, kSizes).value();
    files.fail_operation(files.operations(), ErrorKind::no_space);
    Statement const one{0, Statement::Kind::home, {1, 1}, 0};
    EXPECT_FALSE(map->state({&one, 1}));
    EXPECT_FALSE(map->state({&one, 1})) << "the disk has room again, but what the map holds is not known";
}

}  // namespace
}  // namespace holdfast
