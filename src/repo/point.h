#pragma once

#include <map>
#include <optional>
#include <string>

#include "base/time.h"
#include "repo/content.h"
#include "repo/envelope.h"

namespace holdfast {

// A recovery point: one complete state of one dataset. Every point restores by itself. It is stored
// as a signed, sealed document; its id is the SHA-256 of that object.
struct RecoveryPoint {
    std::string dataset;  // name in the plan, or ad hoc "files:/abs/path"
    std::string kind;     // "files", "models", "postgres"
    Time started;         // when the capture began
    Time time;  // the moment whose state this is (end of capture; consistency for a database)
    std::string root;  // absolute path that the tree's root stands for, "/" for several; bytes
    Content tree;      // the root directory (ChunkKind::tree)
    std::uint64_t files = 0;       // entries that are not directories
    std::uint64_t bytes = 0;       // apparent size of all files
    std::uint64_t stored = 0;      // bytes that this point added to the repository
    std::uint64_t unreadable = 0;  // things that could not be captured: then the point is `partial`
    std::string host;              // where it was made
    std::string version;           // of Holdfast that made it
    // What the source wants to find again: "lsn", "timeline", "system_identifier", "paths" …
    std::map<std::string, std::string> attributes;
    bool operator==(RecoveryPoint const&) const = default;
};

// The key pair that its content is sealed to: that of the attribute `pair`, or "", the repository's own.
inline constexpr char kPairAttribute[] = "pair";
inline std::string_view pair_of(RecoveryPoint const& point) {
    auto found = point.attributes.find(kPairAttribute);
    return found == point.attributes.end() ? std::string_view() : found->second;
}

// A point as the repository shows it.
struct PointInfo {
    PointId id;
    BundleId writer;  // who signed it
    RecoveryPoint point;
    std::optional<Time> received;  // by the receipt; nothing: no admin or guard saw it yet
    bool confirmed = false;        // its writer's log has an entry for it
};

// An object that is not what it should be (a point, a receipt, an entry of a log) or not whose it should be,
// or a point that its writer's log names and the store does not have: listed beside the good ones, never hidden.
struct DamagedPoint {
    std::string key;  // of the object
    Error error;
    // It may be whole: a key signed it after it was removed. Nobody needs what it names.
    bool refused = false;
};

// The document (JSON). Texts of any bytes survive.
std::string encode(RecoveryPoint const& point);
// `damaged` on what encode() could not have written. Members that this version does not know are
// ignored.
Result<RecoveryPoint> decode_point(std::string_view document);

// points/<dataset tag>/<time>-<point id>
inline constexpr std::string_view kPointsPrefix = "points/";
std::string point_key(DatasetTag const& dataset, Time time, PointId const& id);
struct PointKey {
    DatasetTag dataset;
    Time time;
    PointId id;
};
Result<PointKey> parse_point_key(std::string_view key);

struct SealedPoint {
    std::string key;
    PointId id;
    Bytes object;
};
SealedPoint seal_point(RecoveryPoint const& point, KeyBundle const& keys, Random& random);
// Opens the object found under `key`: its id must be the hash of the object, and the key's time and
// dataset the document's. Sets `id`, `writer` and `point` of the result.
Result<PointInfo> open_point(std::string_view key, ByteView object, KeyBundle const& keys,
                             CertificateLookup const& certificates);

}  // namespace holdfast
