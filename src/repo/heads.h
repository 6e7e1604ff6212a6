#pragma once

#include <filesystem>
#include <functional>
#include <set>

#include "repo/writer_log.h"

namespace holdfast {

// What this machine remembers of a repository's logs.
struct RememberedHeads {
    LogHeads heads;
    // Contradictions that a user accepted (--accept-rollback): not reported again.
    std::set<LogClaim> accepted;

    // Takes over what is newer in `shown`.
    void advance(LogHeads const& shown);
};

// <state>/<repository id>/heads.json: what makes a repository that went back in time noticed.
// Written durably, after everything that it tells of. With an empty state directory nothing is
// remembered.
class HeadsFile {
  public:
    HeadsFile(std::filesystem::path const& state, RepositoryId const& repository);

    // Empty when there is none yet. `damaged` when it is not what was written.
    Result<RememberedHeads> load() const;
    // Applies `change` to what is remembered now; processes on this machine take turns. A damaged
    // file fails, except with `replace_damaged`.
    struct UpdateOptions {
        bool replace_damaged = false;
    };
    Result<void> update(std::function<void(RememberedHeads&)> const& change,
                        UpdateOptions options) const;

  private:
    std::filesystem::path directory_;  // empty: nothing is remembered
    RepositoryId repository_;
};

}  // namespace holdfast
