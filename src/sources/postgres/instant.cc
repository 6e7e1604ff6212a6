#include "sources/postgres/instant.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/text.h"
#include "os/file.h"
#include "sources/postgres/data_directory.h"
#include "sources/postgres/restore_place.h"
#include "sources/postgres/tablespaces.h"

namespace holdfast::postgres {
namespace {

namespace fs = std::filesystem;
// The directory whose return makes a cluster of what lies there: pg_control is in it.
constexpr char kLastName[] = "global";

// What is read, or changed, before anything is mounted.
bool comes_at_once(std::string const& path) {
    return path.starts_with("pg_wal/") || path == "PG_VERSION" || path == "postgresql.auto.conf" || path == "backup_label" ||
           path == "tablespace_map" || path == "global/pg_control";
}

fs::path without_slash(fs::path const& path) {
    auto whole = fs::absolute(path).lexically_normal();
    return whole.filename().empty() ? whole.parent_path() : whole;
}

// Empty, missing, or what an attempt with the same text has left.
Result<void> clear_place(fs::path const& directory, std::string const& text, std::string const& mark) {
    auto about = TRY(read_overlay_about(directory));
    if (about && about->text == text) return remove_overlay(directory);
    if (about)
        return fail(ErrorKind::unsafe, fmt::format("'{}' holds an instant recovery of something else", printable(directory.native())),
                    "go on with that one, or use another directory");
    TRY(check_restore_place(directory, "the target", mark));
    return {};
}

Result<void> make_instant_place(fs::path const& directory, std::string const& text) {
    std::error_code error;
    fs::create_directories(directory, error);
    if (error) return fail(errno_error(fmt::format("make '{}'", printable(directory.native())), error.value()));
    TRY(fsync_directory(parent_directory(directory)));
    return write_overlay_about(directory, {OverlayPhase::preparing, text});
}

void add(RestoreResult& sum, PreparedOverlay prepared) {
    sum.files += prepared.at_once.files + prepared.files;
    sum.directories += prepared.at_once.directories;
    sum.bytes += prepared.at_once.bytes + prepared.bytes;
    sum.bytes_written += prepared.at_once.bytes_written;
    sum.problem_count += prepared.at_once.problem_count;
    for (auto& problem : prepared.at_once.problems) sum.problems.push_back(std::move(problem));
}

}  // namespace

Result<std::vector<InstantPlace>> instant_places(RecoveryPoint const& point, std::map<std::string, std::string> const& mapping,
                                                 fs::path const& target) {
    auto data = without_slash(target);
    auto tablespaces = TRY(plan_tablespaces(point, mapping, data));
    auto original = TRY(original_tablespaces(point));
    bool moved = tablespaces != original;
    std::vector<InstantPlace> places;
    std::vector<std::string> links;
    for (auto const& [oid, location] : tablespaces) {
        links.push_back(fmt::format("pg_tblspc/{}", oid));
        places.push_back({without_slash(location), {.tree = point.tree, .path = links.back()}});
    }
    auto left_out = [links, moved](std::string const& path) {
        // A restored cluster never follows the old primary by itself.
        return path == "standby.signal" || path == "recovery.signal" || (moved && path == "tablespace_map") ||
               std::ranges::find(links, path) != links.end();
    };
    places.push_back({data, {.tree = point.tree, .path = "", .left_out = left_out, .at_once = comes_at_once}});
    return places;
}

Result<RestoreResult> prepare_instant(Fetch& fetch, RecoveryPoint const& point, std::vector<InstantPlace> const& places,
                                      std::string const& text, BeforeUsable const& before_usable,
                                      ProgressCallback const& progress, std::stop_token stop) {
    auto mark = restore_mark_of(point);
    auto const& data = places.back().directory;
    for (auto const& place : places) TRY(clear_place(place.directory, text, mark));
    // The data directory first: by it an attempt that was cut off is known.
    TRY(make_instant_place(data, text));
    for (auto const& place : places)
        if (place.directory != data) TRY(make_instant_place(place.directory, text));

    RestoreResult result;
    std::map<std::uint32_t, std::string> tablespaces;
    RestoreOptions const options{.set_owner = ::geteuid() == 0};
    for (auto const& place : places) {
        auto prepared = TRY(prepare_overlay(fetch, place.part, place.directory, options, progress, stop));
        add(result, std::move(prepared));
        if (place.directory == data) continue;
        auto oid = place.part.path.substr(place.part.path.find('/') + 1);
        tablespaces[static_cast<std::uint32_t>(std::stoul(oid))] = place.directory;
    }
    auto tree = overlay_tree(data);
    auto original = TRY(original_tablespaces(point));
    bool moved = tablespaces != original;
    TRY(link_tablespaces(tree, tablespaces, moved ? TablespaceMap::write : TablespaceMap::keep));
    if (before_usable) TRY(before_usable(tree));

    auto owner = TRY(ownership_of(tree, point));
    if (moved) TRY(take_ownership(tree / "tablespace_map", {owner.uid, owner.gid, 0600}));
    for (auto const& [oid, location] : tablespaces) {
        auto link = tree / "pg_tblspc" / fmt::format("{}", oid);
        if (::geteuid() == 0 && ::lchown(link.c_str(), owner.uid, owner.gid) != 0)
            return fail(errno_error(fmt::format("set the owner of '{}'", printable(link.native())), errno));
    }
    for (auto const& place : places) {
        TRY(take_ownership(overlay_tree(place.directory), owner));
        TRY(take_ownership(place.directory, owner));
        TRY(fsync_directory(overlay_tree(place.directory)));
        TRY(write_overlay_about(place.directory, {OverlayPhase::serving, text}));
    }
    return result;
}

Result<void> land_instant(std::vector<InstantPlace> const& places) {
    auto const& data = places.back().directory;
    auto about = TRY(read_overlay_about(data));
    if (!about) return {};  // landed before
    TRY(write_overlay_about(data, {OverlayPhase::landing, about->text}));
    for (auto const& place : places) TRY(land_overlay(place.directory, place.directory == data ? kLastName : ""));
    return {};
}

}  // namespace holdfast::postgres
