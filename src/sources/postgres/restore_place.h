#pragma once

#include <sys/types.h>

#include <filesystem>
#include <map>
#include <string>

#include "base/result.h"
#include "repo/point.h"

namespace holdfast::postgres {

// What every way to bring a cluster back does with the places that it comes to.

// An attribute of a point; empty when it has none of that name.
std::string point_attribute(RecoveryPoint const& point, std::string const& key);

// Says which point a directory is being restored from. Another point's files must not be mixed in: what the two do not
// share would stay behind.
std::string restore_mark_of(RecoveryPoint const& point);
// `unsafe` when a server runs at the path, or anything lies there but a restore with this mark that was interrupted. `what`
// is the place, for the message: "the target".
Result<void> check_restore_place(std::filesystem::path const& path, std::string_view what, std::string const& mark);

struct Ownership {
    uid_t uid;
    gid_t gid;
    mode_t mode;
};
// Of a data directory: whoever owns its PG_VERSION, and the mode that the cluster had.
Result<Ownership> ownership_of(std::filesystem::path const& data, RecoveryPoint const& point);
// Sets it; owners only as root.
Result<void> take_ownership(std::filesystem::path const& path, Ownership const& owner);

// Makes the links to tablespaces in a data directory, durably. PostgreSQL makes them anew from tablespace_map when it
// starts from backup_label, so the map is written where they are not what they were.
enum class TablespaceMap { keep, write };
Result<void> link_tablespaces(std::filesystem::path const& data, std::map<std::uint32_t, std::string> const& tablespaces,
                              TablespaceMap map);

}  // namespace holdfast::postgres
