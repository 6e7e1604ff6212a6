#include "steps/notify_step.h"

#include <gmock/gmock.h>

#include "steps/fake_context.h"

namespace holdfast::steps {
namespace {

using plan::Value;
using testing::HasSubstr;

Plan sample_plan() {
    Plan plan;
    plan.people.add({.name = "dr-coordinator", .at = {}, .full_name = "DR Coordinator", .phone = "", .mail = "dr@example.com", .delegate = ""});
    plan.people.add({.name = "alice", .at = {}, .full_name = "", .phone = "", .mail = "alice@example.com", .delegate = ""});
    plan.people.add({.name = "silent", .at = {}, .full_name = "", .phone = "", .mail = "", .delegate = ""});
    plan.teams.add({.name = "database-team", .at = {}, .lead = "dr-coordinator", .members = {"alice"}, .mail = "", .phone = "", .does = {}});
    plan.teams.add({.name = "devops", .at = {}, .lead = "silent", .members = {}, .mail = "devops@example.com", .phone = "", .does = {}});
    plan.notify.mail = plan::Mail{.server = "smtp://mail.example.com:587", .from = "holdfast@example.com", .user = "", .password = {}, .tls = plan::Tls::required};
    return plan;
}

Value arguments(std::vector<std::string> const& to) {
    Value::List list;
    for (auto const& name : to) list.emplace_back(name);
    Value arguments;
    arguments.set("to", std::move(list));
    arguments.set("subject", "It is back");
    arguments.set("text", "All of it.");
    return arguments;
}

TEST(Recipients, AreAddressesOfPeopleAndTeams) {
    auto const plan = sample_plan();
    auto addresses = [&](std::vector<std::string> names) {
        std::string text;
        auto const found = recipients(plan, names);
        EXPECT_TRUE(found);
        for (auto const& recipient : *found) text += recipient.address + " ";
        return text;
    };
    EXPECT_EQ(addresses({"alice", "database-team", "devops"}), "alice@example.com dr@example.com devops@example.com ");
}

TEST(Recipients, NamesEverybodyWhoCannotBeReached) {
    auto const plan = sample_plan();
    std::vector<std::string> const names = {"alice", "nobody", "nothing"};
    EXPECT_THAT(recipients(plan, names).error().message, HasSubstr("'nobody', 'nothing'"));
    std::vector<std::string> const mute = {"silent"};
    EXPECT_THAT(recipients(plan, mute).error().message, HasSubstr("'silent'"));
}

TEST(Notify, RecordsThenSends) {
    auto const plan = sample_plan();
    FakeContext context(arguments({"database-team"}));
    int sent = 0;
    auto step = make_notify_step(plan, [&](plan::Mail const& server, OutgoingMail const& mail, std::stop_token) -> Result<void> {
        ++sent;
        EXPECT_THAT(context.effects_.member_text("mail"), HasSubstr("dr@example.com"));
        EXPECT_EQ(server.from, "holdfast@example.com");
        EXPECT_EQ(mail.subject, "It is back");
        EXPECT_EQ(mail.to.size(), 2u);
        return {};
    }, {});
    auto const result = step->run(context);
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_EQ(sent, 1);
    EXPECT_THAT(result->summary, HasSubstr("DR Coordinator <dr@example.com>"));
    context.effects_fail = true;
    EXPECT_FALSE(step->run(context));
    EXPECT_EQ(sent, 1) << "nothing is sent that is not recorded";
}

TEST(Notify, FailsWithTheServer) {
    auto const plan = sample_plan();
    FakeContext context(arguments({"alice"}));
    auto step = make_notify_step(plan, [](plan::Mail const&, OutgoingMail const&, std::stop_token) -> Result<void> {
        return fail(ErrorKind::unreachable, "connection refused");
    }, {});
    EXPECT_EQ(step->run(context).error().kind, ErrorKind::unreachable);
    EXPECT_FALSE(step->idempotent());
}

TEST(Notify, IsCheckedBeforeAnythingRuns) {
    auto plan = sample_plan();
    auto const step = make_notify_step(plan, {}, {});
    EXPECT_TRUE(step->preflight(arguments({"alice"}), {}));
    EXPECT_TRUE(step->preflight(arguments({"${who}"}), {})) << "known only when it runs";
    EXPECT_FALSE(step->preflight(arguments({"nobody"}), {}));
    EXPECT_THAT(*step->describe(arguments({"alice"})), HasSubstr("smtp://mail.example.com:587"));
    plan.notify.mail.reset();
    EXPECT_THAT(step->preflight(arguments({"alice"}), {}).error().hint, HasSubstr("notify.mail"));
}

TEST(Notify, IsRefusedInIsolation) {
    auto const plan = sample_plan();
    FakeContext context(arguments({"alice"}));
    auto const step = make_notify_step(plan, {}, Isolation{.place = "/scratch"});
    EXPECT_EQ(step->run(context).error().kind, ErrorKind::unsafe);
}

}  // namespace
}  // namespace holdfast::steps
