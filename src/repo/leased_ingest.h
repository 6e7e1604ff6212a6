#pragma once

#include "repo/ingest.h"
#include "repo/lease.h"

namespace holdfast {

// An Ingest that renews its writer's lease as it is used, and releases it when it goes.
std::unique_ptr<Ingest> with_lease(std::unique_ptr<Ingest> ingest, std::unique_ptr<Lease> lease,
                                   std::stop_token stop);

}  // namespace holdfast
