#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "archive/restore.h"
#include "overlay/overlay_directory.h"
#include "repo/point.h"
#include "sources/postgres/restore.h"

namespace holdfast::postgres {

// A directory of a cluster that comes back while it runs: a tablespace's, or the data directory.
struct InstantPlace {
    std::filesystem::path directory;
    OverlayPart part;
};
// All of a point's, the data directory last. Errors as plan_tablespaces().
Result<std::vector<InstantPlace>> instant_places(RecoveryPoint const& point, std::map<std::string, std::string> const& mapping,
                                                 std::filesystem::path const& target);

// Makes an overlay at each place, so that with all of them mounted the cluster starts. What the log and the settings of a
// recovery change comes back whole; `before_usable` brings them, as with restore_data_directory(), into the tree it is given.
// `text` goes into the overlays' about, which of the data directory says `serving` when all is durable. An attempt with this
// text that was cut off is begun again; anything else that lies at a place is `unsafe`.
Result<RestoreResult> prepare_instant(Fetch& fetch, RecoveryPoint const& point, std::vector<InstantPlace> const& places,
                                      std::string const& text, BeforeUsable const& before_usable,
                                      ProgressCallback const& progress, std::stop_token stop);

// Makes plain files of overlays where all is home, and which are not mounted. May be repeated after it was cut off.
Result<void> land_instant(std::vector<InstantPlace> const& places);

}  // namespace holdfast::postgres
