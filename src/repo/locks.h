#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <stop_token>

#include "repo/repository.h"

namespace holdfast {

// Object Lock: a store that has it keeps an object until its lock ends, whoever asks for its removal. What is
// put is locked by the store itself (OpenStoreOptions::lock); what a newer point needs is locked again here.

// Whether an object of this key is written for good, and so is locked. Leases, holds, what readers have proven
// and the marks of garbage collection come and go.
bool is_for_good(ObjectKey const& key);

struct LockPass {
    std::uint64_t objects = 0;
    Time until;  // no lock of them ends before
};
// Locks until now + `period` what a point needs that was just published: `packs` (all that it relies on),
// segments of the index that name them, all keys, key rings and logs, and the newest of each self document; the configuration
// last, so that its own lock tells how far the last whole pass reached. What garbage collection has replaced
// is not locked again. May be repeated. `usage` where the store cannot, not_found when a pack is gone. Not
// from an executor's task.
Result<LockPass> lock_again(Repository& repository, std::set<PackId> const& packs, Duration period,
                            std::stop_token stop);

// <state>/<repository id>/locks.json: until when the objects of each dataset are locked, as far as this machine
// saw to it. Losing it costs a pass.
class LockFile {
  public:
    LockFile(std::filesystem::path const& state, RepositoryId const& repository);
    // Empty when there is none, or it is not what was written.
    std::map<DatasetTag, Time> load() const;
    Result<void> save(std::map<DatasetTag, Time> const& until) const;

  private:
    std::filesystem::path path_;  // empty: nothing is remembered
};

}  // namespace holdfast
