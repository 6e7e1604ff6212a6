#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "catalog/records.h"
#include "os/clock.h"

namespace holdfast::catalog {

// Holdfast's memory of its own work. It is never needed to restore: a repository with a key is.
//
// Every method is one transaction, durable when it returns: after a crash it happened or it did
// not. Thread-safe; any number of processes may have one catalog open. Times outside 1678–2262
// cannot be given (see base/time.h), they are kept to the nanosecond.
//
// Errors of every method: `damaged` (the file is not a sound catalog; it names the file and that it
// can be rebuilt), no_space, unreachable (another process held it for longer than 10 s: try again),
// io.
class Catalog {
  public:
    // Opens the catalog, creates it when there is none (0600, its directory too, 0700), and brings
    // an older schema up to date. A schema of a newer version is `usage` ("newer") and is left
    // alone; a SQLite file of another program is `unsafe`. `clock` must outlive the catalog.
    static Result<Catalog> open(std::filesystem::path const& path, Clock& clock);
    Catalog(Catalog&&) noexcept;
    Catalog& operator=(Catalog&&) noexcept;
    ~Catalog();

    std::filesystem::path const& path() const;
    // Reads the whole file and checks it. `damaged` says what is wrong.
    Result<void> check();
    // The catalog as the bytes of a SQLite file, for `rescue`: one moment, no half transaction.
    Result<Bytes> snapshot();
    // Makes a catalog file of a snapshot's bytes, which are checked first. `exists` when there is a
    // file at `path`, which is left alone.
    static Result<void> install(std::filesystem::path const& path, ByteView snapshot, Clock& clock);

    // == Runs

    // Notes that a run begins now. `exists` when the id is taken.
    Result<void> begin_run(std::string const& id, RunKind kind, std::string const& subject);
    // Notes how it ended, now. A run that is resumed ends again: the last end counts.
    Result<void> end_run(std::string const& id, RunEnd const& end);
    Result<void> resume_run(std::string const& id);
    Result<std::optional<Run>> run(std::string const& id);
    struct RunFilter {
        std::optional<RunKind> kind = {};
        std::string subject = {};  // empty: any
        std::size_t limit = 100;
    };
    // Newest first.
    Result<std::vector<Run>> runs(RunFilter const& filter);
    // Runs of this machine whose process is gone without having noted an end become `interrupted`;
    // returns their ids. Safe at any time: a living process's runs are left alone.
    Result<std::vector<std::string>> close_abandoned_runs();
    // When a kind of work was last done to a subject. Kept when runs are dropped.
    Result<std::optional<LastRun>> last_run(RunKind kind, std::string const& subject);
    // Drops ended runs that began before `before` and that no drill or evidence refers to; returns
    // how many.
    Result<std::size_t> drop_runs(Time before);

    // == Points and how far they are proven

    // Notes a point, or what is new about it. Its rungs stay.
    Result<void> note_point(Point const& point);
    // Makes the repository's points exactly these: others are dropped with their rungs. Rungs of
    // those that stay are kept.
    Result<void> replace_points(std::string const& repository, std::vector<Point> const& points);
    Result<void> drop_point(std::string const& repository, std::string const& id);
    Result<void> set_point_state(std::string const& repository, std::string const& id,
                                 PointState state);
    Result<std::optional<Point>> point(std::string const& repository, std::string const& id);
    struct PointFilter {
        std::string repository = {};  // empty: any
        std::string dataset = {};     // empty: any
    };
    // Oldest first.
    Result<std::vector<Point>> points(PointFilter const& filter);

    // Notes that the point reached the rung, and so every rung below it, now. An older time never
    // replaces a newer one. `not_found` when the point is not known. `run` may be empty.
    Result<void> reach(std::string const& repository, std::string const& point, Rung rung,
                       std::string const& run);
    // The rungs that the point reached, lowest first.
    Result<std::vector<RungTime>> rungs(std::string const& repository, std::string const& point);
    // For each rung that any point of the dataset reached, the newest such point, lowest rung
    // first. Damaged and suspect points do not count. `repository` empty: in any repository.
    Result<std::vector<RungStatus>> ladder(std::string const& dataset,
                                           std::string const& repository = "");

    // == Drills and evidence

    // Notes a drill, or what is new about it. Its run must be known (`not_found`).
    Result<void> note_drill(Drill const& drill);
    struct DrillFilter {
        std::string name = {};  // empty: any
        std::size_t limit = 100;
    };
    // Newest first.
    Result<std::vector<Drill>> drills(DrillFilter const& filter);
    // The hash that the next evidence has to name as its `previous`; empty when there is none yet.
    Result<std::string> evidence_head();
    // Appends to the chain. `exists` when `previous` is not the head any more: somebody else's
    // evidence came first, so make it again on the new head.
    Result<void> append_evidence(Evidence const& evidence);
    // In the order of the chain.
    Result<std::vector<Evidence>> evidence();

    // == Incidents

    // Notes an incident, or what is new about it.
    Result<void> note_incident(Incident const& incident);
    Result<std::optional<Incident>> incident(std::string const& id);
    // Newest outage first. Open: not resolved.
    Result<std::vector<Incident>> incidents();
    Result<std::vector<Incident>> open_incidents();

    // == How long things take

    // The time of a measure is when it is noted; the newest 20 of an activity and subject are
    // kept.
    Result<void> note_measure(std::string const& activity, std::string const& subject,
                              Duration duration, std::uint64_t bytes = 0);
    // The median of what is kept; scaled to `bytes` where both are known. Nothing without samples.
    Result<std::optional<Estimate>> estimate(std::string const& activity,
                                             std::string const& subject, std::uint64_t bytes = 0);

  private:
    struct State;
    explicit Catalog(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace holdfast::catalog

namespace holdfast {
using catalog::Catalog;
}
