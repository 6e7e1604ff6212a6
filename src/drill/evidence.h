#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/time.h"

namespace holdfast::drill {

// One dataset that was brought back.
struct DatasetEvidence {
    std::string dataset;
    std::string kind;        // "postgres", "files", "models"
    std::string tier = {};
    std::string repository;  // where the point was read from
    std::string point;       // its id, hexadecimal
    Time point_time;         // the moment whose state the point holds
    std::string lsn = {};         // PostgreSQL: where the point is consistent; else empty
    std::string timeline = {};  // PostgreSQL
    std::optional<Duration> rpo_objective = {};
    // The newest thing that is known to have been committed and came back, and where that is known
    // from ("check 'select max(created_at) …'"). Without it the loss is counted from the point's time.
    std::optional<Time> newest = {};
    std::string newest_from = {};
    // Outage to the newest thing that came back. conclude() sets it, on verified datasets only: what is
    // not known to be back counts as lost.
    std::optional<Duration> rpo_achieved = {};
    std::uint64_t files = 0;
    std::uint64_t bytes = 0;
    std::uint64_t files_compared = 0;  // byte for byte with the point
    std::uint64_t rows_compared = 0;
    std::uint64_t differences = 0;
    bool verified = false;
    std::string reason = {};  // why it is not verified
};

// One service that needs what was brought back. Both times end when everything was proven.
struct ServiceEvidence {
    std::string service;
    std::string tier = {};
    std::optional<Duration> rto_objective = {};
    std::optional<Duration> rto_from_outage = {};
    std::optional<Duration> rto_from_declaration = {};
    // What the service needs besides and was not brought back: then the times are a lower bound.
    std::vector<std::string> missing = {};
};

// `skipped`: left out on purpose (its condition did not hold, or it is unsafe in an isolated run); `not_run`:
// it should have run.
enum class StepOutcome { done, failed, skipped, not_run };

struct StepEvidence {
    std::string runbook;
    std::string name;
    std::string kind;
    std::optional<Time> started = {};
    std::optional<Time> ended = {};
    StepOutcome outcome = StepOutcome::not_run;
    std::uint32_t attempts = 0;
    std::string detail = {};  // what it did, or why it did not
};

enum class CheckVerdict { passed, failed, not_run };

struct CheckEvidence {
    std::string dataset;
    std::string name;      // the query, "page checksums", "pg_amcheck", "tree comparison"
    std::string expected = {};
    std::string actual = {};
    CheckVerdict verdict = CheckVerdict::not_run;
};

// One thing that was looked at after cleaning up: "nothing left below /…", "no process left".
struct CleanUpEvidence {
    std::string what;
    bool holds = false;
    std::string detail = {};
};

// How far the journal of a run went when the evidence was made.
struct JournalEvidence {
    std::string run;
    std::uint64_t records = 0;
    std::string sha256;  // the hash of the last of these records
};

struct Setting {
    std::string name, value;
};

struct Reason {
    ErrorKind kind;  // check_failed or objective_missed
    std::string text;
};

enum class EvidenceKind { drill, recovery };

// What was rehearsed or recovered, and everything that is known of how it went. Signed and chained by
// evidence_file.h; for auditors by report.h.
struct Evidence {
    EvidenceKind kind = EvidenceKind::drill;
    std::string name;  // of the drill, scenario or runbook
    std::string run;   // the run's id: its journal and its records in the catalog
    std::vector<std::string> runbooks = {};
    std::vector<Setting> parameters = {};
    bool isolated = false;
    std::string place = {};  // directory of an isolated run

    std::string plan_name = {}, plan_file = {}, plan_sha256 = {};  // the hash of the plan's text
    std::string tool_version = {};
    std::string host = {}, system = {};  // "ncl-01", "Linux 6.1.0 x86_64"
    std::string postgres_version = {};   // of the restored cluster's binaries

    Time outage;    // when the service was lost; of a drill: the moment that is assumed
    Time declared;  // when somebody decided to recover
    Time started;
    Time ended;     // when everything was proven, or it was clear that it would not be

    std::vector<DatasetEvidence> datasets = {};
    std::vector<ServiceEvidence> services = {};
    std::vector<StepEvidence> steps = {};
    std::vector<CheckEvidence> checks = {};
    std::vector<CleanUpEvidence> clean_up = {};  // empty where nothing had to be cleaned up
    std::vector<JournalEvidence> journals = {};  // of a drill they are gone with its place
    std::vector<std::string> notes = {};         // what a reader should know, e.g. what was not rehearsed

    // Set by conclude(). Proven: no reasons.
    std::vector<Reason> reasons = {};
    bool proven = false;

    // The chain and the signer. Set when it is saved.
    std::uint64_t sequence = 0;     // 1 for the first
    std::string previous = {};      // SHA-256 of the evidence file before this one; empty for the first
    std::string signer = {};        // the key bundle's id
    std::string signer_label = {};  // "init on ncl-01"
};

// Draws the verdict: RPO and RTO where they are known, and every reason why this is no proof. `extra` are
// reasons that the facts alone do not show (an error that ended the run). Repeating it changes nothing.
void conclude(Evidence& evidence, std::vector<Reason> const& extra = {});

// Adds a note, once.
void add_note(Evidence& evidence, std::string const& note);

// Whether an achieved time keeps an objective; nothing when either is not known.
std::optional<bool> met(std::optional<Duration> objective, std::optional<Duration> achieved);

// What the command that made it ends with: check_failed outweighs objective_missed. Nothing when proven.
std::optional<Error> failure_of(Evidence const& evidence);

std::string_view to_text(EvidenceKind kind);
std::string_view to_text(StepOutcome outcome);
std::string_view to_text(CheckVerdict verdict);

}  // namespace holdfast::drill
