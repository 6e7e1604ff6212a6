#include "plan/lint.h"

#include <chrono>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace holdfast::plan {
namespace {

using testing::HasSubstr;

constexpr std::string_view kGood = R"yaml(holdfast: 1
name: test
objectives:
  data: { critical: 1h, archive: 24h }
  services: { critical: 4h, standard: 24h, archive: 72h }
repositories:
  main: { url: /srv/repo }
  two:  { url: /srv/copy }
datasets:
  db: { kind: postgres, connect: service=x, tier: critical, every: 30m }
  files: { kind: files, paths: /f, tier: critical, every: 54m }
services:
  api: { tier: critical, needs: [db, login] }
  login: { tier: critical }
scenarios:
  oops: { runbook: back }
runbooks:
  back: { steps: { s: { restore: { dataset: db } }, f: { restore: { dataset: files } } } }
drills:
  monthly: { every: month, run: back, checks: [{ dataset: files }] }
people:
  ann: { phone: +1 (555) 010-0, delegate: bob }
  bob: { mail: bob@example.com, delegate: ann }
communications:
  all: { within: 1h, to: ann, template: declaration }
notify:
  mail: { server: "smtp://mail", from: dr@example.com }
)yaml";

std::string with(std::string_view from, std::string_view to) {
    auto text = std::string(kGood);
    auto at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
}

std::vector<Fault> lint_text(std::string const& text, LintOptions const& options = {}) {
    auto loaded = parse(text, "p.yaml");
    EXPECT_TRUE(loaded.ok()) << render(loaded.faults);
    auto faults = lint(loaded, options);
    // Said of every plan that has communications, as the good one does; see WhatThisVersionDoesNotDoInAnIncident.
    std::erase_if(faults, [](Fault const& fault) { return fault.message.starts_with("communications: this version"); });
    return faults;
}

void expect_lint(std::string const& text, Severity severity, std::string_view fault,
                 std::string_view hint = "") {
    auto faults = lint_text(text);
    ASSERT_EQ(faults.size(), 1u) << render(faults);
    auto const& found = faults[0];
    EXPECT_EQ(fmt::format("{}:{}: {}", found.at.line, found.at.column, found.message), fault);
    EXPECT_EQ(found.severity, severity) << found.text();
    EXPECT_THAT(found.hint, HasSubstr(std::string(hint)));
}

TEST(Lint, GoodPlan) {
    EXPECT_EQ(render(lint_text(std::string(kGood))), "");
}

TEST(Lint, WhatBelongsToNoTier) {
    expect_lint(with("/f, tier: critical, every: 54m", "/f"), Severity::error,
                "11:3: datasets.files: belongs to no tier", "objectives.data");
    expect_lint(with("login: { tier: critical }", "login: {}"), Severity::error,
                "14:3: services.login: belongs to no tier", "objectives.services");
}

TEST(Lint, DependenciesThatRecoverLater) {
    expect_lint(with("login: { tier: critical }", "login: { tier: standard }"), Severity::error,
                "13:38: services.api.needs.1: 'login' may take 1d 0h to recover, longer than the "
                "4h 0m of 'api'");
    expect_lint(with("/f, tier: critical, every: 54m }\nservices:\n  api: { tier: critical, needs: "
                     "[db, login] }",
                     "/f, tier: archive }\nservices:\n  api: { tier: critical, needs: [files] }"),
                Severity::error,
                "13:34: services.api.needs.0: 'files' may take 3d 0h to recover, longer than the "
                "4h 0m of 'api'");
}

TEST(Lint, SchedulesThatCannotMeetTheirObjective) {
    expect_lint(with("every: 54m", "every: 1h"), Severity::error,
                "11:59: datasets.files.every: a point every 1h 0m loses up to 1h 6m with its "
                "upload, more than "
                "the 1h 0m of tier 'critical'",
                "at most every 54m 32s");
    expect_lint(with("every: 30m", "every: 1d"), Severity::error,
                "10:68: datasets.db.every: a point every 1d 0h loses up to 1d 2h with its upload, "
                "more than the "
                "1h 0m of tier 'critical'",
                "or wal: stream");
    EXPECT_EQ(render(lint_text(with("every: 54m", "every: 1h"), {.upload_margin = 0, .now = {}})),
              "");
    EXPECT_EQ(render(lint_text(with(", every: 54m", ""))), "") << "without it, twice per RPO";
}

TEST(Lint, CheckpointsThatSettleForTooLong) {
    auto settling = [](std::string_view settle) { return with("kind: files, paths: /f", fmt::format("kind: models, paths: /f, settle: {}", settle)); };
    expect_lint(settling("54m"), Severity::warning,
                "11:45: datasets.files.settle: a checkpoint may have to stand still for 54m 0s, and a point is made every 54m 0s",
                "`done`");
    EXPECT_EQ(render(lint_text(settling("53m"))), "");
}

TEST(Lint, WhatIsNotCovered) {
    expect_lint(with("dataset: files } } } }\ndrills:\n  monthly: { every: month, run: back, checks: "
                     "[{ dataset: files }] }",
                     "dataset: db } } } }\ndrills:\n  monthly: { every: month, run: back }"),
                Severity::warning, "11:3: datasets.files: no drill restores or checks it");
    expect_lint(with("oops: { runbook: back }", "oops: {}"), Severity::warning,
                "16:3: scenarios.oops: has no runbook");
    expect_lint(with("every: month, ", ""), Severity::warning,
                "20:3: drills.monthly: is never due");
    EXPECT_THAT(render(lint_text(with("/srv/copy", "/srv/copy, copy_of: main, lag: 2h"))),
                HasSubstr("repositories.two.lag: a copy that is 2h 0m behind cannot meet an objective "
                          "of 1h 0m"));
    expect_lint(with("s: { restore: { dataset: db } }",
                     "s: { restore: { dataset: db } }, t: { service.probe: api }, u: { "
                     "service.probe: login }"),
                Severity::warning, "18:3: runbooks.back: this version cannot run service.probe");
}

// What is in the plan and not done by this version must not look as if it were done.
TEST(Lint, WhatThisVersionDoesNotDo) {
    EXPECT_EQ(render(lint_text(with("every: 30m", "wal: stream, every: 1d"))), "") << "guard streams it";
    expect_lint(with("services:\n  api", "  web: { kind: kubernetes, tier: critical }\nservices:\n  api"),
                Severity::warning,
                "12:3: datasets.web: this version cannot back it up: it is not protected");
    expect_lint(with("paths: /f,", "paths: /f, watch: true,"), Severity::warning,
                "11:43: datasets.files.watch: this version watches models alone: points of it are made as often as `every` says");
    EXPECT_EQ(render(lint_text(with("kind: files, paths: /f,", "kind: models, paths: /f, watch: true,"))), "") << "guard watches it";
    expect_lint(with("url: /srv/copy", "url: /srv/copy, lock: 30d"), Severity::warning,
                "8:33: repositories.two.lock: only a bucket with Object Lock can lock objects: this is "
                "none, and is refused");
    expect_lint(with("url: /srv/copy", "url: s3://b/cp, copy_of: main, lag: 10m, lock: 30d"), Severity::warning,
                "8:58: repositories.two.lock: this version cannot lock again what it copied, when newer "
                "points need it");
}

TEST(Lint, WhatThisVersionDoesNotDoInAnIncident) {
    auto faults = lint(parse(std::string(kGood), "p.yaml"), {});
    ASSERT_EQ(faults.size(), 1u) << render(faults);
    EXPECT_EQ(faults[0].text(), "p.yaml:24:1: warning: communications: this version cannot keep these deadlines: nobody is "
                                "told by itself\n    hint: keep it on paper, until it can");
    expect_lint(with("notify:", "after:\n  24h: [report]\nnotify:"), Severity::warning,
                "26:1: after: this version cannot follow what is due after a recovery");
    expect_lint(with("notify:", "limits: { memory: 1GiB }\nnotify:"), Severity::warning,
                "26:1: limits: this version cannot keep to them");
    expect_lint(with("login: { tier: critical }", "login: { tier: critical, probe: { http: \"http://x/\" } }"),
                Severity::warning, "14:28: services.login.probe: this version cannot probe services: whether it works is "
                                   "not measured");
    expect_lint(with("checks: [{ dataset: files }]", "checks: [{ dataset: files }], communications: true"), Severity::warning,
                "20:85: drills.monthly.communications: this version cannot rehearse the notifications");
}

TEST(Lint, DrillsThatCanNeverBeProven) {
    expect_lint(with("dataset: files } } }", "dataset: db } } }"), Severity::warning,
                "20:48: drills.monthly.checks.0: none of its runbooks restores 'files', so it can "
                "never be proven",
                "add a runbook that restores 'files'");
    auto parameter = "back: { parameters: { what: { default: db } }, steps: { s: { restore: { "
                     "dataset: db } }, f: { restore: { dataset: \"${what}\" } } } }";
    auto text = with("back: { steps: { s: { restore: { dataset: db } }, f: { restore: { dataset: "
                     "files } } } }",
                     parameter);
    EXPECT_THAT(render(lint_text(text)), HasSubstr("none of its runbooks restores 'files'"));
    auto run = text.find("run: back");
    ASSERT_NE(run, std::string::npos);
    text.insert(run, "parameters: { what: files }, ");
    EXPECT_EQ(render(lint_text(text)), "") << "a drill's own value comes first";
}

TEST(Lint, RetentionThatKeepsNothing) {
    expect_lint(with("datasets:", "retention: { critical: {}, archive: { daily: 1 } }\ndatasets:"),
                Severity::error, "9:14: retention.critical: keeps nothing");
}

TEST(Lint, Contacts) {
    expect_lint(with("phone: +1 (555) 010-0", "phone: +1-555-DR-LEAD"), Severity::error,
                "22:17: people.ann.phone: '+1-555-DR-LEAD' cannot be dialled");
    expect_lint(with(", delegate: ann", ""), Severity::warning,
                "23:3: people.bob: nobody stands in for them");
    expect_lint(with("mail: bob@example.com, ", ""), Severity::warning,
                "23:3: people.bob: can neither be called nor written to");
    expect_lint(with("people:", "vendors: { cloud: { phone: none } }\npeople:"), Severity::error,
                "21:28: vendors.cloud.phone: 'none' cannot be dialled");
    expect_lint(with("communications:", "teams: { staff: {} }\ncommunications:"), Severity::warning,
                "24:10: teams.staff: has nobody in it and no address");
}

TEST(Lint, Channels) {
    expect_lint(with("notify:\n  mail: { server: \"smtp://mail\", from: dr@example.com }\n", ""),
                Severity::warning, "25:3: communications.all.by.0: 'mail' cannot be used yet",
                "notify.mail");
    expect_lint(with("template: declaration", "template: declaration, by: [mail, webhook:ops]"),
                Severity::warning,
                "25:65: communications.all.by.1: 'webhook:ops' cannot be used yet",
                "notify.webhooks.ops");
    expect_lint(with("template: declaration", "template: declarashun"), Severity::warning,
                "25:41: communications.all.template: there is no template 'declarashun'",
                "did you mean 'declaration'?");
}

TEST(Lint, ReviewIsOverdue) {
    auto text = with("objectives:", "review: { every: 3 months, last: 2026-01-01 }\nobjectives:");
    auto at = [](std::string_view time) { return LintOptions{.now = *parse_rfc3339(time)}; };
    EXPECT_EQ(render(lint_text(text, at("2026-03-01T00:00:00Z"))), "");
    EXPECT_THAT(
        render(lint_text(text, at("2026-05-01T00:00:00Z"))),
        HasSubstr(
            "p.yaml:3:34: warning: review.last: the review is overdue: the last was 120d 0h ago"));
    EXPECT_EQ(render(lint_text(text)), "") << "nobody said what time it is";
}

TEST(Lint, TheExampleIsGood) {
    auto loaded = load(HOLDFAST_SOURCE "/examples/spikeformer/holdfast.yaml");
    ASSERT_TRUE(loaded);
    EXPECT_EQ(render(loaded->faults), "");
    // What this version cannot do yet is all that may be said of it.
    for (auto const& fault : lint(*loaded)) {
        EXPECT_EQ(fault.severity, Severity::warning) << fault.text();
        EXPECT_THAT(fault.message, HasSubstr("this version cannot ")) << fault.text();
    }
}

TEST(Lint, EmptyPlan) {
    EXPECT_EQ(render(lint_text("holdfast: 1\nname: x\n")),
              "p.yaml:1:1: warning: datasets: the plan protects nothing\n");
}

}  // namespace
}  // namespace holdfast::plan
