#include <fstream>
#include <sstream>
#include <thread>

#include <gmock/gmock.h>

#include "steps/command_step.h"
#include "steps/fake_context.h"
#include "steps/manual_step.h"

namespace holdfast::steps {
namespace {

using plan::Value;
using runbook::Choice;
using testing::HasSubstr;
using testing::Not;

std::string slurp(std::filesystem::path const& path) {
    std::ostringstream out;
    out << std::ifstream(path).rdbuf();
    return out.str();
}

Value argv(std::vector<std::string> const& words) {
    Value::List list;
    for (auto const& word : words) list.emplace_back(word);
    Value arguments;
    arguments.set("argv", std::move(list));
    return arguments;
}

TEST(Command, RunsAndKeepsWhatItWrote) {
    FakeContext context(argv({"sh", "-c", "echo out; echo err >&2"}));
    auto const result = make_command_step({})->run(context);
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_THAT(result->summary, HasSubstr("exit code 0"));
    EXPECT_EQ(slurp(*context.scratch() / "output-1.txt"), "out\n");
    EXPECT_EQ(slurp(*context.scratch() / "errors-1.txt"), "err\n");
    EXPECT_EQ(context.effects_.member_text("command"), "sh -c 'echo out; echo err >&2'");
}

TEST(Command, FailsWithWhatTheProgramSaid) {
    FakeContext context(argv({"sh", "-c", "echo no such cluster >&2; exit 3"}));
    auto const result = make_command_step({})->run(context);
    ASSERT_FALSE(result);
    EXPECT_THAT(result.error().message, HasSubstr("exit code 3"));
    EXPECT_THAT(result.error().message, HasSubstr("no such cluster"));
}

TEST(Command, SeesOnlyTheVariablesItIsGiven) {
    ::setenv("HOLDFAST_TEST_SECRET", "hunter2", 1);
    auto arguments = argv({"env"});
    Value variables;
    variables.set("GREETING", "hello");
    arguments.set("environment", variables);
    FakeContext context(arguments);
    ASSERT_TRUE(make_command_step({})->run(context));
    auto const seen = slurp(*context.scratch() / "output-1.txt");
    EXPECT_THAT(seen, HasSubstr("GREETING=hello"));
    EXPECT_THAT(seen, HasSubstr("PATH="));
    EXPECT_THAT(seen, Not(HasSubstr("HOLDFAST_TEST_SECRET")));
}

TEST(Command, DoesNothingWhenItsEffectCannotBeRecorded) {
    FakeContext context(argv({"sh", "-c", "echo ran > ran"}));
    context.arguments_.set("directory", context.scratch()->string());
    context.effects_fail = true;
    EXPECT_FALSE(make_command_step({})->run(context));
    EXPECT_FALSE(std::filesystem::exists(*context.scratch() / "ran"));
}

TEST(Command, StopsWhenAsked) {
    FakeContext context(argv({"sleep", "60"}));
    std::jthread stopper([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        context.stopper.request_stop();
    });
    EXPECT_EQ(make_command_step({})->run(context).error().kind, ErrorKind::cancelled);
}

TEST(Command, IsCheckedBeforeAnythingRuns) {
    auto const step = make_command_step({});
    EXPECT_FALSE(step->idempotent());
    EXPECT_TRUE(step->preflight(argv({"sh"}), {}));
    EXPECT_TRUE(step->preflight(argv({"${restore.program}"}), {})) << "known only when it runs";
    EXPECT_EQ(step->preflight(argv({"no-such-program-here"}), {}).error().kind, ErrorKind::not_found);
    EXPECT_EQ(step->preflight(argv({"/etc/passwd"}), {}).error().kind, ErrorKind::not_found);
    EXPECT_EQ(step->preflight(argv({}), {}).error().kind, ErrorKind::usage);
    auto elsewhere = argv({"sh"});
    elsewhere.set("directory", "/no/such/place");
    EXPECT_EQ(step->preflight(elsewhere, {}).error().kind, ErrorKind::not_found);
}

TEST(Command, DescribesExactlyWhatItWouldRun) {
    auto arguments = argv({"pg_ctlcluster", "15", "a b", "", "$HOME"});
    arguments.set("directory", "/srv");
    Value variables;
    variables.set("PGPASSFILE", "/etc/secret");
    arguments.set("environment", variables);
    EXPECT_EQ(*make_command_step({})->describe(arguments),
              "run pg_ctlcluster 15 'a b' '' '$HOME'\nin /srv\nwith the variables PGPASSFILE");
}

TEST(Isolation, RefusesStepsThatReachOutside) {
    Isolation isolation{.place = "/var/lib/holdfast/scratch/drill-1"};
    FakeContext context(argv({"true"}));
    EXPECT_EQ(make_command_step(isolation)->run(context).error().kind, ErrorKind::unsafe);
    isolation.safe_steps = {"step"};
    EXPECT_TRUE(make_command_step(isolation)->run(context));
}

TEST(Isolation, KnowsItsPlace) {
    Isolation const isolation{.place = "/scratch/drill"};
    EXPECT_TRUE(isolation.allow_target("/scratch/drill/restored/database"));
    for (auto outside : {"/", "/scratch", "/scratch/drill", "/scratch/drill/", "/scratch/drill2/x", "/etc",
                         "/scratch/drill/../../etc", "scratch/drill/x", ""}) {
        EXPECT_EQ(isolation.allow_target(outside).error().kind, ErrorKind::unsafe) << outside;
    }
}

TEST(Manual, AsksAndPassesTheAnswerOn) {
    Value arguments;
    arguments.set("text", "Plug in the board.");
    FakeContext context(arguments);
    EXPECT_EQ(make_manual_step({})->run(context).error().kind, ErrorKind::cancelled) << "nobody is here";
    ASSERT_EQ(context.asked.size(), 1u);
    EXPECT_EQ(context.asked[0].text, "Plug in the board.");

    Value outputs;
    outputs.set("serial", "L2-07");
    context.answer = runbook::Decision{.choice = Choice::done, .by = "alice", .note = "rack 4", .outputs = outputs};
    auto const done = make_manual_step({})->run(context);
    ASSERT_TRUE(done);
    EXPECT_EQ(done->summary, "done by alice: rack 4");
    EXPECT_EQ(done->outputs.member_text("serial"), "L2-07");

    context.answer = runbook::Decision{.choice = Choice::refuse, .by = "bob"};
    EXPECT_THAT(make_manual_step({})->run(context).error().message, HasSubstr("refused by bob"));
    EXPECT_FALSE(make_manual_step({})->preflight(Value(), {}));
}

}  // namespace
}  // namespace holdfast::steps
