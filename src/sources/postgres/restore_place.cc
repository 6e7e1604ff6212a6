#include "sources/postgres/restore_place.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/text.h"
#include "formats/pg_backup_label.h"
#include "os/file.h"
#include "sources/postgres/data_directory.h"

namespace holdfast::postgres {

namespace fs = std::filesystem;

std::string point_attribute(RecoveryPoint const& point, std::string const& key) {
    auto found = point.attributes.find(key);
    return found == point.attributes.end() ? "" : found->second;
}

std::string restore_mark_of(RecoveryPoint const& point) {
    return fmt::format("Holdfast restores a PostgreSQL cluster into this directory. It must not be started yet.\n"
                       "system {}\nbackup {} to {}\ntime {}\n",
                       point_attribute(point, "system_identifier"), point_attribute(point, "lsn_start"),
                       point_attribute(point, "lsn"), to_rfc3339(point.time));
}

Result<void> check_restore_place(fs::path const& path, std::string_view what, std::string const& mark) {
    auto state = TRY(inspect_directory(path));
    auto shown = printable(path.native());
    if (state.server)
        return fail(ErrorKind::unsafe, fmt::format("a PostgreSQL server runs in '{}' (process {})", shown, *state.server),
                    "stop it first, or restore to another directory");
    switch (state.kind) {
        case DirectoryState::Kind::missing:
        case DirectoryState::Kind::empty: return {};
        case DirectoryState::Kind::interrupted_restore:
            if (state.mark == mark) return {};
            return fail(ErrorKind::unsafe, fmt::format("'{}' holds an unfinished restore of another point", shown),
                        "remove it, or restore to another directory");
        case DirectoryState::Kind::occupied: break;
    }
    return fail(ErrorKind::unsafe, fmt::format("{} '{}' is not empty", what, shown),
                what == "the target" ? "restore to a new directory"
                                     : "the tablespace of another cluster may lie there: map it to another place");
}

Result<Ownership> ownership_of(fs::path const& data, RecoveryPoint const& point) {
    struct stat version;
    if (::stat((data / "PG_VERSION").c_str(), &version) != 0)
        return fail(errno_error("the restored cluster: PG_VERSION", errno));
    mode_t mode = point_attribute(point, "data_directory_mode") == "0750" ? 0750 : 0700;
    return Ownership{version.st_uid, version.st_gid, mode};
}

Result<void> take_ownership(fs::path const& path, Ownership const& owner) {
    bool changed = ::geteuid() != 0 || ::chown(path.c_str(), owner.uid, owner.gid) == 0;
    if (!changed || ::chmod(path.c_str(), owner.mode) != 0)
        return fail(errno_error(fmt::format("set owner and mode of '{}'", printable(path.native())), errno));
    return {};
}

Result<void> link_tablespaces(fs::path const& data, std::map<std::uint32_t, std::string> const& tablespaces,
                              TablespaceMap map) {
    if (tablespaces.empty()) return {};
    if (map == TablespaceMap::write) {
        auto text = format_pg_tablespace_map(tablespaces);
        TRY(write_file_durably(data / "tablespace_map", as_bytes(text), 0600));
    }
    auto directory = data / "pg_tblspc";
    struct stat before;
    if (::stat(directory.c_str(), &before) != 0)
        return fail(errno_error(fmt::format("look at '{}'", printable(directory.native())), errno));
    for (auto const& [oid, location] : tablespaces) {
        auto link = directory / fmt::format("{}", oid);
        if (::unlink(link.c_str()) != 0 && errno != ENOENT)
            return fail(errno_error(fmt::format("replace '{}'", printable(link.native())), errno));
        if (::symlink(location.c_str(), link.c_str()) != 0)
            return fail(errno_error(fmt::format("link '{}'", printable(link.native())), errno));
    }
    // The links are not news: the directory keeps the time that it had.
    timespec const times[] = {before.st_atim, before.st_mtim};
    if (::utimensat(AT_FDCWD, directory.c_str(), times, 0) != 0)
        return fail(errno_error(fmt::format("set the time of '{}'", printable(directory.native())), errno));
    return fsync_directory(directory);
}

}  // namespace holdfast::postgres
