#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "base/result.h"
#include "repo/point.h"

namespace holdfast::postgres {

// Where the tablespaces of a point go: oid → absolute location. `mapping` moves some: its keys are oids
// or locations as they were. Tablespaces that lay inside the data directory stay there and are not
// named. `usage` on keys that name no tablespace, relative locations, locations inside the target or in
// each other.
Result<std::map<std::uint32_t, std::string>> plan_tablespaces(
    RecoveryPoint const& point, std::map<std::string, std::string> const& mapping,
    std::filesystem::path const& target);

// As they were when the point was made.
Result<std::map<std::uint32_t, std::string>> original_tablespaces(RecoveryPoint const& point);

}  // namespace holdfast::postgres
