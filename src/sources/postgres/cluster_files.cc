#include "sources/postgres/cluster_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <set>

#include "archive/posix.h"
#include "base/text.h"

namespace holdfast::postgres {
namespace {

constexpr std::string_view kControlFile = "global/pg_control";
// Of these the directory alone.
constexpr std::array<std::string_view, 8> kEmptied = {"pg_stat_tmp", "pg_replslot",  "pg_dynshmem", "pg_notify",
                                                      "pg_serial",   "pg_snapshots", "pg_subtrans", "pg_tblspc"};
constexpr std::array<std::string_view, 7> kLeftOut = {"postgresql.auto.conf.tmp", "current_logfiles.tmp", "backup_label",
                                                      "tablespace_map", "backup_manifest", "postmaster.pid",
                                                      "postmaster.opts"};

template <typename Names>
bool is_among(Names const& names, std::string_view name) {
    return std::ranges::find(names, name) != names.end();
}

// By its name alone, wherever it lies.
bool is_left_out(std::string_view name) {
    return name.starts_with("pgsql_tmp") || name.starts_with("pg_internal.init") || is_among(kLeftOut, name);
}

bool is_number(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

// "t3_16384", "t3_16384_fsm.1": a relation of one session.
bool is_temporary_relation(std::string_view name) {
    if (!name.starts_with('t')) return false;
    auto underscore = name.find('_');
    if (underscore == name.npos || !is_number(name.substr(1, underscore - 1))) return false;
    auto rest = name.substr(underscore + 1);
    return is_number(rest.substr(0, rest.find_first_of("_.")));
}

// The number that the files of one relation share; empty when it is no relation's file.
std::string_view filenode_of(std::string_view name) {
    auto number = name.substr(0, name.find_first_of("_."));
    return is_number(number) ? number : std::string_view();
}

// "base/5", or "PG_15_202209061/5" in a tablespace.
bool is_database_directory(std::string_view path) {
    auto slash = path.find('/');
    if (slash == path.npos || !is_number(path.substr(slash + 1))) return false;
    return path.starts_with("base/") || path.starts_with("PG_");
}

UstarEntry entry_of_file(std::string path, UstarEntry::Type type, struct stat const& status) {
    UstarEntry entry;
    entry.path = std::move(path);
    entry.type = type;
    entry.size = type == UstarEntry::Type::file ? static_cast<std::uint64_t>(status.st_size) : 0;
    entry.mode = status.st_mode & 07777;
    entry.uid = status.st_uid;
    entry.gid = status.st_gid;
    entry.user = entry.group = "postgres";  // as the server says it
    entry.mtime = status.st_mtime;
    return entry;
}

class ClusterWalk {
  public:
    ClusterWalk(VisitClusterFile const& visit, std::stop_token stop) : visit_(visit), stop_(std::move(stop)) {}

    // What is in `directory`, whose path is `path` ("" is the data directory).
    Result<void> walk(int directory, std::string const& path) {
        auto names = sorted_names(directory);
        if (!names && names.error() == ENOENT && !path.empty()) return {};  // its database was dropped
        if (!names) return fail(errno_error(fmt::format("list '{}'", printable(path)), names.error()));
        std::set<std::string_view> unlogged;
        bool database = is_database_directory(path);
        for (std::string_view name : *names)
            if (database && name.ends_with("_init")) unlogged.insert(filenode_of(name));
        for (auto const& name : *names) {
            if (stop_.stop_requested()) return fail(ErrorKind::cancelled, "stopped");
            if (is_left_out(name)) continue;
            if (database && is_temporary_relation(name)) continue;
            if (database && unlogged.contains(filenode_of(name)) && name.find("_init") == name.npos) continue;
            auto below = path.empty() ? name : path + "/" + name;
            if (below != kControlFile) TRY(take(directory, name, below));
        }
        return {};
    }

    // Opens it without following a link; what is neither file nor directory is passed over.
    Result<void> take(int directory, std::string const& name, std::string const& path) {
        struct stat status;
        if (::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return gone_or(path, errno);
        if (path == "pg_wal") return take_log_directory(directory, status);
        if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) return {};
        auto file = S_ISDIR(status.st_mode) ? open_directory_at(directory, name.c_str()) : open_file_at(directory, name.c_str());
        if (!file) return gone_or(path, file.error());
        if (::fstat(file->get(), &status) != 0) return gone_or(path, errno);
        if (S_ISREG(status.st_mode)) return visit_(entry_of_file(path, UstarEntry::Type::file, status), &*file);
        if (!S_ISDIR(status.st_mode)) return {};
        TRY(visit_(entry_of_file(path, UstarEntry::Type::directory, status), nullptr));
        if (is_among(kEmptied, path)) return {};
        return walk(file->get(), path);
    }

  private:
    // It may be a link to another disk. The log itself comes when the backup has stopped.
    Result<void> take_log_directory(int directory, struct stat status) {
        if (S_ISLNK(status.st_mode) && ::fstatat(directory, "pg_wal", &status, 0) != 0)
            return fail(errno_error("look at 'pg_wal'", errno));
        TRY(visit_(entry_of_file("pg_wal", UstarEntry::Type::directory, status), nullptr));
        return visit_(entry_of_file("pg_wal/archive_status", UstarEntry::Type::directory, status), nullptr);
    }

    static Result<void> gone_or(std::string const& path, Errno error) {
        // ELOOP: it became a link meanwhile.
        if (error == ENOENT || error == ELOOP || error == ENOTDIR) return {};
        return fail(errno_error(fmt::format("read '{}'", printable(path)), error));
    }

    VisitClusterFile const& visit_;
    std::stop_token stop_;
};

}  // namespace

Result<void> walk_data_directory(int directory, VisitClusterFile const& visit, std::stop_token stop) {
    ClusterWalk walk(visit, std::move(stop));
    TRY(walk.walk(directory, ""));
    auto global = open_directory_at(directory, "global");
    if (!global) return fail(errno_error("read 'global'", global.error()));
    return walk.take(global->get(), "pg_control", std::string(kControlFile));
}

Result<void> walk_tablespace(int location, int major, VisitClusterFile const& visit, std::stop_token stop) {
    auto names = sorted_names(location);
    if (!names) return fail(errno_error("list a tablespace", names.error()));
    ClusterWalk walk(visit, std::move(stop));
    for (auto const& name : *names)
        if (name.starts_with(fmt::format("PG_{}_", major))) TRY(walk.take(location, name, name));
    return {};
}

}  // namespace holdfast::postgres
