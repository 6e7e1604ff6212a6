#pragma once

#include "repo/repository.h"

namespace holdfast {

// What an object is, by its key.
enum class ObjectRoom {
    config,
    key,
    pack,
    index,
    point,
    log,
    receipt,
    lease,
    self,
    hold,
    proven,
    ring,
    approval,
    wal,
    doomed,
    reserve,
    unknown,  // nothing that this version writes
};
ObjectRoom room_of(std::string_view key);

// Whether an error is one object's own, so that others may still be whole.
inline bool is_local(ErrorKind kind) {
    return kind == ErrorKind::damaged || kind == ErrorKind::not_found || kind == ErrorKind::io ||
           kind == ErrorKind::key_refused;
}

// Reads an object of the rooms config, key, ring, point, receipt, lease, proven, self, hold, approval, wal or
// doomed in full and checks that it is what was written under this name. `damaged` when not. (Packs, segments and logs
// are checked as a whole, elsewhere.)
Result<void> check_object(Repository& repository, CertificateLookup const& certificates,
                          std::string const& key, std::stop_token stop);

// What can be said of an object without any key, by its name and its shape: packs by their sums, and segments
// and points by the hash that is their name. `damaged` when it is not what was written under this name. For
// accidents, not for malice. `repository` where it is known.
Result<void> check_bare_object(std::optional<RepositoryId> const& repository, std::string const& key,
                               ByteView object);

}  // namespace holdfast
