#pragma once

#include <nlohmann/json.hpp>

#include "archive/restore.h"
#include "archive/source.h"
#include "datasets/ladder.h"

namespace holdfast::cli {

// The stable shapes of --json, documented in docs/json.md. Names of files are shown by printable():
// JSON can't carry arbitrary bytes.
nlohmann::json to_json(PointInfo const& info, std::optional<Time> verified_at);
nlohmann::json to_json(Entry const& entry, std::string const& path);
nlohmann::json to_json(Problem const& problem);
nlohmann::json to_json(Finding const& finding);
nlohmann::json to_json(Standing const& standing);
nlohmann::json to_json(RestoreResult const& result);
std::string state_of(PointInfo const& info);

}  // namespace holdfast::cli
