#include "drill/isolated_runbook.h"

#include <gmock/gmock.h>

namespace holdfast::drill {
namespace {

using plan::Step;
using plan::Value;
using testing::ElementsAre;
using testing::HasSubstr;

Step make(std::string name, std::string kind, std::vector<std::string> after,
          std::vector<std::pair<std::string, std::string>> arguments) {
    Step step;
    step.name = std::move(name);
    step.kind = std::move(kind);
    step.after = std::move(after);
    step.arguments.members();
    for (auto& [key, value] : arguments) step.arguments.set(key, Value(value));
    return step;
}

Plan plan_to_isolate() {
    Plan plan;
    plan::Dataset database;
    database.name = "database";
    database.kind = plan::DatasetKind::postgres;
    plan.datasets.add(database);
    plan::Dataset models;
    models.name = "models";
    models.kind = plan::DatasetKind::models;
    plan.datasets.add(models);
    return plan;
}

// The runbook of docs/plan-file.md.
plan::Runbook sample_runbook() {
    plan::Runbook runbook;
    runbook.name = "restore-database";
    plan::Parameter which;
    which.name = "which";
    which.fallback = "database";
    runbook.parameters.add(which);
    runbook.steps.add(make("fence", "kubernetes.scale", {}, {{"deployment", "api"}}));
    auto restore = make("restore", "postgres.restore", {"fence"}, {{"dataset", "database"}, {"into", "/var/lib/postgresql/15/main"}});
    restore.approve = plan::Approval{.count = 1, .teams = {"database-team"}};
    runbook.steps.add(restore);
    runbook.steps.add(make("any", "restore", {"fence"}, {{"dataset", "${which}"}}));
    runbook.steps.add(make("models", "models.restore", {}, {{"dataset", "models"}}));
    runbook.steps.add(make("validate", "sql.check", {"restore"}, {{"on", "restore"}, {"query", "select 1"}, {"expect", "1"}}));
    runbook.steps.add(make("cut-over", "kubernetes.patch", {"validate"}, {{"configmap", "x"}}));
    runbook.steps.add(make("live", "sql.check", {"cut-over"}, {{"connect", "host=db1"}, {"query", "select 1"}, {"expect", "1"}}));
    runbook.steps.add(make("read", "verify", {"cut-over", "models"}, {{"dataset", "models"}}));
    runbook.steps.add(make("tell", "notify", {"read"}, {{"to", "all"}, {"text", "${restore.time}"}}));
    return runbook;
}

IsolatedRunbook isolated(plan::Runbook const& runbook) {
    auto result = isolate(plan_to_isolate(), runbook, {}, "/scratch/drill",
                          [](std::string const& kind) { return kind == "command" || kind == "notify"; });
    EXPECT_TRUE(result) << result.error().message;
    return *result;
}

std::vector<std::string> names(auto const& steps) {
    std::vector<std::string> result;
    for (auto const& step : steps) result.push_back(step.name);
    return result;
}

TEST(IsolatedRunbook, LeavesOutWhatReachesOutside) {
    auto const result = isolated(sample_runbook());
    EXPECT_THAT(names(result.runbook.steps), ElementsAre("restore", "any", "models", "validate", "read"));
    std::vector<std::string> left_out;
    for (auto const& left : result.left_out) {
        EXPECT_TRUE(left.harmless);
        left_out.push_back(left.step.name);
    }
    EXPECT_THAT(left_out, ElementsAre("fence", "cut-over", "live", "tell"));
    EXPECT_THAT(result.left_out[2].reason, HasSubstr("a server that the plan names"));
}

TEST(IsolatedRunbook, RestoresIntoItsPlaceWhateverThePlanSays) {
    auto const result = isolated(sample_runbook());
    auto const into = [&](char const* step) { return result.runbook.steps.find(step)->arguments.member_text("into"); };
    EXPECT_EQ(into("restore"), "/scratch/drill/databases/restore");
    EXPECT_EQ(into("any"), "/scratch/drill/databases/any");
    EXPECT_EQ(into("models"), "/scratch/drill/files/models");
    EXPECT_FALSE(result.runbook.steps.find("restore")->approve);
    auto odd = sample_runbook();
    odd.steps.find("models")->name = "../../etc";
    EXPECT_EQ(isolated(odd).runbook.steps.find("../../etc")->arguments.member_text("into"),
              "/scratch/drill/files/______etc");
}

TEST(IsolatedRunbook, KeepsTheOrderAroundWhatIsLeftOut) {
    auto const result = isolated(sample_runbook());
    EXPECT_TRUE(result.runbook.steps.find("restore")->after.empty());
    EXPECT_THAT(result.runbook.steps.find("read")->after, ElementsAre("validate", "models"));
}

TEST(IsolatedRunbook, RunsWhatThePlanCallsSafe) {
    auto runbook = sample_runbook();
    runbook.steps.find("tell")->safe_in_drills = true;
    runbook.steps.find("fence")->safe_in_drills = true;  // this version cannot run it
    auto const result = isolated(runbook);
    EXPECT_TRUE(result.runbook.steps.contains("tell"));
    EXPECT_THAT(result.safe_steps, ElementsAre("tell"));
    EXPECT_THAT(result.left_out.front().reason, HasSubstr("cannot run it"));
}

TEST(IsolatedRunbook, TellsWhatItCanNotProveWithoutThem) {
    auto runbook = sample_runbook();
    runbook.steps.add(make("more", "restore", {"fence"}, {{"dataset", "models"}, {"to", "${fence.time}"}}));
    runbook.steps.add(make("ask", "sql.check", {"more"}, {{"on", "more"}, {"query", "q"}, {"expect", "1"}}));
    auto const result = isolated(runbook);
    ASSERT_EQ(result.left_out.size(), 6u);
    EXPECT_EQ(result.left_out[4].step.name, "more");
    EXPECT_FALSE(result.left_out[4].harmless);
    EXPECT_EQ(result.left_out[5].step.name, "ask");
    EXPECT_FALSE(result.left_out[5].harmless);
}

TEST(IsolatedRunbook, ResolvesTheDatasetOfAParameter) {
    auto const runbook = sample_runbook();
    auto const& any = *runbook.steps.find("any");
    EXPECT_EQ(dataset_of(any, runbook, {}), "database");
    EXPECT_EQ(dataset_of(any, runbook, {{"which", "models"}}), "models");
    EXPECT_EQ(dataset_of(make("x", "restore", {}, {{"dataset", "${any.dataset}"}}), runbook, {}), "");
}

}  // namespace
}  // namespace holdfast::drill
