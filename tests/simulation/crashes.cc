// The same course each time, killed at one step after another, and again while it is made up for.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "past.h"
#include "repo/prune.h"

namespace holdfast::simulation {
namespace {

using namespace std::chrono_literals;

class Course {
  public:
    explicit Course(Past const& past) : objects_(past.objects), clock_(past.end + 30h), promises_(past.promises) {}

    // A backup by a writer of what was there before, one by the admin, a point that goes, and a collection that
    // does not wait. Ends at the first error; `dies_at` counts the operations of the store.
    Result<void> run(std::optional<std::uint64_t> dies_at, SimulatedStore::Effect last) {
        SimulatedStore store(objects_, clock_);
        store.before = [&](std::uint64_t number, SimulatedStore::Operation, std::string_view) {
            using Fault = SimulatedStore::Fault;
            clock_.advance(10ms);
            if (!dies_at || number < *dies_at) return std::optional<Fault>();
            return std::optional(Fault{ErrorKind::unreachable,
                                       number == *dies_at ? last : SimulatedStore::Effect::none});
        };
        auto done = run_in(store);
        operations_ = store.operations();
        return done;
    }
    std::uint64_t operations() const { return operations_; }

    Result<void> check() {
        SimulatedStore store(objects_, clock_);
        auto repository = TRY(open(store, keys().admin));
        auto list = TRY(repository->points({}));
        for (auto const& damaged : list.damaged) return fail(ErrorKind::damaged, damaged.key + damaged.error.message);
        auto fetch = TRY(repository->begin_fetch({}, {}));
        std::size_t found = 0;
        for (auto const& info : list.points) {
            auto promise = promises_.find(info.id);
            if (promise == promises_.end()) continue;
            auto files = TRY(restore_test_files(*fetch, info.point).within(info.id.brief()));
            if (files != files_of(promise->second)) return fail(ErrorKind::damaged, info.id.brief() + " differs");
            ++found;
        }
        if (found < promises_.size()) return fail(ErrorKind::not_found, "a point is gone");
        return {};
    }

  private:
    Result<std::unique_ptr<Repository>> open(Store& store, KeyBundle const& bundle) {
        return open_repository(store, bundle.clone(), {clock_, random_, *executor_, {}, {}}, {}, {});
    }
    Result<void> back_up(Store& store, KeyBundle const& bundle, Capture const& capture) {
        auto repository = TRY(open(store, bundle));
        auto ingest = TRY(repository->begin_ingest({.pack_bytes = kPackBytes, .parity_percent = 0}, {}));
        auto point = TRY(capture_test_files(*ingest, files_of(capture), capture.dataset));
        point.time = clock_.now();
        auto info = TRY(repository->publish(*ingest, std::move(point), {}));
        promises_[info.id] = capture;
        return {};
    }
    Result<void> run_in(Store& store) {
        TRY(back_up(store, keys().writers[0], {{1, 3, 5}, "d0"}));
        TRY(back_up(store, keys().admin, {{3, 7}, "d1"}));
        auto repository = TRY(open(store, keys().admin));
        auto list = TRY(repository->points({}));
        auto const& info = list.points.front();
        promises_.erase(info.id);
        PointKey key{dataset_tag(keys().admin, info.point.dataset), info.point.time, info.id};
        TRY(repository->drop({&key, 1}, {}));
        PruneOptions options{.limits = {.unused_max = 0}, .now = true, .shape = {.bytes = kPackBytes, .parity_percent = 0}};
        TRY(prune_repository(*repository, options, walk_test_files, {}, {}));
        return {};
    }

    SimulatedObjects objects_;
    ManualClock clock_;
    SeededRandom random_{11};
    std::unique_ptr<Executor> executor_ = make_seeded_executor(1);
    std::map<PointId, Capture> promises_;
    std::uint64_t operations_ = 0;
};

std::uint64_t steps_of(Past const& past) {
    Course course(past);
    EXPECT_TRUE(course.run({}, {}));
    EXPECT_TRUE(course.check());
    return course.operations();
}

TEST(Crashes, AtEveryOperationAndAgainDuringTheRecovery) {
    // Several points, of which the oldest goes, with packs that are mostly dead then.
    auto const& begin = past(3);
    auto steps = steps_of(begin);
    ASSERT_GT(steps, 80u);
    std::uint64_t crashes = 0;
    for (std::uint64_t first = 0; first < steps; ++first) {
        // Each second crash comes up at some first one; all pairs would take half an hour.
        for (std::uint64_t second = first % 29; second < steps; second += 29) {
            Course course(begin);
            auto effect = [&](std::uint64_t at) {
                return at % 2 == 0 ? SimulatedStore::Effect::done : SimulatedStore::Effect::none;
            };
            SCOPED_TRACE(fmt::format("killed at {}, then at {}", first, second));
            if (course.run(first, effect(first + second / 29))) continue;
            ASSERT_TRUE(course.check());
            if (!course.run(second, effect(second / 29))) ++crashes;
            auto kept = course.check();
            ASSERT_TRUE(kept) << kept.error().message;
            auto done = course.run({}, {});
            ASSERT_TRUE(done) << done.error().message;
            kept = course.check();
            ASSERT_TRUE(kept) << kept.error().message;
        }
    }
    EXPECT_GT(crashes, 300u);
}

}  // namespace
}  // namespace holdfast::simulation
