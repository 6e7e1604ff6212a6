#include "plan/load.h"

#include <chrono>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace holdfast::plan {
namespace {

using testing::HasSubstr;

// A plan with these lines behind its two first ones, so that they begin in line 3.
LoadedPlan parse_lines(std::string_view lines) {
    return parse("holdfast: 1\nname: test\n" + std::string(lines), "p.yaml");
}

std::string faults(std::string_view lines) {
    return render(parse_lines(lines).faults);
}

// The plan has exactly this fault: "3:5: …" is how it must begin, `hint` must be in its hint.
void expect_fault(std::string_view lines, std::string_view fault, std::string_view hint = "") {
    auto loaded = parse_lines(lines);
    ASSERT_EQ(loaded.faults.size(), 1u) << lines << "\n" << render(loaded.faults);
    auto const& found = loaded.faults[0];
    EXPECT_EQ(fmt::format("{}:{}: {}", found.at.line, found.at.column, found.message), fault)
        << lines;
    EXPECT_THAT(found.hint, HasSubstr(std::string(hint))) << lines;
    EXPECT_EQ(found.file, "p.yaml");
}

TEST(Load, SmallestPlan) {
    auto loaded = parse("holdfast: 1\nname: tiny\n", "p.yaml");
    EXPECT_TRUE(loaded.ok()) << render(loaded.faults);
    EXPECT_EQ(loaded.plan.name, "tiny");
    EXPECT_EQ(loaded.plan.file, "p.yaml");
    EXPECT_EQ(loaded.text, "holdfast: 1\nname: tiny\n");
}

TEST(Load, ReadsEverySection) {
    auto loaded = parse_lines(R"yaml(
review: { every: 3 months, owner: ann, last: 2026-09-01 }
objectives:
  data: { critical: 1h }
  services: { critical: 4h }
repositories:
  primary: { url: /srv/repo, key: file:/etc/holdfast/writer.key, lock: 30d }
  secondary: { url: "s3://west/backups?region=us-west-2", copy_of: primary, lag: 15m }
datasets:
  database: { kind: postgres, connect: "service=x", tier: critical, wal: stream, every: 1d }
  models: { kind: models, paths: [/models], exclude: "*.tmp", tier: critical, watch: true, settle: 30s, done: "*.done" }
  config: { kind: files, paths: /etc/x, secrets: true, key: escrow, append_only: true, repository: secondary }
  cluster: { kind: kubernetes, context: prod, namespaces: ["*"] }
  boards: { kind: hardware, driver: loihi2, hosts: [ncl-01] }
retention:
  critical: { within: 2d, last: 3, hourly: 24, daily: 14, weekly: 8, monthly: 12, yearly: 1 }
services:
  api: { tier: critical, needs: [database, models], probe: { http: "https://x/healthz", expect: ok.json } }
scenarios:
  outage: { probability: low, impact: everything is away, runbook: back }
runbooks:
  back:
    description: Brings it back.
    parameters: { to: { default: latest, description: when }, mode: { default: 1 } }
    steps:
      restore: { postgres.restore: { dataset: database, to: "${to}", into: /srv/new }, retries: 2 }
      check:
        sql.check: { on: restore, query: "select 1", expect: "> 0", fresh_within: 1h }
        after: restore
        when: ${mode} == 1
        timeout: 10m
        retries: { count: 3, backoff: 1s }
        approve: 2 of [ops, dba]
        idempotent: false
        on_failure: continue
      stop: { command: [systemctl, stop, x], after: [restore, check], approve: ops }
      tell: { notify: { to: [ann, ops], subject: Restored, text: "as of ${restore.time}" }, after: restore }
drills:
  monthly:
    every: month
    run: back
    parameters: { to: "2026-11-22T10:31:07Z" }
    isolated: false
    checks: [{ query: "select count(*)", expect: 3 }, { dataset: models }, { service: api }]
    baseline: { latency: +20%, throughput: -10%, errors: 1% }
    communications: true
people:
  ann: { name: Ann, phone: "+15550100", mail: ann@example.com, delegate: bob }
  bob: { mail: bob@example.com }
teams:
  ops: { lead: ann, members: [bob], does: [all of it] }
  dba: { mail: dba@example.com }
vendors:
  cloud: { name: Cloud, phone: "+15550199", contract: "4711", does: support }
communications:
  engineering: { within: 15m, to: [ops], template: declaration, by: [mail, webhook:ops], acknowledge: true }
templates:
  mine: { subject: Hello, text: World }
after:
  24h: [verification, { task: report, owner: ann }]
  1 month: [update]
notify:
  mail: { server: "smtp://mail:587", from: dr@example.com, user: dr, password: env:MAIL, tls: none }
  webhooks: { ops: { url: env:OPS } }
  status_page: { directory: /srv/status, url: "https://status.example.com" }
limits: { memory: 256 MiB, upload: 50 MB }
)yaml");
    ASSERT_EQ(render(loaded.faults), "");
    auto const& plan = loaded.plan;
    using namespace std::chrono_literals;

    EXPECT_EQ(plan.review->owner, "ann");
    EXPECT_EQ(plan.repositories.find("primary")->key->target, "/etc/holdfast/writer.key");
    EXPECT_EQ(plan.repositories.find("secondary")->copy_of, "primary");
    auto const& database = *plan.datasets.find("database");
    EXPECT_EQ(database.kind, DatasetKind::postgres);
    EXPECT_EQ(database.wal, WalMode::stream);
    EXPECT_EQ(database.at, (Position{12, 3}));
    EXPECT_EQ(plan.rpo(database), 1h);
    EXPECT_EQ(plan.interval(database), 24h);
    EXPECT_EQ(plan.interval(*plan.datasets.find("models")), 30min);
    EXPECT_EQ(plan.targets(database), std::vector<std::string>{"primary"});
    EXPECT_EQ(plan.targets(*plan.datasets.find("config")), std::vector<std::string>{"secondary"});
    EXPECT_EQ(plan.datasets.find("models")->exclude, std::vector<std::string>{"*.tmp"});
    EXPECT_EQ(plan.datasets.begin()->name, "database") << "the order of the file is kept";
    EXPECT_TRUE(plan.retention.find("critical")->keeps_something());
    EXPECT_EQ(plan.datasets.find("models")->settle, 30s);
    EXPECT_EQ(plan.datasets.find("models")->done, "*.done");
    EXPECT_EQ(plan.rto(*plan.services.find("api")), 4h);

    auto const& runbook = *plan.runbooks.find("back");
    EXPECT_EQ(runbook.parameters.find("mode")->fallback, "1");
    auto const& restore = *runbook.steps.find("restore");
    EXPECT_EQ(restore.kind, "postgres.restore");
    EXPECT_EQ(restore.arguments.member_text("to"), "${to}");
    EXPECT_EQ(restore.retries.count, 2u);
    auto const& check = *runbook.steps.find("check");
    EXPECT_EQ(check.after, std::vector<std::string>{"restore"});
    EXPECT_EQ(check.approve->count, 2u);
    EXPECT_EQ(check.approve->teams, (std::vector<std::string>{"ops", "dba"}));
    EXPECT_EQ(check.on_failure, OnFailure::proceed);
    EXPECT_EQ(check.idempotent, false);
    EXPECT_EQ(check.retries.backoff, 1s);
    auto const& stop = *runbook.steps.find("stop");
    EXPECT_EQ(stop.arguments.find("argv")->texts(),
              (std::vector<std::string>{"systemctl", "stop", "x"}));
    EXPECT_EQ(stop.approve->count, 1u);

    auto const& drill = *plan.drills.find("monthly");
    EXPECT_EQ(drill.checks.size(), 3u);
    EXPECT_EQ(drill.checks[0].expect, "3");
    EXPECT_DOUBLE_EQ(drill.baseline->throughput->fraction, -0.1);
    EXPECT_EQ(plan.after.find("24h")->due, 24h);
    EXPECT_EQ(plan.after.find("24h")->tasks[1].owner, "ann");
    EXPECT_EQ(plan.notify.mail->tls, Tls::none);
    EXPECT_EQ(plan.limits.memory->bytes, 256u << 20);
}

TEST(Load, FaultsOfForm) {
    expect_fault("datasetz: {}\n", "3:1: unknown key 'datasetz'", "did you mean 'datasets'?");
    expect_fault("datasets:\n  logs: { kind: files, paths: [/l], teir: x }\n",
                 "4:37: datasets.logs: unknown key 'teir'", "did you mean 'tier'?");
    expect_fault("datasets:\n  logs: { paths: [/l] }\n", "4:3: datasets.logs: 'kind' is missing");
    expect_fault("datasets:\n  logs: { kind: file, paths: [/l] }\n",
                 "4:17: datasets.logs.kind: must be files, models, postgres, kubernetes or "
                 "hardware, not 'file'",
                 "did you mean 'files'?");
    expect_fault("datasets:\n  logs: { kind: files, paths: [/l, var/log] }\n",
                 "4:36: datasets.logs.paths.1: must be an absolute path, not 'var/log'");
    expect_fault("datasets:\n  logs: { kind: files, paths: [/l], every: often }\n",
                 "4:44: datasets.logs.every: must be a duration such as 15m, 1h30m, 2d or 3 "
                 "months, not 'often'");
    expect_fault("datasets:\n  logs: { kind: files, paths: [/l], every: 900 years }\n",
                 "4:44: datasets.logs.every: not a duration: '900 years'");
    expect_fault("datasets:\n  logs: { kind: files, paths: [/l], watch: yes }\n",
                 "4:44: datasets.logs.watch: must be true or false, not 'yes'");
    expect_fault("datasets:\n  a b: { kind: files, paths: [/l] }\n",
                 "4:3: datasets.a b: 'a b' is not a name of letters, digits, '-' and '_'");
    expect_fault("datasets: []\n", "3:1: datasets: must be a mapping of names, not a list");
    expect_fault("datasets:\n", "3:1: datasets: must be a mapping of names, not nothing");
    expect_fault("retention: { }\nreview: { last: yesterday }\n",
                 "4:17: review.last: must be a day such as 2026-11-22, or a time such as "
                 "2026-11-22T10:31:07Z, not 'yesterday'");
    expect_fault("repositories:\n  main: { url: \"ftp://x\" }\n",
                 "4:16: repositories.main.url: must be an absolute path, file:///path or "
                 "s3://bucket/prefix?region=..., not 'ftp://x'");
    expect_fault("limits: { memory: many }\n",
                 "3:19: limits.memory: must be a size such as 256 MiB or 1.5 GB, not 'many'");
    expect_fault("people:\n  ann: { mail: ann at home }\n",
                 "4:16: people.ann.mail: must be a mail address, not 'ann at home'");
    expect_fault("people:\n  ann: { mail: \"\" }\n",
                 "4:16: people.ann.mail: must be a mail address, not an empty text");
    expect_fault("runbooks:\n  r: { steps: { s: { manual: x, retries: -1 } } }\n",
                 "4:42: runbooks.r.steps.s.retries: must be a number from 0 to 1000000, not '-1'");
}

TEST(Load, TextsThatYamlTakesForNumbers) {
    expect_fault("people:\n  ann: { phone: +15550100 }\n",
                 "4:17: people.ann.phone: must be a text, not a number",
                 "put it in quotes: \"+15550100\"");
    expect_fault("limits: { memory: 4096 }\n",
                 "3:19: limits.memory: must be a size such as 256 MiB or 1.5 GB, not a number");
    expect_fault(
        "retention: {}\nservices:\n  api: { needs: [true] }\n",
        "5:18: services.api.needs.0: must be a name of letters, digits, '-' and '_', not a boolean",
        "put it in quotes: \"true\"");
    expect_fault("runbooks:\n  r: { steps: { s: { manual: x, retries: 010 } } }\n",
                 "4:42: runbooks.r.steps.s.retries: '010' is octal to some and decimal to others",
                 "leave the leading zero out");
}

TEST(Load, VersionIsOne) {
    EXPECT_EQ(render(parse("holdfast: 2\nname: x\n", "p").faults),
              "p:1:11: error: holdfast: must be 1, not '2'\n");
    EXPECT_THAT(render(parse("name: x\n", "p").faults),
                HasSubstr("p:1:1: error: 'holdfast' is missing"));
}

TEST(Load, SecretsNeverStandInThePlan) {
    auto text = faults("repositories:\n  main: { url: /r, key: hunter2 }\n");
    EXPECT_THAT(
        text,
        HasSubstr("p.yaml:4:25: error: repositories.main.key: must be a reference to a secret"));
    EXPECT_THAT(text, testing::Not(HasSubstr("hunter2")));
    text = faults("datasets:\n  db: { kind: postgres, connect: \"host=x password=hunter2\" }\n");
    EXPECT_THAT(
        text,
        HasSubstr("4:34: error: datasets.db.connect: a password stands in the connection string"));
    EXPECT_THAT(text, testing::Not(HasSubstr("hunter2")));
    expect_fault("repositories:\n  main: { url: \"s3://b?secret_key=x\" }\n",
                 "4:16: repositories.main.url: credentials stand in the URL");
    expect_fault("repositories:\n  main: { url: \"s3://b?regoin=x\" }\n",
                 "4:16: repositories.main.url: an object store has no option 'regoin'",
                 "did you mean 'region'?");
    auto named = parse_lines(
        "repositories:\n  main: { url: \"s3://b?ca=/etc/my-secrets/ca.pem\", credentials: "
        "file:/etc/s3 }\n");
    ASSERT_TRUE(named.ok()) << render(named.faults);
    EXPECT_EQ(named.plan.repositories.find("main")->credentials->target, "/etc/s3");
}

TEST(Load, FaultsOfSteps) {
    auto with_step = [](std::string_view step) {
        return "runbooks:\n  r:\n    steps:\n      first: { manual: go }\n      s: " +
               std::string(step) + "\ndatasets:\n  db: { kind: postgres, connect: service=x }\n";
    };
    expect_fault(with_step("{ comand: [ls] }"),
                 "7:12: runbooks.r.steps.s: unknown kind of step or key 'comand'",
                 "did you mean 'command'?");
    expect_fault(with_step("{ manual: x, aftr: first }"),
                 "7:23: runbooks.r.steps.s: unknown kind of step or key 'aftr'",
                 "did you mean 'after'?");
    expect_fault(with_step("{ after: first }"), "7:7: runbooks.r.steps.s: does nothing", "command");
    expect_fault(with_step("{ manual: x, verify: db }"),
                 "7:23: runbooks.r.steps.s: does two things: 'manual' and 'verify'", "two steps");
    expect_fault(with_step("{ restore: { datset: db, dataset: db } }"),
                 "7:23: runbooks.r.steps.s.restore: unknown argument 'datset'",
                 "did you mean 'dataset'?");
    expect_fault(with_step("{ restore: { to: latest } }"),
                 "7:12: runbooks.r.steps.s.restore: 'dataset' is missing");
    expect_fault(with_step("{ restore: { dataset: dp } }"),
                 "7:32: runbooks.r.steps.s.restore.dataset: there is no dataset 'dp'",
                 "did you mean 'db'?");
    expect_fault(
        with_step("{ restore: }"),
        "7:12: runbooks.r.steps.s.restore: must be a mapping of its arguments, not nothing");
    expect_fault(
        with_step("{ models.restore: db }"),
        "7:28: runbooks.r.steps.s.models.restore.dataset: models.restore is for datasets of kind "
        "models, and 'db' is of kind postgres",
        "`restore`");
    expect_fault(with_step("{ manual: x, after: frist }"),
                 "7:30: runbooks.r.steps.s.after.0: there is no step 'frist'",
                 "did you mean 'first'?");
    expect_fault(with_step("{ manual: x, after: s }"),
                 "7:7: runbooks.r.steps.s: wait for each other in a circle: s -> s");
    expect_fault(with_step("{ manual: x, approve: 1 of dba }"),
                 "7:32: runbooks.r.steps.s.approve.teams.0: there is no team 'dba'");
    expect_fault(with_step("{ manual: \"do ${what}\" }"),
                 "7:20: runbooks.r.steps.s.manual.text: there is no parameter 'what'");
    expect_fault(with_step("{ command: [echo, \"${\"] }"),
                 "7:28: runbooks.r.steps.s.command.argv.1: '${' has no closing '}'", "$${");
    expect_fault(with_step("{ manual: \"as of ${first.time}\" }"),
                 "7:20: runbooks.r.steps.s.manual.text: 'first' may not have run before this step",
                 "after");
    expect_fault(with_step("{ manual: x }\n      r: { restore: db, after: s }\n"
                           "      t: { manual: \"${r.tiem} ${r.time} ${s.any}\", after: r }"),
                 "9:20: runbooks.r.steps.t.manual.text: 'r' leaves no 'tiem'",
                 "did you mean 'time'?");
    expect_fault(
        with_step("{ sql.check: { on: first, query: q, expect: 1 } }"),
        "7:29: runbooks.r.steps.s.sql.check.on: 'first' may not have run before this step");
    expect_fault(with_step("{ sql.check: { connect: service=x, query: q } }"),
                 "7:12: runbooks.r.steps.s.sql.check: expects nothing");
    expect_fault(with_step("{ sql.check: { query: q, expect: 1 } }"),
                 "7:12: runbooks.r.steps.s.sql.check: needs either 'on' or 'connect'");
    expect_fault(with_step("{ verify: { } }"),
                 "7:12: runbooks.r.steps.s.verify: needs either 'dataset' or 'point'");
    expect_fault(with_step("{ command: { argv: [] } }"),
                 "7:23: runbooks.r.steps.s.command.argv: names no program");
    expect_fault(with_step("{ manual: x, when: a b }"),
                 "7:29: runbooks.r.steps.s.when: 'a b' is not a condition");
    expect_fault(with_step("{ notify: { to: [nobody], subject: s, text: t } }"),
                 "7:27: runbooks.r.steps.s.notify.to.0: there is no person or team 'nobody'");
    expect_fault(with_step("{ service.probe: api }"),
                 "7:27: runbooks.r.steps.s.service.probe.service: there is no service 'api'");
    expect_fault(with_step("{ postgres.restore: { dataset: db, timeline: new } }"),
                 "7:55: runbooks.r.steps.s.postgres.restore.timeline: must be a number from 0 to "
                 "1000000, not 'new'");
    EXPECT_EQ(faults(with_step("{ manual: \"costs $${x}\", when: \"a == a\" }")), "");
}

TEST(Load, FaultsOfReferences) {
    expect_fault(
        "objectives: { data: { critical: 1h } }\ndatasets:\n  a: { kind: files, paths: /a, tier: "
        "critcal }\n",
        "5:38: datasets.a.tier: there is no tier in objectives.data 'critcal'",
        "did you mean 'critical'?");
    expect_fault("datasets:\n  a: { kind: files, paths: /a, repository: [main] }\n",
                 "4:45: datasets.a.repository.0: there is no repository 'main'",
                 "the plan has no repository");
    expect_fault("datasets:\n  a: { kind: files }\n",
                 "4:3: datasets.a: a dataset of kind files needs 'paths'");
    expect_fault("datasets:\n  a: { kind: files, paths: /a, wal: stream }\n",
                 "4:37: datasets.a.wal: means nothing for a dataset of kind files");
    expect_fault("datasets:\n  a: { kind: files, paths: /a, settle: 1m }\n",
                 "4:40: datasets.a.settle: means nothing for a dataset of kind files");
    expect_fault("datasets:\n  a: { kind: files, paths: /a, done: DONE }\n",
                 "4:38: datasets.a.done: means nothing for a dataset of kind files");
    expect_fault("datasets:\n  a: { kind: models, paths: /a, done: \"x.[ab\" }\n",
                 "4:39: datasets.a.done: 'x.[ab' has a '[' without a ']'");
    expect_fault("datasets:\n  a: { kind: models, paths: /a, done: sub/DONE }\n",
                 "4:39: datasets.a.done: 'sub/DONE' is a path: the file lies in the checkpoint's own directory",
                 "write its name alone");
    expect_fault("datasets:\n  a: { kind: files, paths: /a, exclude: [\"*.[ab\"] }\n",
                 "4:42: datasets.a.exclude.0: '*.[ab' has a '[' without a ']'");
    expect_fault(
        "datasets:\n  a: { kind: files, paths: /a, every: 0s }\n",
        "4:39: datasets.a.every: must be a duration such as 15m, 1h30m, 2d or 3 months, not '0s'");
    expect_fault(
        "datasets:\n  a: { kind: postgres, connect: service=x, wal: stream, mode: logical }\n",
        "4:49: datasets.a.wal: the log only continues a physical backup");
    expect_fault("retention: { critical: { daily: 7 } }\n",
                 "3:14: retention.critical: there is no tier in objectives.data 'critical'");
    expect_fault("repositories:\n  a: { url: /a, parity: 26% }\n", "4:25: repositories.a.parity: must be between 0% and 25%", "0% makes none");
    expect_fault("repositories:\n  a: { url: /a, copy_of: b }\n  b: { url: /b, copy_of: a }\n",
                 "4:3: repositories.a: copies in a circle: a -> b -> a");
    expect_fault("repositories:\n  a: { url: /a }\n  b: { url: /a }\n",
                 "5:13: repositories.b.url: is the same place as 'a'");
    expect_fault("repositories:\n  a: { url: /a, lag: 1h }\n",
                 "4:22: repositories.a.lag: only a copy can lag behind");
    expect_fault("services:\n  a: { needs: b }\n  b: { needs: [c] }\n  c: { needs: [b] }\n",
                 "5:3: services.b: need each other in a circle: b -> c -> b");
    expect_fault("services:\n  a: { needs: [b] }\n",
                 "4:16: services.a.needs.0: there is no service or dataset 'b'");
    expect_fault("scenarios:\n  s: { runbook: nowhere }\n",
                 "4:17: scenarios.s.runbook: there is no runbook 'nowhere'");
    expect_fault("drills:\n  d: { run: nothing }\n",
                 "4:13: drills.d.run.0: there is no runbook 'nothing'");
    expect_fault("people:\n  ann: { delegate: bob }\n",
                 "4:20: people.ann.delegate: there is no person 'bob'");
    expect_fault("people:\n  ann: { delegate: ann }\n",
                 "4:20: people.ann.delegate: nobody stands in for oneself");
    expect_fault("teams:\n  dba: { lead: ann }\n",
                 "4:16: teams.dba.lead: there is no person 'ann'");
    expect_fault("review: { owner: ann }\n", "3:18: review.owner: there is no person 'ann'");
    expect_fault("review: { last: 2026-02-30 }\n",
                 "3:17: review.last: '2026-02-30' is not in the calendar");
    expect_fault("communications:\n  c: { within: 1h, to: [ops], template: t }\n",
                 "4:25: communications.c.to.0: there is no person or team 'ops'");
    expect_fault("after:\n  24h: [{ task: t, owner: ann }]\n",
                 "4:27: after.24h.0.owner: there is no person or team 'ann'");
    expect_fault(
        "runbooks:\n  r: { parameters: { to: {} }, steps: { s: { manual: \"${to}\" } } "
        "}\ndrills:\n  d: { run: r }\n",
        "6:3: drills.d: runbook 'r' needs a value for 'to'", "parameters: { to: ... }");
    expect_fault(
        "runbooks:\n  r: { steps: { s: { manual: x } } }\ndrills:\n  d: { run: r, parameters: { "
        "to: x } }\n",
        "6:34: drills.d.parameters.to: there is no parameter of its runbooks 'to'");
    auto check = [](std::string_view text) {
        return "runbooks:\n  r: { steps: { s: { manual: x } } }\ndatasets:\n  f: { kind: files, "
               "paths: /f }\n"
               "drills:\n  d: { run: r, checks: [ " +
               std::string(text) + " ] }\n";
    };
    expect_fault(check("{ query: q, expect: 1 }"),
                 "8:26: drills.d.checks.0: the plan has 0 datasets of kind postgres");
    expect_fault(
        check("{ dataset: f, query: q, expect: 1 }"),
        "8:37: drills.d.checks.0.dataset: only a dataset of kind postgres answers a query");
    expect_fault(check("{ dataset: f, expect: 1 }"),
                 "8:26: drills.d.checks.0: has an expectation, but no query");
    expect_fault(check("{ }"), "8:26: drills.d.checks.0: checks nothing");
    expect_fault(check("{ dataset: g }"),
                 "8:37: drills.d.checks.0.dataset: there is no dataset 'g'", "did you");
}

TEST(Load, FaultsOfYaml) {
    expect_fault("name: twice\n", "3:1: the key 'name' stands twice", "the first is in line 2");
    expect_fault("people: &p {}\n", "3:9: anchors ('&name') are not used in a plan");
    expect_fault("people: !!map {}\n", "3:9: tags ('!type') are not used in a plan");
    expect_fault("limits:\n  <<: {}\n", "4:3: merge keys ('<<') are not used in a plan");
    expect_fault("---\nname: x\n", "4:1: a second document begins here");
    EXPECT_THAT(faults("people: &p {}\nteams: *p\n"),
                HasSubstr("p.yaml:4:8: error: aliases ('*name')"));
    EXPECT_THAT(faults("people: { ann: { name: \"Ann }\n"), HasSubstr("error: not YAML: "));
    EXPECT_THAT(faults("x: { manual: x, approve: 1 of [dba] }\n"),
                HasSubstr("approve: \"1 of [team]\""));
    EXPECT_THAT(faults("people:\n\tann: x\n"), HasSubstr("p.yaml:4:"));
    EXPECT_EQ(render(parse("", "p").faults).substr(0, 32), "p:1:1: error: the plan is empty\n");
    EXPECT_EQ(render(parse("# nothing\n", "p").faults).substr(0, 32),
              "p:1:1: error: the plan is empty\n");
    EXPECT_EQ(render(parse("- a\n", "p").faults), "p:1:1: error: must be a mapping, not a list\n");
    EXPECT_EQ(render(parse("no\n", "p").faults),
              "p:1:1: error: must be a mapping, not a single value\n");
}

TEST(Load, ColumnsCountCharacters) {
    expect_fault("people:\n  ann: { name: \"Ännchen Ö\", phne: x }\n",
                 "4:29: people.ann: unknown key 'phne'", "did you mean 'phone'?");
}

TEST(Load, ReportsAllFaultsInTheOrderOfTheFile) {
    auto loaded = parse_lines(
        "drills:\n  d: { run: nothing, evry: month }\ndatasets:\n  a: { kind: files, paths: b }\n"
        "people:\n  ann: { delegate: bob }\n");
    std::vector<std::uint32_t> lines;
    for (auto const& fault : loaded.faults)
        lines.push_back(fault.at.line);
    EXPECT_EQ(lines, (std::vector<std::uint32_t>{4, 4, 6, 8})) << render(loaded.faults);
    EXPECT_FALSE(loaded.ok());
}

// Hostile input is refused quickly, with a fault and without much memory.
TEST(Load, Bombs) {
    std::string laughs = "holdfast: 1\nname: x\na0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha]\n";
    for (int i = 1; i < 30; ++i) {
        laughs += fmt::format(
            "a{0}: &a{0} [*a{1}, *a{1}, *a{1}, *a{1}, *a{1}, *a{1}, *a{1}, *a{1}]\n", i, i - 1);
    }
    EXPECT_THAT(render(parse(laughs, "p").faults), HasSubstr("aliases ('*name') are not used"));
    for (auto deep : {std::string(100'000, '['), std::string(100'000, '{'), [] {
                          std::string text;
                          for (int i = 0; i < 1000; ++i)
                              text += std::string(i, ' ') + "a:\n";
                          return text;
                      }()}) {
        EXPECT_THAT(render(parse(deep, "p").faults), HasSubstr("nested deeper than 32 levels"));
    }
    std::string dashes;
    for (int i = 0; i < 100'000; ++i)
        dashes += "- ";
    EXPECT_FALSE(parse(dashes, "p").ok());
    std::string wide;
    for (int i = 0; i < 100'000; ++i)
        wide += fmt::format("k{}: 1\n", i);
    EXPECT_THAT(render(parse(wide, "p").faults), HasSubstr("more than 20000 values"));
    EXPECT_THAT(render(parse(std::string((1 << 20) + 1, 'a'), "p").faults),
                HasSubstr("larger than 1 MiB"));
    std::string line = "{" + std::string("a: \"") + std::string(1 << 19, 'x') + "\"}";
    EXPECT_FALSE(parse(line, "p").ok());
    EXPECT_FALSE(parse("holdfast: 1\nname: " + std::string(100'000, 'n'), "p").ok());
    // The expressions that texts are matched with neither recurse deeply nor try for ever.
    std::string minutes, list = "1 of [a";
    for (int i = 0; i < 2000; ++i)
        minutes += "1m";
    for (int i = 0; i < 1300; ++i)
        list += ", a";
    for (auto const& text :
         {minutes + "!", minutes + std::string(90, ' ') + "x", list, std::string(4096, '1')}) {
        EXPECT_FALSE(parse_lines("after: { \"" + text + "\": [a] }\n").ok());
        EXPECT_FALSE(parse_lines("runbooks: { r: { steps: { s: { manual: x, approve: \"" + text +
                                 "\" } } } }\n")
                         .ok());
        EXPECT_FALSE(parse_lines("repositories: { a: { url: \"s3://" + text + " \" } }\n").ok());
    }
}

TEST(Load, Garbage) {
    for (std::uint32_t seed = 1; seed <= 3; ++seed) {
        for (auto alphabet :
             {std::string_view(), std::string_view(" \n-:{}[],a1&*!|>'\"%@`#?$~<")}) {
            std::string garbage;
            auto state = seed;
            while (garbage.size() < (1 << 20)) {
                state = state * 1664525 + 1013904223;
                auto byte = state >> 24;
                garbage +=
                    alphabet.empty() ? static_cast<char>(byte) : alphabet[byte % alphabet.size()];
            }
            auto loaded = parse(garbage, "p");
            EXPECT_FALSE(loaded.ok()) << "seed " << seed;
            EXPECT_LE(loaded.faults.size(), 201u);
        }
    }
    EXPECT_EQ(render(parse("holdfast: 1\nname: a\x04\ndatasets: 5\n", "p").faults).substr(0, 23),
              "p:2:8: error: this is n");
    EXPECT_EQ(render(parse("holdfast: 1\nname: \xff\n", "p").faults).substr(0, 23),
              "p:2:7: error: this is n");
}

TEST(Load, FilesThatCannotBeRead) {
    EXPECT_EQ(load("/nonexistent/holdfast.yaml").error().kind, ErrorKind::not_found);
    EXPECT_EQ(load("/tmp").error().kind, ErrorKind::io);
    EXPECT_EQ(load_valid("/nonexistent/holdfast.yaml").error().kind, ErrorKind::not_found);
}

}  // namespace
}  // namespace holdfast::plan
