// Many histories, each from a seed: see README.md. A failure prints its seed; --seed N runs that one again and
// tells what happens.
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/prctl.h>

#include "history.h"

namespace holdfast::simulation {
namespace {

struct Options {
    std::uint64_t first = 1;
    std::uint64_t histories = 10'000;
    std::uint64_t seconds = 0;  // instead of a number of histories
    bool trace = false;
} options;

double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

TEST(Simulation, WhatWasPromisedRestoresWhateverHappens) {
    Tally tally;
    auto begin = std::chrono::steady_clock::now();
    int failures = 0;
    for (std::uint64_t i = 0;; ++i) {
        if (options.seconds == 0 && i == options.histories) break;
        if (options.seconds > 0 && std::chrono::steady_clock::now() - begin > std::chrono::seconds(options.seconds)) break;
        auto seed = options.first + i;
        if (auto failure = run_history(seed, tally, options.trace)) {
            ADD_FAILURE() << "seed " << seed << ": " << *failure << "\n  again: simulation_test --seed " << seed;
            if (++failures == 10) break;
        }
    }
    fmt::print("{} histories from seed {} ({} in directories), {} steps, {:.0f} CPU seconds\n"
               "  faults {}, kills {}, naps {}, clocks that jumped {}, rotten {}, full {}, power lost {}\n"
               "  published {}, files taken over {}, conflicts {}, forgotten {}, read {}, audits {}, repairs {}\n"
               "  collections {}: doomed {}, deleted {}, copied from {}; given up {}\n",
               tally.histories, options.first, tally.directories, tally.operations, cpu_seconds(), tally.faults,
               tally.kills, tally.naps, tally.jumps, tally.rotten, tally.full, tally.powerless, tally.published,
               tally.taken_over, tally.conflicts, tally.forgotten, tally.read, tally.audits, tally.repairs, tally.pruned,
               tally.doomed, tally.deleted, tally.repacked, tally.given_up);
    if (tally.histories < 10'000) return;
    // Histories in which nothing happens prove nothing.
    for (auto count : {tally.directories, tally.faults, tally.kills, tally.naps, tally.jumps, tally.rotten, tally.full,
                       tally.powerless, tally.published, tally.taken_over, tally.conflicts, tally.forgotten, tally.read,
                       tally.audits, tally.repairs, tally.doomed, tally.deleted, tally.repacked}) {
        EXPECT_GT(count, tally.histories / 500);
    }
}

bool take(char const* name, int argc, char** argv, std::uint64_t& value) {
    for (int i = 1; i + 1 < argc; ++i) {
        if (std::strcmp(argv[i], name) != 0) continue;
        auto end = argv[i + 1] + std::strlen(argv[i + 1]);
        if (std::from_chars(argv[i + 1], end, value).ptr == end) return true;
        std::fprintf(stderr, "%s takes a number\n", name);
        std::exit(2);
    }
    return false;
}

}  // namespace
}  // namespace holdfast::simulation

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    // Packs here hold kilobytes, in memory that is made for megabytes: clearing large pages would take longer than
    // everything else.
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    using holdfast::simulation::options;
    using holdfast::simulation::take;
    if (take("--seed", argc, argv, options.first)) {
        options.histories = 1;
        options.trace = true;
    }
    take("--first", argc, argv, options.first);
    take("--histories", argc, argv, options.histories);
    take("--seconds", argc, argv, options.seconds);
    return RUN_ALL_TESTS();
}
