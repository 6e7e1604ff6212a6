#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "plan/plan.h"

namespace holdfast::plan {

// Whether the text is an ad hoc dataset (`files:…`, `models:…`, `postgres:…`) rather than a name.
bool is_dataset_spec(std::string_view text);

// A dataset without a plan: `files:/abs/path`, `models:/abs/path`, `postgres:CONNINFO`. Its name is
// canonical: one subject has one name, however it was written: "files:/srv/data",
// "postgres:db1:5432,db2:5432", "postgres:service=spikeformer". Refuses relative paths, and a
// password in CONNINFO.
Result<Dataset> parse_dataset_spec(std::string_view text);

// What a PostgreSQL connection string leads to: "service=NAME", or its sorted "host:port" list. The
// database, user and options do not matter: the cluster is what is protected. Refuses a password.
Result<std::string> postgres_identity(std::string_view conninfo);

}  // namespace holdfast::plan
