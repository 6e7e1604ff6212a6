#include "runbook/engine.h"

#include "base/text.h"
#include "runbook/engine_test_support.h"

namespace holdfast::runbook {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

TEST_F(EngineTest, RunsStepsInOrderAndPassesOutputsOn) {
    runbook.parameters.add({"to", {}, "latest", ""});
    runbook.parameters.add({"into", {}, {}, ""});
    parameters = {{"into", "/srv"}};
    auto first = make_step("first", "note");
    first.arguments.set("to", "${to}");
    auto second = make_step("second", "note", {"first"});
    second.arguments.set("path", "${into}/${first.to}/$${literal}");
    runbook.steps.add(second);
    runbook.steps.add(first);
    auto report = start();
    ASSERT_TRUE(report.has_value()) << report.error().message;
    EXPECT_EQ(report->state.outcome, RunOutcome::done);
    EXPECT_FALSE(report->error.has_value());
    EXPECT_THAT(ran, ElementsAre("first", "second"));
    EXPECT_EQ(report->state.find("second")->outputs.member_text("path"), "/srv/latest/${literal}");
    EXPECT_EQ(report->state.find("second")->summary, "noted");
    EXPECT_EQ(report->state.plan_hash, "hash");
    expect_same_on_disk(*report);
}

TEST_F(EngineTest, IndependentStepsRunAtTheSameTimeButNotMoreThanFour) {
    std::atomic<int> now = 0, most = 0;
    add("meet", true, [&](StepContext&) -> Result<StepResult> {
        int count = ++now;
        for (int seen = most; count > seen && !most.compare_exchange_weak(seen, count);) {
        }
        // Waits for three others, so that it can only end when four run together.
        for (int i = 0; i < 2000 && most < 4; ++i) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
        --now;
        return StepResult{};
    });
    for (int i = 0; i < 9; ++i)
        runbook.steps.add(make_step("s" + std::to_string(i), "meet"));
    auto report = start();
    EXPECT_EQ(report->state.outcome, RunOutcome::done);
    EXPECT_EQ(most, 4);
}

TEST_F(EngineTest, AFailureStopsWhatDependsOnItAndNothingElse) {
    runbook.steps.add(make_step("bad", "fail"));
    runbook.steps.add(make_step("next", "note", {"bad"}));
    runbook.steps.add(make_step("last", "note", {"next"}));
    runbook.steps.add(make_step("other", "note"));
    runbook.steps.add(make_step("more", "note", {"other"}));
    auto report = start();
    EXPECT_EQ(report->state.outcome, RunOutcome::failed);
    EXPECT_EQ(report->error->kind, ErrorKind::unreachable);
    EXPECT_EQ(report->error->message, "step 'bad': no answer");
    EXPECT_EQ(states(report->state),
              "bad failed; next blocked; last blocked; other succeeded; more succeeded; ");
    expect_same_on_disk(*report);
}

TEST_F(EngineTest, OnFailureContinueGoesOnAndSaysSo) {
    auto bad = make_step("bad", "fail");
    bad.on_failure = plan::OnFailure::proceed;
    runbook.steps.add(bad);
    runbook.steps.add(make_step("next", "note", {"bad"}));
    auto report = start();
    EXPECT_EQ(report->state.outcome, RunOutcome::partial);
    EXPECT_EQ(report->error->kind, ErrorKind::partial);
    EXPECT_EQ(states(report->state), "bad failed; next succeeded; ");
}

TEST_F(EngineTest, OnFailureAbortStopsEverything) {
    std::atomic<bool> at_work = false;
    add("long", true, [&](StepContext& context) -> Result<StepResult> {
        at_work = true;
        while (!context.stop().stop_requested())
            std::this_thread::yield();
        return fail(ErrorKind::cancelled, "stopped");
    });
    add("bomb", true, [&](StepContext&) -> Result<StepResult> {
        while (!at_work)
            std::this_thread::yield();
        return fail(ErrorKind::io, "boom");
    });
    auto bomb = make_step("bomb", "bomb");
    bomb.on_failure = plan::OnFailure::abort;
    runbook.steps.add(make_step("long", "long"));
    runbook.steps.add(bomb);
    runbook.steps.add(make_step("later", "note", {"long"}));
    auto report = start();
    EXPECT_EQ(report->state.outcome, RunOutcome::failed);
    EXPECT_EQ(report->error->message, "step 'bomb': boom");
    EXPECT_EQ(states(report->state), "long interrupted; bomb failed; later pending; ");
    EXPECT_THAT(ran, IsEmpty());
}

TEST_F(EngineTest, ConditionsSkipAndWhatFollowsGoesOn) {
    runbook.parameters.add({"mode", {}, "fast", ""});
    auto slow = make_step("slow", "note");
    slow.when = "${mode} == slow";
    slow.arguments.set("x", "1");
    auto fast = make_step("fast", "note", {"slow"});
    fast.when = "${mode} != slow";
    auto chained = make_step("chained", "note", {"slow"});
    chained.when = "${slow.x}";
    runbook.steps.add(slow);
    runbook.steps.add(fast);
    runbook.steps.add(chained);
    auto report = start();
    EXPECT_EQ(report->state.outcome, RunOutcome::done);
    EXPECT_EQ(states(report->state), "slow skipped; fast succeeded; chained skipped; ");
    EXPECT_THAT(report->state.find("slow")->reason, HasSubstr("${mode} == slow"));
}

TEST_F(EngineTest, AnArgumentThatASkippedStepDidNotLeaveFails) {
    runbook.parameters.add({"mode", {}, "off", ""});
    auto first = make_step("first", "note");
    first.when = "${mode}";
    first.arguments.set("x", "1");
    auto second = make_step("second", "note", {"first"});
    second.arguments.set("y", "${first.x}");
    runbook.steps.add(first);
    runbook.steps.add(second);
    auto report = start();
    EXPECT_EQ(report->state.outcome, RunOutcome::failed);
    EXPECT_THAT(report->error->message, HasSubstr("step 'first' skipped and left no 'x'"));
}

TEST_F(EngineTest, RetriesWaitLongerEachTime) {
    std::vector<Time> times;
    add("flaky", true, [&](StepContext& context) -> Result<StepResult> {
        times.push_back(context.clock().now());
        if (context.attempt() < 4)
            return fail(ErrorKind::unreachable, "not yet");
        return StepResult{};
    });
    auto step = make_step("flaky", "flaky");
    step.retries = {5, std::chrono::seconds(10)};
    runbook.steps.add(step);
    auto report = start();
    EXPECT_EQ(report->state.outcome, RunOutcome::done);
    ASSERT_EQ(times.size(), 4u);
    EXPECT_EQ(times[1] - times[0], std::chrono::seconds(10));
    EXPECT_EQ(times[2] - times[1], std::chrono::seconds(20));
    EXPECT_EQ(times[3] - times[2], std::chrono::seconds(40));
    EXPECT_EQ(report->state.find("flaky")->attempts, 4u);
    expect_same_on_disk(*report);
}

TEST_F(EngineTest, RetriesEndAndAreNotForMistakes) {
    auto step = make_step("bad", "fail");
    step.retries = {2, std::chrono::seconds(1)};
    runbook.steps.add(step);
    add("wrong", true, [this](StepContext& context) -> Result<StepResult> {
        note(context.step_name());
        return fail(ErrorKind::key_refused, "wrong password");
    });
    auto wrong = make_step("wrong", "wrong");
    wrong.retries = {2, std::chrono::seconds(1)};
    runbook.steps.add(wrong);
    auto report = start();
    EXPECT_EQ(report->state.find("bad")->attempts, 3u);
    EXPECT_EQ(report->state.find("wrong")->attempts, 1u);
    EXPECT_EQ(report->state.outcome, RunOutcome::failed);
}

TEST_F(EngineTest, ATimeoutStopsTheStep) {
    add("slow", true, [&](StepContext& context) -> Result<StepResult> {
        while (!context.stop().stop_requested()) {
            clock.advance(std::chrono::seconds(1));
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        return fail(ErrorKind::cancelled, "stopped");
    });
    auto slow = make_step("slow", "slow");
    slow.timeout = std::chrono::minutes(1);
    slow.retries = {1, std::chrono::seconds(1)};
    runbook.steps.add(slow);
    auto report = start();
    EXPECT_EQ(report->state.outcome, RunOutcome::failed);
    EXPECT_EQ(report->error->message, "step 'slow': timed out after 1m 0s: stopped");
    EXPECT_EQ(report->state.find("slow")->attempts, 2u);
}

TEST_F(EngineTest, AStepThatIgnoresTheStopIsAHardError) {
    // Outlives the engine on purpose, so it must not touch the test's own things.
    auto release = std::make_shared<std::atomic<bool>>(false);
    auto after = std::make_shared<std::atomic<int>>(-1);
    add("deaf", true, [release, after, this](StepContext& context) -> Result<StepResult> {
        clock.advance(std::chrono::hours(1));
        while (!context.stop().stop_requested())
            std::this_thread::yield();
        clock.advance(std::chrono::hours(1));
        while (!*release)
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        auto effect = context.record_effect("late", 1);
        *after = effect.has_value() ? 1 : 0;
        return StepResult{};
    });
    auto deaf = make_step("deaf", "deaf");
    deaf.timeout = std::chrono::minutes(1);
    runbook.steps.add(deaf);
    runbook.steps.add(make_step("next", "note", {"deaf"}));
    auto report = start();
    EXPECT_THAT(report->stuck, ElementsAre("deaf"));
    EXPECT_EQ(report->state.outcome, RunOutcome::failed);
    EXPECT_EQ(report->error->kind, ErrorKind::internal);
    // On resume it counts as cut off.
    EXPECT_EQ(states(report->state), "deaf running; next pending; ");
    *release = true;
    while (*after < 0)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_EQ(*after, 0);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
}

TEST_F(EngineTest, CtrlCStopsAndResumeGoesOn) {
    std::atomic<int> attempts = 0;
    add("long", true, [&](StepContext& context) -> Result<StepResult> {
        if (++attempts > 1)
            return StepResult{};
        stop.request_stop();
        while (!context.stop().stop_requested())
            std::this_thread::yield();
        return fail(ErrorKind::cancelled, "stopped");
    });
    runbook.steps.add(make_step("before", "note"));
    runbook.steps.add(make_step("long", "long", {"before"}));
    runbook.steps.add(make_step("after", "note", {"long"}));
    auto report = start();
    EXPECT_EQ(report->state.outcome, RunOutcome::interrupted);
    EXPECT_EQ(report->error->kind, ErrorKind::cancelled);
    EXPECT_EQ(states(report->state), "before succeeded; long interrupted; after pending; ");
    expect_same_on_disk(*report);
    stop = std::stop_source();
    auto again = resume(report->state.run);
    ASSERT_TRUE(again.has_value()) << again.error().message;
    EXPECT_EQ(again->state.outcome, RunOutcome::done);
    EXPECT_EQ(attempts, 2);
    EXPECT_THAT(ran, ElementsAre("before", "after"));
    expect_same_on_disk(*again);
    auto third = resume(report->state.run);
    EXPECT_EQ(third.error().kind, ErrorKind::usage);
    EXPECT_EQ(resume("20261122T000000Z-none").error().kind, ErrorKind::not_found);
    EXPECT_EQ(resume("../../etc").error().kind, ErrorKind::not_found);
}

TEST_F(EngineTest, ACtrlCDuringBackOffIsSeen) {
    class StoppingClock : public TestClock {
      public:
        explicit StoppingClock(std::stop_source stop) : stop_(std::move(stop)) {}
        bool sleep(Duration, std::stop_token token) override {
            stop_.request_stop();
            while (!token.stop_requested())
                std::this_thread::yield();
            return false;
        }

      private:
        std::stop_source stop_;
    };
    StoppingClock stopping(stop);
    auto step = make_step("bad", "fail");
    step.retries = {2, std::chrono::seconds(1)};
    runbook.steps.add(step);
    auto with = options();
    with.clock = &stopping;
    auto report = Engine(with).start({.runbook = runbook}, stop.get_token());
    EXPECT_EQ(report->state.outcome, RunOutcome::interrupted);
    EXPECT_EQ(states(report->state), "bad interrupted; ");
}

TEST_F(EngineTest, WhatFailedIsTriedAgainOnResume) {
    bool mended = false;
    add("mendable", true, [&](StepContext& context) -> Result<StepResult> {
        if (!mended)
            return fail(ErrorKind::unreachable, "down");
        EXPECT_EQ(context.effects().member_text("made"), "x1");
        return StepResult{};
    });
    add("prepare", true, [&](StepContext& context) -> Result<StepResult> {
        auto noted = context.record_effect("made", "x1");
        EXPECT_TRUE(noted.has_value());
        if (!mended)
            return fail(ErrorKind::unreachable, "down");
        EXPECT_EQ(context.effects().member_text("made"), "x1");
        EXPECT_EQ(context.attempt(), 2u);
        return StepResult{};
    });
    runbook.steps.add(make_step("prepare", "prepare"));
    runbook.steps.add(make_step("next", "note", {"prepare"}));
    auto report = start();
    EXPECT_EQ(states(report->state), "prepare failed; next blocked; ");
    mended = true;
    auto again = resume(report->state.run);
    EXPECT_EQ(again->state.outcome, RunOutcome::done);
    EXPECT_EQ(states(again->state), "prepare succeeded; next succeeded; ");
}

TEST_F(EngineTest, AFailedStepThatIsNotIdempotentNeedsADecision) {
    int runs = 0;
    add("risky", false, [&](StepContext& context) -> Result<StepResult> {
        ++runs;
        TRY(context.record_effect("account", "alice"));
        if (runs == 1)
            return fail(ErrorKind::io, "half way");
        return StepResult{};
    });
    runbook.steps.add(make_step("risky", "risky"));
    auto next = make_step("next", "note", {"risky"});
    next.arguments.set("who", "${risky.account}");
    runbook.steps.add(next);
    auto report = start();
    EXPECT_EQ(report->state.outcome, RunOutcome::failed);
    auto run = report->state.run;

    auto open = resume(run);
    ASSERT_TRUE(open.has_value());
    EXPECT_EQ(open->state.outcome, RunOutcome::needs_decision);
    ASSERT_EQ(open->questions.size(), 1u);
    EXPECT_EQ(open->questions[0].step, "risky");
    EXPECT_EQ(open->questions[0].error, "half way");
    EXPECT_EQ(open->questions[0].effects.member_text("account"), "alice");
    EXPECT_EQ(runs, 1);

    EXPECT_EQ(resume(run, {{"risky", {.choice = Choice::approve}}}).error().kind, ErrorKind::usage);
    EXPECT_THAT(resume(run, {{"risk", {.choice = Choice::redo}}}).error().hint, HasSubstr("risky"));
    // Skipping would leave the next step without what it needs.
    auto skipped = resume(run, {{"risky", {.choice = Choice::skip}}});
    EXPECT_THAT(skipped.error().message, HasSubstr("'next' needs '${risky.account}'"));
    EXPECT_EQ(runs, 1);

    auto done = resume(run, {{"risky", {.choice = Choice::done, .by = "bob"}}});
    ASSERT_TRUE(done.has_value()) << done.error().message;
    EXPECT_EQ(done->state.outcome, RunOutcome::done);
    EXPECT_EQ(runs, 1);
    // What it announced stands in for what it would have left.
    EXPECT_EQ(done->state.find("next")->outputs.member_text("who"), "alice");
    EXPECT_EQ(done->state.find("risky")->decision->by, "bob");
    expect_same_on_disk(*done);
}

TEST_F(EngineTest, TheOperatorAtTheTerminalDecides) {
    int runs = 0;
    add("risky", false, [&](StepContext&) -> Result<StepResult> {
        if (++runs == 1)
            return fail(ErrorKind::io, "half way");
        return StepResult{};
    });
    runbook.steps.add(make_step("risky", "risky"));
    auto report = start();
    decide = [](Question const& question, std::stop_token) -> std::optional<Decision> {
        EXPECT_EQ(question.about, Question::About::interrupted);
        EXPECT_THAT(question.choices, ElementsAre(Choice::redo, Choice::done, Choice::skip));
        return Decision{.choice = Choice::redo};
    };
    auto again = resume(report->state.run);
    EXPECT_EQ(again->state.outcome, RunOutcome::done);
    EXPECT_EQ(runs, 2);
    EXPECT_FALSE(again->state.find("risky")->decision->by.empty());
}

TEST_F(EngineTest, RetriesOfWhatMustNotBeRepeatedAreRefused) {
    auto step = make_step("once", "once");
    step.retries.count = 1;
    runbook.steps.add(step);
    auto report = start();
    EXPECT_EQ(report.error().kind, ErrorKind::usage);
    EXPECT_THAT(report.error().hint, HasSubstr("idempotent: true"));
    runbook.steps.find("once")->idempotent = true;
    EXPECT_EQ(start()->state.outcome, RunOutcome::done);
}

TEST_F(EngineTest, ManualStepsWaitForTheOperator) {
    runbook.steps.add(make_step("plug", "ask"));
    runbook.steps.add(make_step("after", "note", {"plug"}));
    runbook.steps.add(make_step("beside", "note"));
    auto report = start();
    EXPECT_EQ(report->state.outcome, RunOutcome::needs_decision);
    EXPECT_EQ(states(report->state), "plug waiting; after pending; beside succeeded; ");
    ASSERT_EQ(report->questions.size(), 1u);
    EXPECT_EQ(report->questions[0].text, "pull the plug");
    expect_same_on_disk(*report);
    auto again = resume(report->state.run, {{"plug", {.choice = Choice::done, .by = "bob"}}});
    EXPECT_EQ(again->state.outcome, RunOutcome::done);
    EXPECT_THAT(ran, ElementsAre("beside", "plug by bob", "after"));
}

TEST_F(EngineTest, ManualStepsCanBeSkippedOrRefused) {
    runbook.steps.add(make_step("plug", "ask"));
    runbook.steps.add(make_step("after", "note", {"plug"}));
    auto choice = Choice::refuse;
    decide = [&](Question const&, std::stop_token) {
        return Decision{.choice = choice, .note = "too dangerous"};
    };
    auto report = start();
    EXPECT_EQ(report->state.outcome, RunOutcome::failed);
    EXPECT_THAT(report->error->message, HasSubstr("too dangerous"));
    choice = Choice::skip;
    report = resume(report->state.run);
    EXPECT_EQ(report->state.outcome, RunOutcome::done);
    EXPECT_EQ(states(report->state), "plug skipped; after succeeded; ");
}

TEST_F(EngineTest, ApprovalIsAskedBeforeTheStepBegins) {
    auto step = make_step("cut-over", "note");
    step.approve = plan::Approval{1, {"database-team"}};
    runbook.steps.add(step);
    auto report = start();
    EXPECT_EQ(report->state.outcome, RunOutcome::needs_decision);
    EXPECT_EQ(report->questions.at(0).about, Question::About::approval);
    EXPECT_THAT(report->questions.at(0).text, HasSubstr("database-team"));
    EXPECT_EQ(report->state.find("cut-over")->attempts, 0u);
    EXPECT_THAT(ran, IsEmpty());
    report = resume(report->state.run, {{"cut-over", {.choice = Choice::refuse, .by = "eve"}}});
    EXPECT_EQ(report->state.outcome, RunOutcome::failed);
    EXPECT_THAT(report->error->message, HasSubstr("refused by eve"));
    yes = true;
    report = resume(report->state.run);
    EXPECT_EQ(report->state.outcome, RunOutcome::done);
    EXPECT_EQ(report->state.find("cut-over")->decision->note, "--yes");
}

TEST_F(EngineTest, WhoWaitsForTheOperatorTakesNobodysPlace) {
    parallel = 1;
    std::atomic<bool> noted = false;
    add("signal", true, [&](StepContext&) -> Result<StepResult> {
        noted = true;
        return StepResult{};
    });
    decide = [&](Question const&, std::stop_token) {
        for (int i = 0; i < 5000 && !noted; ++i) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        EXPECT_TRUE(noted);
        return Decision{.choice = Choice::done};
    };
    runbook.steps.add(make_step("plug", "ask"));
    runbook.steps.add(make_step("signal", "signal"));
    EXPECT_EQ(start()->state.outcome, RunOutcome::done);
}

TEST_F(EngineTest, NothingRunsWhenAnythingIsWrong) {
    runbook.steps.add(make_step("good", "note"));
    auto refused = [&](std::string_view message) {
        auto report = start();
        ASSERT_FALSE(report.has_value());
        EXPECT_THAT(report.error().message, HasSubstr(std::string(message)));
        EXPECT_THAT(ran, IsEmpty());
        EXPECT_FALSE(std::filesystem::exists(state / "runs"));
    };
    auto base = runbook;
    runbook.steps.add(make_step("scale", "kubernetes.scale"));
    refused("'scale' (kubernetes.scale)");
    EXPECT_EQ(start().error().kind, ErrorKind::partial);
    runbook = base;
    runbook.steps.add(make_step("typo", "nto"));
    refused("'typo' (nto)");
    EXPECT_EQ(start().error().kind, ErrorKind::usage);
    runbook = base;
    runbook.steps.add(make_step("lost", "note", {"nowhere"}));
    refused("comes after 'nowhere'");
    runbook = base;
    runbook.steps.add(make_step("a", "note", {"b"}));
    runbook.steps.add(make_step("b", "note", {"a"}));
    refused("wait for each other: a, b");
    runbook = base;
    runbook.steps.add(make_step("when", "note"));
    runbook.steps.find("when")->when = "a < b";
    refused("is not a condition");
    runbook = base;
    runbook.parameters.add({"into", {}, {}, ""});
    parameters = {{"int", "x"}};
    refused("parameter 'into' is not given; it has no parameter 'int' (did you mean 'into'?)");
    parameters.clear();
    runbook = base;
    for (auto name : {"u", "v"}) {
        auto step = make_step(name, "note");
        step.arguments.set("unready", true);
        runbook.steps.add(step);
    }
    refused("2 problems\n  step 'u': not ready\n  step 'v': not ready");
}

TEST_F(EngineTest, ADryRunShowsEverythingAndTouchesNothing) {
    runbook.parameters.add({"to", {}, "latest", ""});
    auto first = make_step("first", "once");
    first.arguments.set("to", "${to}");
    auto second = make_step("second", "note", {"first"});
    second.arguments.set("from", "${first.path}");
    second.arguments.set("unready", "yes");
    auto never = make_step("never", "note");
    never.when = "${to} == earlier";
    auto later = make_step("later", "note", {"first"});
    later.when = "${first.path}";
    runbook.steps.add(second);
    runbook.steps.add(first);
    runbook.steps.add(never);
    runbook.steps.add(later);
    auto dry = Engine(options()).dry_run({.runbook = runbook}, {});
    ASSERT_TRUE(dry.has_value()) << dry.error().message;
    ASSERT_EQ(dry->waves.size(), 2u);
    ASSERT_EQ(dry->waves[0].size(), 2u);
    EXPECT_EQ(dry->waves[0][0].name, "first");
    EXPECT_EQ(dry->waves[0][0].what, R"(would do {"to":"latest"})");
    EXPECT_FALSE(dry->waves[0][0].idempotent);
    EXPECT_EQ(dry->waves[0][1].condition, false);
    EXPECT_EQ(dry->waves[1][0].what, R"(would do {"from":"${first.path}","unready":"yes"})");
    EXPECT_EQ(dry->waves[1][0].condition, true);
    EXPECT_EQ(dry->waves[1][1].condition, std::nullopt);
    ASSERT_EQ(dry->problems.size(), 1u);
    EXPECT_EQ(dry->problems[0].message, "step 'second': not ready");
    EXPECT_THAT(ran, IsEmpty());
    EXPECT_FALSE(std::filesystem::exists(state / "runs"));
}

TEST_F(EngineTest, AThrowingStepIsAFailedStep) {
    add("throws", true,
        [](StepContext&) -> Result<StepResult> { throw std::runtime_error("bang"); });
    add("odd", true, [](StepContext&) -> Result<StepResult> {
        StepResult result;
        result.outputs.set("list", Value(Value::List{}));
        return result;
    });
    runbook.steps.add(make_step("throws", "throws"));
    runbook.steps.add(make_step("odd", "odd"));
    auto report = start();
    EXPECT_EQ(states(report->state), "throws failed; odd failed; ");
    EXPECT_THAT(report->error->message, HasSubstr("bang"));
}

TEST_F(EngineTest, AStepSeesItsRun) {
    add("look", true, [&](StepContext& context) -> Result<StepResult> {
        EXPECT_EQ(context.point_of("database"), "abc");
        EXPECT_EQ(context.point_of("models"), "");
        EXPECT_EQ(context.outputs_of("first")->member_text("x"), "1");
        EXPECT_EQ(context.outputs_of("none"), nullptr);
        auto scratch = context.scratch();
        EXPECT_TRUE(scratch.has_value());
        EXPECT_TRUE(std::filesystem::is_directory(*scratch));
        context.log("hello");
        return StepResult{};
    });
    auto first = make_step("first", "note");
    first.arguments.set("x", 1);
    runbook.steps.add(first);
    runbook.steps.add(make_step("look", "look", {"first"}));
    StartRequest request{.runbook = runbook};
    request.points.set("database", "abc");
    request.attributes.set("scenario", "fire");
    auto report = Engine(options()).start(request, {});
    EXPECT_EQ(report->state.outcome, RunOutcome::done) << report->error->message;
    EXPECT_EQ(report->state.attributes.member_text("scenario"), "fire");
    std::ifstream log(run_directory(state, report->state.run) / "log.jsonl");
    std::string line;
    std::getline(log, line);
    EXPECT_THAT(line, HasSubstr(R"("step":"look","line":"hello")"));
}

TEST_F(EngineTest, TheTimelineTellsTheStory) {
    add("effect", true, [&](StepContext& context) -> Result<StepResult> {
        TRY(context.record_effect("database", "restored_1"));
        clock.advance(std::chrono::seconds(90));
        return StepResult{{}, "12 files"};
    });
    runbook.steps.add(make_step("restore", "effect"));
    runbook.steps.add(make_step("plug", "ask", {"restore"}));
    auto report = start();
    auto timeline = read_timeline(state, report->state.run);
    ASSERT_TRUE(timeline.has_value());
    std::vector<std::string> lines;
    for (auto const& entry : timeline->entries)
        lines.push_back(entry.step + " " + entry.text);
    EXPECT_THAT(lines, ElementsAre(HasSubstr("began by "), "restore began, attempt 1",
                                   "restore database = restored_1", "restore succeeded: 12 files",
                                   "plug began, attempt 1", "plug asks: pull the plug",
                                   HasSubstr("needs_decision: step 'plug' waits")));
    EXPECT_EQ(timeline->entries[3].time - timeline->entries[1].time, std::chrono::seconds(90));
    EXPECT_FALSE(timeline->at_work);

    auto runs = list_runs(state);
    ASSERT_EQ(runs->size(), 1u);
    EXPECT_EQ((*runs)[0].outcome, RunOutcome::needs_decision);
    EXPECT_EQ((*runs)[0].steps, 2u);
    EXPECT_EQ((*runs)[0].settled, 1u);
    EXPECT_TRUE((*runs)[0].resumable);
    EXPECT_EQ(*find_run(state, ""), report->state.run);
    EXPECT_EQ(*find_run(state, report->state.run.substr(0, 18)), report->state.run);
    EXPECT_EQ(find_run(state, "1999").error().kind, ErrorKind::not_found);
}

TEST_F(EngineTest, ResumeUsesTheRunbookOfTheJournal) {
    bool mended = false;
    add("mendable", true, [&](StepContext&) -> Result<StepResult> {
        if (!mended)
            return fail(ErrorKind::io, "down");
        return StepResult{};
    });
    auto step = make_step("a", "mendable");
    step.timeout = std::chrono::minutes(7);
    step.retries = {1, std::chrono::milliseconds(1)};
    step.description = "the first";
    step.arguments.set("deep", Value(Value::List{1, "two", Value(Value::Map{{"k", 1.5}})}));
    runbook.steps.add(step);
    auto report = start();
    runbook = {};
    mended = true;
    auto again = resume(report->state.run);
    EXPECT_EQ(again->state.outcome, RunOutcome::done);
    auto const& kept = *again->state.runbook.steps.begin();
    EXPECT_EQ(kept.timeout, step.timeout);
    EXPECT_EQ(kept.arguments, step.arguments);
    EXPECT_EQ(kept.description, "the first");
}

}  // namespace
}  // namespace holdfast::runbook
