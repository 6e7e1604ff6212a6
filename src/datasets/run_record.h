#pragma once

#include "datasets/workspace.h"

namespace holdfast {

using Warn = std::function<void(std::string const&)>;

// One run in the catalog, from its start to its end. The catalog is Holdfast's memory, never a
// condition: when it can't be written, `warn` hears of it once and the work goes on.
class RunRecord {
  public:
    RunRecord(Workspace& workspace, catalog::RunKind kind, std::string const& subject, Warn warn);
    // A run that was not finished is recorded as failed.
    ~RunRecord();
    RunRecord(RunRecord const&) = delete;
    RunRecord& operator=(RunRecord const&) = delete;

    std::string const& id() const { return id_; }
    // Writes to the catalog through `action`, if there is one.
    void note(std::function<Result<void>(Catalog&)> const& action);
    void finish(catalog::RunEnd const& end);
    // finish() with what went wrong; returns the error for `return fail(run.failed(error))`.
    Error failed(Error error);

  private:
    Warn warn_;
    std::string id_;
    Catalog* catalog_ = nullptr;  // nothing: it could not be opened or written
    bool finished_ = false;
};

// "20261122T103107-3fa2b1c4": sorts by time, unique by chance.
std::string new_run_id(Clock& clock, Random& random);

// The point as the catalog keeps it.
catalog::Point catalog_point(Repository const& repository, PointInfo const& info);

}  // namespace holdfast
