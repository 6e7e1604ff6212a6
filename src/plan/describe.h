#pragma once

#include <array>
#include <string>
#include <string_view>

#include "plan/form.h"
#include "plan/plan.h"

// The one table of what a plan may say. For each type, describe() shows a visitor its keys, with
// the member that each fills, in the order of the documentation. The reader, the JSON Schema, the
// JSON output and the reference in docs/plan-file.md are visitors.
//
//   visitor.field(key, member, options)   a key of a mapping
//   visitor.whole(member, options)        the value is this member itself, without a mapping
//   visitor.alone(T(), options, set)      instead of the mapping, a single T may stand, which set()
//   takes visitor.step(step)                    the one key that names the step's kind
namespace holdfast::plan {

struct Field {
    std::string_view doc = {};
    Form form = Form::text;  // of a text, of each text of a list
    bool required = false;
    std::uint32_t least = 0, most = 1'000'000;  // of a count
};

// What the names of a section's entries must look like.
template <typename T>
inline constexpr Form kNameForm = Form::name;
template <>
inline constexpr Form kNameForm<AfterRecovery> = Form::duration;

// The words for the values of an enumeration, in its order.
template <typename E>
inline constexpr std::array<std::string_view, 0> kWords{};
template <>
inline constexpr std::array kWords<DatasetKind> =
    std::to_array<std::string_view>({"files", "models", "postgres", "kubernetes", "hardware"});
template <>
inline constexpr std::array kWords<WalMode> = std::to_array<std::string_view>({"none", "stream"});
template <>
inline constexpr std::array kWords<PostgresMode> = std::to_array<std::string_view>({"physical",
                                                                                    "logical"});
template <>
inline constexpr std::array kWords<Probability> = std::to_array<std::string_view>({"low", "medium",
                                                                                   "high"});
template <>
inline constexpr std::array kWords<OnFailure> = std::to_array<std::string_view>({"stop", "continue",
                                                                                 "abort"});
template <>
inline constexpr std::array kWords<Tls> =
    std::to_array<std::string_view>({"required", "opportunistic", "none"});

// "1 of [a, b]", "2 of a", "a". The text matches Form::quorum.
Approval parse_quorum(std::string_view text);

void describe(auto& v, Plan& x) {
    v.field("holdfast", x.version,
            {.doc = "The version of this format: 1.", .required = true, .least = 1, .most = 1});
    v.field("name", x.name, {.doc = "Whose plan this is.", .form = Form::name, .required = true});
    v.field("review", x.review, {.doc = "When the plan is read over, and by whom."});
    v.field("objectives", x.objectives,
            {.doc = "How much may be lost, and how long recovery may take."});
    v.field("repositories", x.repositories, {.doc = "Where backups are kept."});
    v.field("datasets", x.datasets, {.doc = "What is protected."});
    v.field("retention", x.retention, {.doc = "By tier: how long recovery points are kept."});
    v.field("services", x.services, {.doc = "What has to work again, and what it needs."});
    v.field("scenarios", x.scenarios, {.doc = "What may happen, and the runbook that answers it."});
    v.field("runbooks", x.runbooks, {.doc = "How to recover, step by step."});
    v.field("drills", x.drills, {.doc = "What is rehearsed, how often, and what must then hold."});
    v.field("people", x.people, {.doc = "Who can be told and asked."});
    v.field("teams", x.teams, {.doc = "Groups of people, and what they are responsible for."});
    v.field("vendors", x.vendors, {.doc = "Support lines of others, printed with the contacts."});
    v.field("communications", x.communications,
            {.doc = "Who must be told of an incident, and by when."});
    v.field("templates", x.templates, {.doc = "Messages of your own, beside the built-in ones."});
    v.field("after", x.after, {.doc = "By time since recovery: what is still to be done."});
    v.field("notify", x.notify, {.doc = "How messages are sent."});
    v.field("limits", x.limits, {.doc = "What Holdfast may use."});
}

void describe(auto& v, Review& x) {
    v.field("every", x.every, {.doc = "How often."});
    v.field("owner", x.owner, {.doc = "The person who sees to it.", .form = Form::name});
    v.field("last", x.last, {.doc = "The day of the last review.", .form = Form::date});
}

void describe(auto& v, Objectives& x) {
    v.field("data", x.data,
            {.doc = "By tier: the recovery point objective, the longest tolerable loss."});
    v.field("services", x.services,
            {.doc = "By tier: the recovery time objective, the longest tolerable outage."});
}

void describe(auto& v, Objective& x) {
    v.whole(x.limit, {.doc = "The objective."});
}

void describe(auto& v, Repository& x) {
    v.field("url", x.url,
            {.doc = "Where it is: an absolute path, or `s3://bucket/prefix?region=...`; docs/stores.md "
                    "has its options.",
             .form = Form::repository_url,
             .required = true});
    v.field("key", x.key, {.doc = "The key file that backups use; see `holdfast key export`."});
    v.field("credentials", x.credentials,
            {.doc = "s3: credentials in the form of `~/.aws/credentials`; without it, those that "
                    "AWS's tools would find."});
    v.field("copy_of", x.copy_of,
            {.doc = "The repository that this one is a copy of.", .form = Form::name});
    v.field("lag", x.lag, {.doc = "How far a copy may be behind."});
    v.field("lock", x.lock, {.doc = "For how long nobody can delete an object."});
    v.field("parity", x.parity,
            {.doc = "What new packs carry to mend themselves, from `0%` (off) to `25%` of their size; without it, 5%."});
    v.field("approvals", x.approvals,
            {.doc = "How many other people agree before anything is deleted: docs/keys.md.", .most = 9});
}

void describe(auto& v, Dataset& x) {
    v.field("kind", x.kind, {.doc = "What it is.", .required = true});
    v.field("tier", x.tier,
            {.doc = "The tier of `objectives.data` that it belongs to.", .form = Form::name});
    v.field("every", x.every,
            {.doc = "How often a recovery point is made; without it, twice per RPO."});
    v.field("repository", x.repositories,
            {.doc = "The repositories that it goes to; without it, all that are no copies.",
             .form = Form::name});
    v.field("paths", x.paths,
            {.doc = "files, models: the directories or files.", .form = Form::path});
    v.field("exclude", x.exclude,
            {.doc = "files, models: what is left out.", .form = Form::pattern});
    v.field("watch", x.watch,
            {.doc = "models: `guard` makes a point as soon as a checkpoint is all there. Nothing yet for files."});
    v.field("settle", x.settle,
            {.doc = "models: a checkpoint is all there when nothing was written to it for so long; without it, 2s, and no time "
                    "with `done`."});
    v.field("done", x.done,
            {.doc = "models: a checkpoint is all there when its directory holds a file of this name, such as `COMPLETE` or "
                    "`*.done`.",
             .form = Form::pattern});
    v.field("connect", x.connect,
            {.doc = "postgres: a libpq connection string, without password."});
    v.field("wal", x.wal,
            {.doc = "postgres: `stream` keeps every change from the moment it is made, while `guard` (or `wal receive`) runs."});
    v.field("mode", x.mode, {.doc = "postgres: the whole cluster, or a logical export."});
    v.field("context", x.context, {.doc = "kubernetes: the context of the kubeconfig."});
    v.field("namespaces", x.namespaces,
            {.doc = "kubernetes: patterns of namespaces.", .form = Form::pattern});
    v.field("driver", x.driver,
            {.doc = "hardware: the adapter of the boards.", .form = Form::name});
    v.field("hosts", x.hosts, {.doc = "hardware: the machines that hold the boards."});
    v.field("secrets", x.secrets,
            {.doc = "Its content is secret: never shown in a diff or a log."});
    v.field("key", x.key,
            {.doc = "A key pair of its own, by name: `holdfast key pair` makes it.", .form = Form::name});
    v.field("append_only", x.append_only,
            {.doc = "Its points cannot be forgotten before their retention ends."});
}

void describe(auto& v, Retention& x) {
    v.field("within", x.within, {.doc = "Keep every point that is younger."});
    v.field("last", x.last, {.doc = "Keep so many of the newest points."});
    v.field("hourly", x.hourly, {.doc = "Keep the newest point of so many hours."});
    v.field("daily", x.daily, {.doc = "Of so many days."});
    v.field("weekly", x.weekly, {.doc = "Of so many weeks."});
    v.field("monthly", x.monthly, {.doc = "Of so many months."});
    v.field("yearly", x.yearly, {.doc = "Of so many years."});
}

void describe(auto& v, Service& x) {
    v.field("tier", x.tier,
            {.doc = "The tier of `objectives.services` that it belongs to.", .form = Form::name});
    v.field(
        "needs", x.needs,
        {.doc = "The services and datasets without which it does not work.", .form = Form::name});
    v.field("probe", x.probe, {.doc = "How to ask whether it works."});
}

void describe(auto& v, Probe& x) {
    v.field("http", x.http,
            {.doc = "The URL that must answer with success.",
             .form = Form::http_url,
             .required = true});
    v.field("body", x.body, {.doc = "A file that is sent to it, relative to the plan."});
    v.field("expect", x.expect,
            {.doc = "A file that the answer must equal, relative to the plan."});
}

void describe(auto& v, Scenario& x) {
    v.field("probability", x.probability, {.doc = "How likely it is."});
    v.field("impact", x.impact, {.doc = "What it does."});
    v.field("runbook", x.runbook, {.doc = "The runbook that answers it.", .form = Form::name});
}

void describe(auto& v, Runbook& x) {
    v.field("description", x.description, {.doc = "When and why to run it."});
    v.field("parameters", x.parameters,
            {.doc = "What can be chosen when it is run: `${name}` in its steps."});
    v.field("steps", x.steps,
            {.doc = "The steps; those that do not wait for each other run together.",
             .required = true});
}

void describe(auto& v, Parameter& x) {
    v.field(
        "default", x.fallback,
        {.doc = "Its value when none is given; without it, one must be.", .form = Form::free_text});
    v.field("description", x.description, {.doc = "What it means."});
}

void describe(auto& v, Step& x) {
    v.field("description", x.description, {.doc = "Why."});
    v.field("after", x.after,
            {.doc = "The steps that must have succeeded before.", .form = Form::name});
    v.field("when", x.when, {.doc = "A condition, else the step is skipped: `${mode} == lost`."});
    v.field("timeout", x.timeout, {.doc = "After this time the step has failed."});
    v.field("retries", x.retries, {.doc = "What to do when it fails."});
    v.field("approve", x.approve, {.doc = "Who has to agree before it begins."});
    v.field("idempotent", x.idempotent,
            {.doc = "Whether it may be run again after a crash without asking; each kind knows a "
                    "default."});
    v.field("on_failure", x.on_failure,
            {.doc = "`stop` what depends on it, `continue` all the same, or `abort` the runbook."});
    v.field("safe_in_drills", x.safe_in_drills,
            {.doc = "It may run in an isolated drill; else commands, messages and manual steps are "
                    "left out there."});
    v.step(x);
}

void describe(auto& v, Retries& x) {
    v.alone(std::uint32_t(), {.doc = "How many more times."},
            [&](std::uint32_t count) { x.count = count; });
    v.field("count", x.count, {.doc = "How many more times it is tried.", .required = true});
    v.field("backoff", x.backoff,
            {.doc = "How long to wait before the first of them; doubles each time."});
}

void describe(auto& v, Approval& x) {
    v.alone(std::string(), {.doc = "In short.", .form = Form::quorum},
            [&](std::string const& text) { x = parse_quorum(text); });
    v.alone(std::vector<std::string>(), {.doc = "One of these teams.", .form = Form::name},
            [&](std::vector<std::string> teams) { x.teams = std::move(teams); });
    v.field("count", x.count, {.doc = "How many people have to agree.", .least = 1});
    v.field("teams", x.teams,
            {.doc = "The teams that they belong to.", .form = Form::name, .required = true});
}

void describe(auto& v, Drill& x) {
    v.field("every", x.every, {.doc = "How often it is due."});
    v.field("run", x.run,
            {.doc = "The runbooks, in this order.", .form = Form::name, .required = true});
    v.field("parameters", x.parameters, {.doc = "The values of their parameters."});
    v.field("isolated", x.isolated, {.doc = "Restore where nothing can reach production."});
    v.field("checks", x.checks, {.doc = "What must hold afterwards."});
    v.field("baseline", x.baseline,
            {.doc = "How far the measurements may be from the recorded ones."});
    v.field("communications", x.communications,
            {.doc = "Rehearse the messages too, marked as a drill."});
}

void describe(auto& v, Setting& x) {
    v.whole(x.value, {.doc = "The value.", .form = Form::free_text});
}

void describe(auto& v, Check& x) {
    v.field("dataset", x.dataset,
            {.doc = "The dataset; without a query, all of it must equal its recovery point.",
             .form = Form::name});
    v.field("database", x.database, {.doc = "The database of the cluster that is asked."});
    v.field("query", x.query, {.doc = "A query whose first value is looked at."});
    v.field(
        "expect", x.expect,
        {.doc = "What the value must be: `> 0`, `0..5`, `= 12` or a text.", .form = Form::scalar});
    v.field("fresh_within", x.fresh_within,
            {.doc = "The value is a time that is at most so long before the disaster."});
    v.field("service", x.service,
            {.doc = "A service whose probe must succeed.", .form = Form::name});
}

void describe(auto& v, Baseline& x) {
    v.field("latency", x.latency, {.doc = "Of the response time: `+20%`."});
    v.field("throughput", x.throughput, {.doc = "Of the throughput: `-10%`."});
    v.field("errors", x.errors, {.doc = "The share of requests that may fail: `1%`."});
}

void describe(auto& v, Person& x) {
    v.field("name", x.full_name, {.doc = "The name in full."});
    v.field("phone", x.phone, {.doc = "A number that can be dialled, with country code."});
    v.field("mail", x.mail, {.doc = "The mail address.", .form = Form::mail});
    v.field("delegate", x.delegate, {.doc = "The person who stands in.", .form = Form::name});
}

void describe(auto& v, Team& x) {
    v.field("lead", x.lead, {.doc = "The person who leads it.", .form = Form::name});
    v.field("members", x.members, {.doc = "The people in it.", .form = Form::name});
    v.field("mail", x.mail, {.doc = "The mail address of all of them.", .form = Form::mail});
    v.field("phone", x.phone, {.doc = "A number that can be dialled, with country code."});
    v.field("does", x.does, {.doc = "What it is responsible for."});
}

void describe(auto& v, Vendor& x) {
    v.field("name", x.full_name, {.doc = "The name in full."});
    v.field("phone", x.phone, {.doc = "The support line."});
    v.field("mail", x.mail, {.doc = "The mail address.", .form = Form::mail});
    v.field("contract", x.contract, {.doc = "What to quote to them."});
    v.field("does", x.does, {.doc = "What to ask them for."});
}

void describe(auto& v, Communication& x) {
    v.field("within", x.within,
            {.doc = "By when, counted from the declaration.", .required = true});
    v.field("when", x.when, {.doc = "Only for incidents with this mark.", .form = Form::name});
    v.field("to", x.to, {.doc = "People and teams.", .form = Form::name, .required = true});
    v.field("template", x.message, {.doc = "The message.", .form = Form::name, .required = true});
    v.field("by", x.by, {.doc = "The channels; without it, `mail`.", .form = Form::channel});
    v.field("acknowledge", x.acknowledge, {.doc = "Whether an answer is needed."});
    v.field("update", x.update, {.doc = "How often the next message is due."});
    v.field("escalate", x.escalate,
            {.doc = "Not acknowledged for so long: goes to the delegates."});
}

void describe(auto& v, Template& x) {
    v.field("subject", x.subject, {.doc = "The subject line."});
    v.field("text", x.text, {.doc = "The message.", .required = true});
}

void describe(auto& v, AfterRecovery& x) {
    v.whole(x.tasks, {.doc = "The tasks."});
}

void describe(auto& v, Task& x) {
    v.alone(std::string(), {.doc = "The task."}, [&](std::string const& text) { x.text = text; });
    v.field("task", x.text, {.doc = "What is to be done.", .required = true});
    v.field("owner", x.owner, {.doc = "The person or team that does it.", .form = Form::name});
}

void describe(auto& v, Notify& x) {
    v.field("alarms", x.alarms, {.doc = "People and teams that are told of alarms, by mail; without it, all teams.", .form = Form::name});
    v.field("mail", x.mail, {.doc = "The mail server."});
    v.field("webhooks", x.webhooks, {.doc = "Places to post to: `by: [webhook:NAME]`."});
    v.field("status_page", x.status_page, {.doc = "The public page: `by: [status-page]`."});
}

void describe(auto& v, Mail& x) {
    v.field("server", x.server,
            {.doc = "`smtp://host:587` or `smtps://host`.",
             .form = Form::mail_server,
             .required = true});
    v.field("from", x.from, {.doc = "The sender.", .form = Form::mail, .required = true});
    v.field("user", x.user, {.doc = "The account at the server."});
    v.field("password", x.password, {.doc = "Its password."});
    v.field("tls", x.tls, {.doc = "Whether the connection must be encrypted."});
}

void describe(auto& v, Webhook& x) {
    v.field("url", x.url,
            {.doc = "Its URL; whoever knows it may post, so it is a secret.", .required = true});
}

void describe(auto& v, StatusPage& x) {
    v.field("directory", x.directory,
            {.doc = "Where the page is written.", .form = Form::path, .required = true});
    v.field("url", x.url, {.doc = "Where people read it.", .form = Form::http_url});
}

void describe(auto& v, Limits& x) {
    v.field("memory", x.memory, {.doc = "Of one backup or restore, beside the packs in flight."});
    v.field("upload", x.upload, {.doc = "A second."});
    v.field("download", x.download, {.doc = "A second."});
}

}  // namespace holdfast::plan
