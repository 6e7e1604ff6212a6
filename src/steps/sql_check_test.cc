#include "steps/sql_check.h"

#include <gmock/gmock.h>

#include "steps/cluster_pool.h"

namespace holdfast::steps {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

TEST(SqlCheck, HoldsWhenEverythingExpectedHolds) {
    auto const outage = *parse_rfc3339("2026-11-22T11:00:00Z");
    SqlCheck const fresh{.query = "select max(created_at) from training_runs", .fresh_within = 1h};
    auto const verdict = *judge_answer(fresh, {{"2026-11-22 10:30:00+00"}}, outage);
    EXPECT_TRUE(verdict.judgement.holds);
    EXPECT_EQ(verdict.newest.value(), *parse_rfc3339("2026-11-22T10:30:00Z"));

    SqlCheck const both{.query = "q", .expect = "not null", .fresh_within = 10min};
    auto const stale = *judge_answer(both, {{"2026-11-22 10:30:00+00"}}, outage);
    EXPECT_FALSE(stale.judgement.holds);
    EXPECT_THAT(stale.judgement.expected, HasSubstr("not null and at most 10m"));

    SqlCheck const count{.query = "q", .expect = "> 0"};
    EXPECT_EQ(judge_answer(count, {{"12"}}, outage)->value, "12");
    EXPECT_FALSE(judge_answer(count, {}, outage)->judgement.holds);
    EXPECT_EQ(judge_answer(count, {}, outage)->judgement.actual, "no row");
}

TEST(SqlCheck, RefusesWhatExpectsNothing) {
    EXPECT_EQ(check_form({.query = "q"}).error().kind, ErrorKind::usage);
    EXPECT_EQ(check_form({.query = "", .expect = "> 0"}).error().kind, ErrorKind::usage);
    EXPECT_EQ(check_form({.query = "q", .expect = "> x"}).error().kind, ErrorKind::usage);
    EXPECT_TRUE(check_form({.query = "q", .expect = "> 0"}));
}

// A cluster that only counts.
struct Counted : RunningCluster {
    explicit Counted(int& running) : running(running) { ++running; }
    ~Counted() override { --running; }
    Result<AnswerRows> query(std::string const&, std::string const&, std::stop_token) override {
        return AnswerRows{{"1"}};
    }
    std::filesystem::path socket_directory() const override { return "/tmp"; }
    Result<std::vector<Finding>> check_structure(std::stop_token) override { return std::vector<Finding>(); }
    std::string version() const override { return "15.9"; }
    std::string standing() const override { return "ready"; }
    int& running;
};

TEST(ClusterPool, RunsAClusterWhileSomebodyUsesIt) {
    int running = 0, starts = 0;
    ClusterPool pool([&](auto const&, auto) -> Result<std::unique_ptr<RunningCluster>> {
        ++starts;
        return std::make_unique<Counted>(running);
    });
    {
        auto const first = *pool.use("/data/a", {});
        auto const second = *pool.use("/data/./a", {});
        EXPECT_EQ(first.get(), second.get());
        EXPECT_EQ(running, 1);
        auto const other = *pool.use("/data/b", {});
        EXPECT_EQ(running, 2);
    }
    EXPECT_EQ(running, 0);
    EXPECT_EQ(starts, 2);
    {
        auto const again = *pool.use("/data/a", {});
        EXPECT_EQ(starts, 3);
    }
}

TEST(ClusterPool, KeepsWhatItIsToldTo) {
    int running = 0;
    ClusterPool pool([&](auto const&, auto) -> Result<std::unique_ptr<RunningCluster>> {
        return std::make_unique<Counted>(running);
    });
    pool.keep("/data/a", {})->reset();
    EXPECT_EQ(running, 1);
    {
        auto const used = *pool.use("/data/a", {});
        pool.stop_all();
        EXPECT_EQ(running, 1) << "somebody uses it";
    }
    EXPECT_EQ(running, 0);
    pool.keep("/data/a", {})->reset();
    pool.stop_all();
    EXPECT_EQ(running, 0);
}

TEST(ClusterPool, PassesOnThatAClusterDoesNotStart) {
    bool broken = true;
    int running = 0;
    ClusterPool pool([&](auto const&, auto) -> Result<std::unique_ptr<RunningCluster>> {
        if (broken) return fail(ErrorKind::io, "no");
        return std::make_unique<Counted>(running);
    });
    EXPECT_FALSE(pool.use("/data/a", {}));
    broken = false;
    EXPECT_TRUE(pool.use("/data/a", {}));
}

}  // namespace
}  // namespace holdfast::steps
