#include "sources/postgres/restore.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/text.h"
#include "formats/pg_backup_label.h"
#include "formats/pg_control.h"
#include "os/file.h"
#include "sources/postgres/data_directory.h"
#include "sources/postgres/restore_place.h"
#include "sources/postgres/tablespaces.h"

namespace holdfast::postgres {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view kControl = "global/pg_control";

Result<void> make_place(fs::path const& path, std::string const& mark) {
    std::error_code error;
    fs::create_directories(path, error);
    if (error) return fail(errno_error(fmt::format("make '{}'", printable(path.native())), error.value()));
    if (::chmod(path.c_str(), 0700) != 0)
        return fail(errno_error(fmt::format("set the mode of '{}'", printable(path.native())), errno));
    TRY(set_restore_mark(path, mark));
    return fsync_directory(parent_directory(path));
}

void merge(RestoreResult& into, RestoreResult part, std::string const& prefix) {
    into.files += part.files;
    into.directories += part.directories;
    into.bytes += part.bytes;
    into.bytes_written += part.bytes_written;
    into.files_unchanged += part.files_unchanged;
    into.deleted += part.deleted;
    into.problem_count += part.problem_count;
    for (auto& problem : part.problems)
        if (into.problems.size() < 1000) into.problems.push_back({prefix + problem.path, std::move(problem.message)});
    for (auto& path : part.damaged) into.damaged.push_back(prefix + path);
}

class DataDirectoryRestore {
  public:
    DataDirectoryRestore(RestoreContext const& context, BeforeUsable const& before_usable)
        : context_(context), before_usable_(before_usable), target_(fs::absolute(context.target).lexically_normal()), mark_(restore_mark_of(context.point)) {
        if (target_.filename().empty()) target_ = target_.parent_path();  // a '/' at the end
    }

    Result<RestoreResult> run() {
        tablespaces_ = TRY(plan_tablespaces(context_.point, context_.tablespaces, target_));
        original_ = TRY(original_tablespaces(context_.point));
        TRY(check_restore_place(target_, "the target", mark_));
        for (auto const& [oid, location] : tablespaces_)
            TRY(check_restore_place(location, fmt::format("the place of tablespace {}", oid), mark_));
        if (!context_.options.dry_run) {
            TRY(make_place(target_, mark_));
            for (auto const& [oid, location] : tablespaces_) TRY(make_place(location, mark_));
        }
        TRY(restore_part("", target_, [&](std::string const& path) { return comes_later(path); }));
        for (auto const& [oid, location] : tablespaces_)
            TRY(restore_part(fmt::format("pg_tblspc/{}", oid), location, {}));
        if (!context_.options.dry_run) TRY(link_tablespaces(target_, tablespaces_, moved() ? TablespaceMap::write : TablespaceMap::keep));
        if (before_usable_ && !context_.options.dry_run) TRY(before_usable_(target_));
        // With pg_control the directory becomes one that starts: all else is durable before.
        TRY(restore_part("global", target_ / "global", [](std::string const& path) { return path != "pg_control"; }));
        if (context_.options.dry_run) return std::move(result_);
        TRY(settle());
        return std::move(result_);
    }

  private:
    bool comes_later(std::string const& path) const {
        if (path == kControl || path == "standby.signal" || path == "recovery.signal") return true;
        if (path == "tablespace_map") return moved();
        for (auto const& [oid, location] : tablespaces_)
            if (path == fmt::format("pg_tblspc/{}", oid)) return true;
        return context_.options.exclude && context_.options.exclude(path);
    }
    bool moved() const { return tablespaces_ != original_; }

    Result<void> restore_part(std::string const& path, fs::path const& to,
                              std::function<bool(std::string const&)> exclude) {
        auto options = context_.options;
        options.exclude = std::move(exclude);
        options.set_owner = options.set_owner && ::geteuid() == 0;
        auto part = TRY(restore_tree(context_.fetch, context_.point.tree, path, to, options, context_.progress,
                                     context_.stop));
        merge(result_, std::move(part), path.empty() ? "" : path + "/");
        return {};
    }

    Result<void> settle() {
        auto owner = TRY(ownership_of(target_, context_.point));
        TRY(take_ownership(target_, owner));
        if (moved()) TRY(take_ownership(target_ / "tablespace_map", {owner.uid, owner.gid, 0600}));
        for (auto const& [oid, location] : tablespaces_) {
            TRY(take_ownership(location, owner));
            auto link = target_ / "pg_tblspc" / fmt::format("{}", oid);
            if (::geteuid() == 0 && ::lchown(link.c_str(), owner.uid, owner.gid) != 0)
                return fail(errno_error(fmt::format("set the owner of '{}'", printable(link.native())), errno));
        }
        for (auto const& [oid, location] : tablespaces_) TRY(remove_restore_mark(location));
        return remove_restore_mark(target_);
    }

    RestoreContext const& context_;
    BeforeUsable const& before_usable_;
    fs::path target_;
    std::string mark_;
    std::map<std::uint32_t, std::string> tablespaces_, original_;
    RestoreResult result_;
};

}  // namespace

Result<RestoreResult> restore_data_directory(RestoreContext const& context, BeforeUsable const& before_usable) {
    if (!context.path.empty())
        return restore_tree(context.fetch, context.point.tree, context.path, context.target, context.options,
                            context.progress, context.stop);
    return DataDirectoryRestore(context, before_usable).run();
}

Result<bool> holds_point(fs::path const& directory, RecoveryPoint const& point) {
    auto bytes = TRY(read_file((directory / kControl).string(), 1 << 16));
    auto control = TRY(parse_pg_control(bytes));
    if (point_attribute(point, "system_identifier") != fmt::format("{}", control.system_identifier)) return false;
    auto text = read_file((directory / "backup_label").string(), 1 << 20);
    if (!text && text.error().kind == ErrorKind::not_found) return true;  // it was started since
    if (!text) return fail(std::move(text).error());
    auto label = TRY(parse_pg_backup_label(as_text(*text)));
    return point_attribute(point, "lsn_start") == to_text(label.start);
}

}  // namespace holdfast::postgres
