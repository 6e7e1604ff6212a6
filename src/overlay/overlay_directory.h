#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "archive/restore.h"

namespace holdfast {

// A directory that a part of a recovery point comes back into while it is used already. Until all is home everything lies
// below its OverlayNames::kTop, so that without its mount nobody takes it for what it is going to be:
//
//   about   phase and what it is, as text; replaced whole
//   map     which blocks are home (home_map.h)
//   tree/   every name; files that are not home are sparse
//   files/N a second name for file N of the point that is not home, by which it is known for as long as it exists
struct OverlayNames {
    static constexpr char kTop[] = ".holdfast-instant";
    static constexpr char kAbout[] = "about";
    static constexpr char kMap[] = "map";
    static constexpr char kTree[] = "tree";
    static constexpr char kFiles[] = "files";
};
inline std::filesystem::path overlay_top(std::filesystem::path const& directory) { return directory / OverlayNames::kTop; }
inline std::filesystem::path overlay_tree(std::filesystem::path const& directory) { return overlay_top(directory) / OverlayNames::kTree; }

// How far it is. Each phase may be cut off anywhere and gone on with.
enum class OverlayPhase {
    preparing,  // not usable: begin again
    serving,    // usable through a mount
    landing,    // all is home; names move to where they belong
};
struct OverlayAbout {
    OverlayPhase phase = OverlayPhase::preparing;
    std::string text;  // the user's of this layer; any bytes
};
// Nothing when there is no overlay in the directory. `damaged` when it can't be told what it is.
Result<std::optional<OverlayAbout>> read_overlay_about(std::filesystem::path const& directory);
// Makes the directory's overlay if it is missing. Durable when it returns.
Result<void> write_overlay_about(std::filesystem::path const& directory, OverlayAbout const& about);

// Which part of which point.
struct OverlayPart {
    Content tree;       // of the point
    std::string path;   // of the directory in it; "" is its root
    // Paths below it that do not come back at all, and files that are brought at once, whole, so that they may be changed
    // before anything is mounted.
    std::function<bool(std::string const& path)> left_out = {};
    std::function<bool(std::string const& path)> at_once = {};
};
// A file that is not brought at once. Its number is its place in the list.
struct LowerFile {
    std::string path;  // below the part
    Content content;
};
// All of them, in the same order each time.
Result<std::vector<LowerFile>> lower_files(Fetch& fetch, OverlayPart const& part, std::stop_token stop);
// 32 bytes that no other part of any point has.
Bytes overlay_identity(OverlayPart const& part);

struct PreparedOverlay {
    RestoreResult at_once;        // what was brought whole
    std::uint64_t files = 0;      // others
    std::uint64_t bytes = 0;      // of them, in the point
};
// Makes the tree of a part below the directory's overlay, where write_overlay_about() has said `preparing`, and which is
// otherwise empty. Owners as a restore sets them. Durable when it returns.
Result<PreparedOverlay> prepare_overlay(Fetch& fetch, OverlayPart const& part, std::filesystem::path const& directory,
                                        RestoreOptions const& options, ProgressCallback const& progress,
                                        std::stop_token stop);
// Takes all of an overlay away, its about last: what was cut off can be told from what is foreign.
Result<void> remove_overlay(std::filesystem::path const& directory);
// Moves every name from the overlay's tree to the directory itself, the name `last` (which makes it usable) at the end, and
// takes the overlay away. Its about says `landing`, nothing is mounted, all is home and durable. May be repeated.
Result<void> land_overlay(std::filesystem::path const& directory, std::string const& last);

}  // namespace holdfast
