#pragma once

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <mutex>
#include <string>
#include <thread>

#include "runbook/engine.h"
#include "runbook/timeline.h"

namespace holdfast::runbook {

inline Time const kStart = Time(std::chrono::seconds(1'795'344'000));  // 2026-11-22T12:00:00Z

// A clock that many threads may use, and that only the test and `sleep` move.
class TestClock : public Clock {
  public:
    Time now() override { return kStart + elapsed(); }
    Duration elapsed() override { return Duration(elapsed_.load()); }
    bool sleep(Duration duration, std::stop_token stop) override {
        if (stop.stop_requested())
            return false;
        advance(duration);
        return true;
    }
    void advance(Duration duration) { elapsed_ += duration.count(); }

  private:
    std::atomic<std::int64_t> elapsed_ = 0;
};

using Body = std::function<Result<StepResult>(StepContext&)>;

// A step made of functions.
struct TestStep : Step {
    TestStep(bool may_repeat, Body run_body) : may_repeat(may_repeat), body(std::move(run_body)) {}

    bool idempotent() const override { return may_repeat; }
    Result<std::string> describe(Value const& arguments) const override {
        return "would do " + plan::to_json(arguments);
    }
    Result<void> preflight(Value const& arguments, std::stop_token) override {
        if (arguments.find("unready"))
            return fail(ErrorKind::unreachable, "not ready");
        return {};
    }
    Result<StepResult> run(StepContext& context) override { return body(context); }

    bool may_repeat;
    Body body;
};

inline plan::Step make_step(std::string name, std::string kind,
                            std::vector<std::string> after = {}) {
    plan::Step step;
    step.name = std::move(name);
    step.kind = std::move(kind);
    step.arguments = Value(Value::Map{});
    step.after = std::move(after);
    return step;
}

class EngineTest : public ::testing::Test {
  protected:
    void SetUp() override {
        // In memory where there is such a place: what a sync does to a disk is not tested here.
        bool memory = std::filesystem::is_directory("/dev/shm");
        std::string pattern = (memory ? "/dev/shm" : ::testing::TempDir()) + "/runbook-XXXXXX";
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        state = pattern;
        // Notes its name, leaves its arguments.
        add("note", true, [this](StepContext& context) -> Result<StepResult> {
            note(context.step_name());
            return StepResult{context.arguments(), "noted"};
        });
        add("once", false, [this](StepContext& context) -> Result<StepResult> {
            note(context.step_name());
            return StepResult{};
        });
        add("fail", true, [this](StepContext& context) -> Result<StepResult> {
            note(context.step_name());
            return fail(ErrorKind::unreachable, "no answer");
        });
        add("ask", true, [this](StepContext& context) -> Result<StepResult> {
            auto decision = TRY(context.ask({.step = {}, .kind = {}, .text = "pull the plug"}));
            note(context.step_name() + " by " + decision.by);
            return StepResult{};
        });
        runbook.name = "recover";
    }
    void TearDown() override { std::filesystem::remove_all(state); }

    void add(std::string kind, bool idempotent, Body body) {
        registry.add(std::move(kind),
                     [idempotent, body] { return std::make_unique<TestStep>(idempotent, body); });
    }
    void note(std::string text) {
        std::lock_guard lock(mutex);
        ran.push_back(std::move(text));
    }
    EngineOptions options() {
        EngineOptions options;
        options.state = state;
        options.registry = &registry;
        options.clock = &clock;
        options.random = &random;
        options.decide = decide;
        options.assume_yes = yes;
        options.parallel = parallel;
        options.journal_hook = hook;
        return options;
    }
    Result<RunReport> start() {
        StartRequest request{.runbook = runbook, .plan_hash = "hash", .parameters = parameters};
        return Engine(options()).start(request, stop.get_token());
    }
    Result<RunReport> resume(std::string run, std::map<std::string, Decision> decisions = {}) {
        return Engine(options()).resume({std::move(run), std::move(decisions)}, stop.get_token());
    }
    static std::string states(RunState const& state) {
        std::string text;
        for (auto const& step : state.steps) {
            text += step.name + " " + std::string(to_text(step.state)) + "; ";
        }
        return text;
    }
    // What the journal on disk says must be what the engine said.
    void expect_same_on_disk(RunReport const& report) {
        auto timeline = read_timeline(state, report.state.run);
        ASSERT_TRUE(timeline.has_value()) << timeline.error().message;
        EXPECT_EQ(states(timeline->state), states(report.state));
        EXPECT_EQ(timeline->state.outcome, report.state.outcome);
    }

    std::filesystem::path state;
    TestClock clock;
    SeededRandom random{7};
    StepRegistry registry;
    plan::Runbook runbook;
    std::map<std::string, std::string> parameters;
    Decide decide;
    bool yes = false;
    unsigned parallel = 4;
    JournalHook hook;
    std::stop_source stop;
    std::mutex mutex;
    std::vector<std::string> ran;
};

}  // namespace holdfast::runbook
