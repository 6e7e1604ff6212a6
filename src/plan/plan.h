#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "plan/named.h"
#include "plan/secret_reference.h"
#include "plan/value.h"

// The plan file as plain values, section by section. `describe.h` says which key of the file fills
// which member; `docs/plan-file.md` explains them to users.
namespace holdfast::plan {

// Where something stands in the plan file: 1-based, 0 when it does not come from a file. The file
// itself is `Plan::file`.
struct Position {
    std::uint32_t line = 0;
    std::uint32_t column = 0;
    friend auto operator<=>(Position const&, Position const&) = default;
};

// A share of one: 20% is 0.2. Relative to a baseline when it has a sign.
struct Percent {
    double fraction = 0;
    friend bool operator==(Percent const&, Percent const&) = default;
};

struct ByteCount {
    std::uint64_t bytes = 0;
    friend bool operator==(ByteCount const&, ByteCount const&) = default;
};

struct Review {
    std::optional<Duration> every;
    std::string owner;  // a person
    std::string last;   // RFC 3339 time or date of the last review; empty when unknown
};

// The longest tolerable loss (RPO) or outage (RTO) of a tier; `name` is the tier.
struct Objective {
    std::string name;
    Position at;
    Duration limit{};
};

struct Objectives {
    Named<Objective> data;      // RPO
    Named<Objective> services;  // RTO
};

struct Repository {
    std::string name;
    Position at;
    std::string url;  // /abs/path, file:///abs/path or s3://bucket/prefix?region=…
    std::optional<SecretReference> key;  // the key file's bytes
    std::optional<SecretReference> credentials;  // of the object store, as AWS's tools write them
    std::string copy_of;                 // the repository that this one is replicated from
    std::optional<Duration> lag;         // how far a copy may be behind
    std::optional<Duration> lock;        // how long an object cannot be deleted
    std::optional<Percent> parity;       // of new packs, 0 to 25 %; else 5 %
    std::uint32_t approvals = 0;         // how many others agree before anything is deleted
};

enum class DatasetKind { files, models, postgres, kubernetes, hardware };
enum class WalMode { none, stream };
enum class PostgresMode { physical, logical };

struct Dataset {
    std::string name;
    Position at;
    DatasetKind kind = DatasetKind::files;
    std::string tier;
    std::optional<Duration> every;          // how often a point is made; else derived from the RPO
    std::vector<std::string> repositories;  // empty: every repository that is not a copy
    std::vector<std::string> paths;         // files, models: absolute
    std::vector<std::string> exclude;       // files, models: patterns
    std::string connect;                    // postgres: a libpq connection string without password
    WalMode wal = WalMode::none;            // postgres
    PostgresMode mode = PostgresMode::physical;
    bool watch = false;                   // files, models: note changes as they happen
    std::optional<Duration> settle;       // models: a checkpoint is all there when it stands still for so long
    std::string done;                     // models: … and when a file of this name (a glob) is in its directory
    bool secrets = false;                 // its content is secret: never shown in diffs and logs
    std::string key;                      // a key of its own, by name: "escrow"
    bool append_only = false;             // points cannot be forgotten before their retention ends
    std::string context;                  // kubernetes
    std::vector<std::string> namespaces;  // kubernetes: patterns
    std::string driver;                   // hardware
    std::vector<std::string> hosts;       // hardware
};

// What is kept of a tier: everything within a time, then the newest of each day, week… `name` is
// the tier.
struct Retention {
    std::string name;
    Position at;
    std::optional<Duration> within;
    std::uint32_t last = 0, hourly = 0, daily = 0, weekly = 0, monthly = 0, yearly = 0;

    bool keeps_something() const {
        return within.value_or(Duration(0)) > Duration(0) ||
               (last | hourly | daily | weekly | monthly | yearly) != 0;
    }
};

// How a service is asked whether it works. Files are relative to the plan file.
struct Probe {
    std::string http;
    std::string body;    // a file that is sent
    std::string expect;  // a file that the answer is compared with
};

struct Service {
    std::string name;
    Position at;
    std::string tier;
    std::vector<std::string> needs;  // services and datasets
    std::optional<Probe> probe;
};

enum class Probability { low, medium, high };

struct Scenario {
    std::string name;
    Position at;
    std::optional<Probability> probability;
    std::string impact;
    std::string runbook;
};

struct Parameter {
    std::string name;
    Position at;
    std::optional<std::string> fallback;  // key `default`; without it the parameter must be given
    std::string description;
};

struct Retries {
    std::uint32_t count = 0;
    Duration backoff = std::chrono::seconds(10);  // doubles with each further attempt
};

// `count` people out of these teams have to agree before the step begins.
struct Approval {
    std::uint32_t count = 1;
    std::vector<std::string> teams;
};

// What a failed step stops: what depends on it, nothing, or the whole runbook.
enum class OnFailure { stop, proceed, abort };  // written stop, continue, abort

struct Step {
    std::string name;
    Position at;
    std::string kind;  // "postgres.restore"; see step_kinds.h
    Value arguments;   // a map; texts may hold ${placeholders}, see placeholder.h
    std::vector<std::string> after;
    std::string when;  // a condition, see placeholder.h; empty: always
    std::optional<Duration> timeout;
    Retries retries;
    std::optional<Approval> approve;
    std::optional<bool> idempotent;  // overrides what the kind says of itself
    OnFailure on_failure = OnFailure::stop;
    // May run in an isolated drill although its kind reaches outside (command, manual, notify).
    bool safe_in_drills = false;
    std::string description;
};

struct Runbook {
    std::string name;
    Position at;
    std::string description;
    Named<Parameter> parameters;
    Named<Step> steps;
};

// Something that must hold after a drill's recovery: a query with an expectation or a freshness,
// the probe of a service, or (with neither) that all of the dataset is what its recovery point
// says.
struct Check {
    Position at;
    std::string dataset;   // for a query: empty means the only postgres dataset
    std::string database;  // for a query: which database of the cluster; empty: as in `connect`
    std::string query;
    std::string expect;                    // "> 0", "= 12", "0..5", "text"
    std::optional<Duration> fresh_within;  // the query's time is at most this old
    std::string service;
};

struct Baseline {
    std::optional<Percent> latency, throughput, errors;
};

// A parameter's value for the runbooks of a drill.
struct Setting {
    std::string name;
    Position at;
    std::string value;
};

struct Drill {
    std::string name;
    Position at;
    std::optional<Duration> every;
    std::vector<std::string> run;  // runbooks, in this order
    Named<Setting> parameters;
    bool isolated = true;
    std::vector<Check> checks;
    std::optional<Baseline> baseline;
    bool communications = false;  // rehearses the notifications too
};

// Both people and teams can be told: `communications.to`, the step `notify`.
struct Person {
    std::string name;  // as the plan refers to them: "dr-coordinator"
    Position at;
    std::string full_name;  // key `name`
    std::string phone, mail;
    std::string delegate;  // a person
};

struct Team {
    std::string name;
    Position at;
    std::string lead;                  // a person
    std::vector<std::string> members;  // people
    std::string mail, phone;
    std::vector<std::string> does;
};

struct Vendor {
    std::string name;
    Position at;
    std::string full_name;  // key `name`
    std::string phone, mail;
    std::string contract;  // what to quote to them
    std::vector<std::string> does;
};

struct Communication {
    std::string name;
    Position at;
    std::optional<Duration> within;
    std::string when;             // a mark of the incident, e.g. "personal-data"; empty: always
    std::vector<std::string> to;  // people and teams
    std::string message;          // key `template`
    std::vector<std::string> by;  // mail, phone, status-page, webhook:NAME; empty: mail
    bool acknowledge = false;
    std::optional<Duration> update;    // how often the next update is due
    std::optional<Duration> escalate;  // unacknowledged for so long: goes to the delegates
};

// A message template of the plan's own, beside the built-in ones.
struct Template {
    std::string name;
    Position at;
    std::string subject, text;
};

struct Task {
    Position at;
    std::string text;   // key `task`
    std::string owner;  // a person or team
};

// What is due a time after recovery; `name` is the time as written.
struct AfterRecovery {
    std::string name;
    Position at;
    Duration due{};
    std::vector<Task> tasks;
};

enum class Tls { required, opportunistic, none };

struct Mail {
    std::string server;  // smtp://host:587 or smtps://host
    std::string from;
    std::string user;
    std::optional<SecretReference> password;
    Tls tls = Tls::required;
};

struct Webhook {
    std::string name;
    Position at;
    std::optional<SecretReference> url;  // whoever knows it may post
};

struct StatusPage {
    std::string directory;  // where the page is written
    std::string url;        // where people read it
};

struct Notify {
    std::vector<std::string> alarms;  // people and teams that are told of alarms; empty: all teams
    std::optional<Mail> mail;
    Named<Webhook> webhooks;
    std::optional<StatusPage> status_page;
};

struct Limits {
    std::optional<ByteCount> memory;            // of one backup or restore, beside packs in flight
    std::optional<ByteCount> upload, download;  // a second
};

// The templates that every plan has.
inline constexpr std::string_view kBuiltInTemplates[] = {
    "declaration", "customer", "breach", "update", "resolved", "law-enforcement"};

struct Plan {
    std::string file;  // as it was given to load()
    std::uint32_t version = 1;
    std::string name;
    std::optional<Review> review;
    Objectives objectives;
    Named<Repository> repositories;
    Named<Dataset> datasets;
    Named<Retention> retention;
    Named<Service> services;
    Named<Scenario> scenarios;
    Named<Runbook> runbooks;
    Named<Drill> drills;
    Named<Person> people;
    Named<Team> teams;
    Named<Vendor> vendors;
    Named<Communication> communications;
    Named<Template> templates;
    Named<AfterRecovery> after;
    Notify notify;
    Limits limits;

    // The RPO of a dataset, the RTO of a service: nothing when the tier has none.
    std::optional<Duration> rpo(Dataset const& dataset) const;
    std::optional<Duration> rto(Service const& service) const;
    // How often a point of the dataset is due: `every`, else half its RPO.
    std::optional<Duration> interval(Dataset const& dataset) const;
    // The repositories that backups of the dataset go to, in the order of the plan; copies follow
    // by replication.
    std::vector<std::string> targets(Dataset const& dataset) const;
};

std::string_view to_text(DatasetKind kind);
std::string_view to_text(WalMode mode);
std::string_view to_text(PostgresMode mode);
std::string_view to_text(Probability probability);
std::string_view to_text(OnFailure on_failure);
std::string_view to_text(Tls tls);

}  // namespace holdfast::plan

namespace holdfast {
using plan::Plan;
}
