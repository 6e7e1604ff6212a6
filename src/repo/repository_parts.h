#pragma once

#include "repo/repository.h"

namespace holdfast {

// What `repository` needs of the other rooms, and nobody else calls: begin_ingest() and begin_fetch()
// check roles, take the lease and wrap the result.

// Defined in ingest.cc. `repository` outlives the result.
Result<std::unique_ptr<Ingest>> make_ingest(Repository& repository, IngestLimits limits,
                                            std::stop_token stop);
// Defined in fetch.cc. Looks where the index says. What it needs for itself (lists) it asks `front` for;
// nullptr: itself.
std::unique_ptr<Fetch> make_fetch_of(Repository& repository, std::shared_ptr<Index> index, FetchLimits limits,
                                     Fetch* front);
// Defined in renewing_fetch.cc. `repository` outlives the result; it has a reader's key.
Result<std::unique_ptr<Fetch>> make_fetch(Repository& repository, FetchLimits limits,
                                          std::stop_token stop);

}  // namespace holdfast
