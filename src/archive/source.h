#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "archive/progress.h"
#include "archive/restore.h"
#include "repo/repository.h"

namespace holdfast {

struct BackUpResult;

// One line of a validation: what was looked at, and what it is.
struct Finding {
    enum class Verdict { verified, suspicious, damaged, not_verified };
    std::string object;  // "vit-base.safetensors", "relation 16384/16397 block 12"
    Verdict verdict;
    std::string detail;  // why
};
std::string_view name(Finding::Verdict verdict);

struct CaptureContext {
    Repository& repository;
    Ingest& ingest;
    std::string dataset;
    std::vector<std::string> forbidden;  // see BackUpOptions
    ProgressCallback progress;
    std::stop_token stop;
};

struct Capture {
    RecoveryPoint point = {};  // complete but for what the caller knows (stored, host, version)
    std::vector<Problem> problems = {};
    std::uint64_t problem_count = 0;
    std::vector<Finding> findings = {};  // validation at capture

    // Takes over what a captured tree is: the state of `now`.
    void take(BackUpResult result, Time now);
};

struct RestoreContext {
    Fetch& fetch;
    RecoveryPoint const& point;
    std::string path;                // inside the point; "" is all of it
    std::filesystem::path target;
    RestoreOptions options;
    // PostgreSQL: where each tablespace goes instead of where it was.
    std::map<std::string, std::string> tablespaces;
    ProgressCallback progress;
    std::stop_token stop;
};

// Notes in the point what was asked for: attributes "paths" and "exclude", a line of printable() for each.
void note_selection(RecoveryPoint& point, std::vector<std::string> const& paths,
                    std::vector<std::string> const& exclude);
// The patterns that note_selection() noted: what the capture passed over.
Result<std::vector<std::string>> noted_exclusions(RecoveryPoint const& point);
// The options of the restore, extended by what the capture passed over: that is not foreign in the target.
Result<RestoreOptions> with_exclusions(RestoreContext const& context);
// The progress of the restore, with the totals that the point knows when all of it is restored.
ProgressCallback with_totals(RestoreContext const& context);

// A kind of dataset: how its subject is captured consistently, brought back and proven. Made for one
// dataset of the plan (or an ad hoc one).
class Source {
  public:
    virtual ~Source() = default;
    // Reads the subject into the ingest. The caller publishes the point, then calls committed().
    virtual Result<Capture> capture(CaptureContext const& context) = 0;
    // After publish(): what the next capture may build upon is now true.
    virtual Result<void> committed(Repository& repository) = 0;
    virtual Result<RestoreResult> restore(RestoreContext const& context) = 0;
    // Proves what lies at `target` after a restore, without the repository: formats, checksums.
    virtual Result<std::vector<Finding>> validate(std::filesystem::path const& target,
                                                  std::stop_token stop) = 0;
};

}  // namespace holdfast
