#pragma once

#include <array>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/time.h"
#include "repo/point.h"

namespace holdfast {

class Repository;

inline constexpr std::string_view kHoldsPrefix = "holds/";

// Keeps recovery points whatever the retention says: for a court, or because something is suspicious.
struct Hold {
    enum class Kind { legal, suspicion };
    std::array<std::uint8_t, 16> id{};
    Kind kind = Kind::legal;
    std::string reason;
    // What it holds: these points, or (when there are none) all of a dataset, or (empty) everything.
    std::vector<PointId> points;
    std::string dataset;
    Time time;        // when it was placed
    BundleId holder;  // who signed it

    std::string hex() const { return to_hex(id); }
    bool holds(PointId const& point, std::string_view of_dataset) const;
    // "legal: case 7"
    std::string text() const;
};

std::string_view name(Hold::Kind kind);
std::string hold_key(Hold const& hold);
Bytes seal_hold(Hold const& hold, KeyBundle const& keys, Random& random);
// Opens the object found under `key`, which must be its own.
Result<Hold> open_hold(std::string_view key, ByteView object, KeyBundle const& keys,
                       CertificateLookup const& certificates);

// Places a hold under a new id, and returns it. A writer or an admin may: holding destroys nothing.
Result<Hold> place_hold(Repository& repository, Hold hold, std::stop_token stop);
// All holds, oldest first. One that is damaged fails: nobody can say what it holds.
Result<std::vector<Hold>> list_holds(Repository& repository, std::stop_token stop);
// Removes the one whose id begins with `prefix`. key_refused unless an admin asks; `unsafe` while others have to
// agree (approval.h).
Result<Hold> remove_hold(Repository& repository, std::string_view prefix, std::stop_token stop);

}  // namespace holdfast
