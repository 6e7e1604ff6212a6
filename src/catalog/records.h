#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace holdfast::catalog {

enum class RunKind { backup, restore, verify, recover, drill, rescue };

// How a run ended. `partial`: done, but something could not be read or set, or a step that may fail
// did. `needs_decision`: it waits for an operator and can be resumed.
enum class RunOutcome { running, done, partial, failed, interrupted, needs_decision };

// One piece of work, from its start to its end.
struct Run {
    std::string id;  // unique; of a runbook: the name of its journal's directory
    RunKind kind = RunKind::backup;
    std::string subject;  // the dataset, point, runbook or drill
    Time started;
    std::optional<Time> ended;
    RunOutcome outcome = RunOutcome::running;
    std::string error;  // empty when there was none
    std::uint64_t files = 0;
    std::uint64_t bytes = 0;   // of the subject: read or restored
    std::uint64_t stored = 0;  // added to the repository
};

// What a run has done when it ends.
struct RunEnd {
    RunOutcome outcome = RunOutcome::done;
    std::string error = {};
    std::uint64_t files = 0;
    std::uint64_t bytes = 0;
    std::uint64_t stored = 0;
};

enum class PointState { ok, partial, suspect, damaged, unconfirmed };

// A recovery point as a repository showed it. `id` is only known to be unique within its
// repository.
struct Point {
    std::string repository;  // the repository's id
    std::string id;          // hexadecimal
    std::string dataset;
    std::string kind;  // "files", "postgres"…
    Time time;         // the moment whose state it is
    std::optional<Time> received;
    PointState state = PointState::ok;
    std::uint64_t files = 0;
    std::uint64_t bytes = 0;   // apparent size
    std::uint64_t stored = 0;  // what it added to the repository
    std::string lsn;           // PostgreSQL: where it is consistent; else empty
    std::map<std::string, std::string> attributes = {};
    std::optional<Time> locked_until = {};
};

// How far a point is proven. Each rung includes those below it: what was restored was hashed.
enum class Rung {
    stored,     // the repository has all of it
    hashed,     // every chunk was opened and its id recomputed
    restored,   // it was restored completely
    validated,  // what was restored works: checks, queries, model validation
};
inline constexpr std::array kRungs = {Rung::stored, Rung::hashed, Rung::restored, Rung::validated};

struct RungTime {
    Rung rung = Rung::stored;
    Time reached;     // the last time
    std::string run;  // the run that did it; empty when it is not known
};

// The newest point of a dataset that reached a rung.
struct RungStatus {
    Rung rung = Rung::stored;
    Point point;
    Time reached;
    std::string run;
    Duration
        point_age{};  // since the state that it holds: what would be lost if only this rung counts
    Duration proof_age{};  // since the rung was last reached
};

// A rehearsal, or a recovery that was measured like one. Both recovery times end when recovery was
// proven: one begins at the outage, the other when the incident was declared.
struct Drill {
    std::string run;   // its run's id
    std::string name;  // in the plan
    Time started;
    std::optional<Time> ended = {};
    bool passed = false;
    std::optional<Duration> rpo = {};  // loss: outage to newest row or file that came back
    std::optional<Duration> rto_from_outage = {};
    std::optional<Duration> rto_from_declaration = {};
};

// One evidence file. Each names the hash of the one before it, so that none can be left out unseen.
struct Evidence {
    std::string run;
    std::string path;
    std::string sha256;    // of the file, 64 hexadecimal digits
    std::string previous;  // the `sha256` before it; empty for the first
    Time time;
};

struct Incident {
    std::string id;
    std::string scenario;  // in the plan; may be empty
    std::string title;
    Time outage;  // when the service was lost
    std::optional<Time> declared = {};
    std::optional<Time> resolved = {};  // when recovery was proven
};

// When something was last done, which outlives the runs themselves.
struct LastRun {
    std::string run;
    Time attempted;
    RunOutcome outcome = RunOutcome::running;
    std::optional<Time> succeeded = {};  // when the newest attempt that succeeded had begun
};

// How long something will take, from how long it took.
struct Estimate {
    Duration duration{};
    std::size_t samples = 0;  // that it was drawn from
};

std::string_view to_text(RunKind kind);
std::string_view to_text(RunOutcome outcome);
std::string_view to_text(PointState state);
std::string_view to_text(Rung rung);

}  // namespace holdfast::catalog
