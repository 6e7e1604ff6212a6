#include <fmt/format.h>

#include <span>

#include "base/text.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/json.h"
#include "cli/restore_export.h"
#include "cli/restore_instant.h"
#include "cli/restore_selection.h"
#include "cli/restore_tensors.h"
#include "cli/tablespace_option.h"
#include "cli/workspace_options.h"
#include "datasets/moment.h"
#include "datasets/restore_point.h"
#include "sources/exports/export_document.h"

namespace holdfast::cli {
namespace {

constexpr std::size_t kShown = 20;
constexpr char const* kInstantOnly[] = {"stay", "on-demand", "cache"};
constexpr char const* kIntoOnly[] = {"database", "table", "schema", "replace", "jobs", "scratch"};

Result<void> refuse_options(Invocation const& invocation, std::span<char const* const> options, std::string_view why) {
    for (auto const* option : options)
        if (invocation.has(option)) return fail(ErrorKind::usage, fmt::format("--{} {}", option, why));
    return {};
}

// An export is loaded; of a cluster, which runs meanwhile, a part is dumped and restored.
Result<int> restore_into(Invocation& invocation, Workspace& workspace) {
    if (invocation.has_argument("TARGET")) return fail(ErrorKind::usage, "say where to: either TARGET or --into");
    constexpr char const* kNeverInto[] = {"in-place", "delete", "no-owner", "special-bits", "skip-damaged", "tensor", "as"};
    TRY(refuse_options(invocation, kNeverInto, "and --into do not go together"));
    MomentOptions wanted{.timeline = invocation.value("timeline").value_or("latest")};
    auto moment = TRY(find_moment(workspace, invocation.argument("POINT"), wanted, invocation.stop));
    auto const& info = moment.point.info;
    if (info.point.kind == postgres::kExportKind) {
        constexpr char const* kClusterOnly[] = {"table", "schema", "timeline"};
        TRY(refuse_options(invocation, kClusterOnly, "is for points of a cluster: an export goes in by databases"));
        return run_restore_export(invocation, workspace, moment.point);
    }
    if (info.point.kind != "postgres") {
        return fail(ErrorKind::usage, fmt::format("point {} is of kind {}: only PostgreSQL goes into a running server",
                                                  info.id.brief(), printable(info.point.kind)),
                    "restore it to a directory: TARGET");
    }
    constexpr char const* kExportOnly[] = {"dry-run", "replace", "jobs", "tablespace"};
    TRY(refuse_options(invocation, kExportOnly, "and --into go together for exports alone (mode: logical)"));
    return run_selection(invocation, workspace);
}

Result<RestorePointOptions> restore_options(Invocation& invocation, Moment const& moment, std::string path) {
    auto const& point = moment.point;
    RestorePointOptions options;
    options.log = moment.log;
    options.path = std::move(path);
    auto target = invocation.argument("TARGET");
    if (invocation.has("in-place") == !target.empty()) {
        return fail(ErrorKind::usage, "say where to: either TARGET or --in-place");
    }
    if (target.empty() && point.info.point.kind == postgres::kExportKind) {
        return fail(ErrorKind::usage, "an export has no place that it came from",
                    "name a TARGET for its files, or a server: --into CONNINFO");
    }
    if (target.empty() && point.info.point.kind == "postgres" && point.info.point.root == "/") {
        return fail(ErrorKind::usage, "the point does not know where the data directory was",
                    "name a TARGET; a backup role with pg_read_all_settings makes the next points know");
    }
    options.target = target.empty() ? std::filesystem::path(point.info.point.root) : std::filesystem::path(target);
    if (target.empty() && !options.path.empty()) {
        auto parent = std::filesystem::path(options.path).parent_path();
        options.target /= parent;
    }
    options.restore.dry_run = invocation.has("dry-run");
    options.restore.delete_extra = invocation.has("delete");
    options.restore.set_owner = !invocation.has("no-owner");
    options.restore.set_special_bits = invocation.has("special-bits");
    options.restore.skip_damaged = invocation.has("skip-damaged");
    options.tablespaces = TRY(tablespace_map(invocation));
    return options;
}

int show(Output& output, PointReference const& point, RestorePointOptions const& options,
         RestoredPoint const& restored) {
    auto const& result = restored.result;
    auto dry = options.restore.dry_run;
    output.line(fmt::format("{} {} ({}) → {}: {} files, {}, {} {}, {} unchanged{}, in {}",
                            dry ? "would restore" : "restored", printable(point.info.point.dataset),
                            point.info.id.brief(), printable(options.target.native()), result.files,
                            format_bytes(result.bytes), format_bytes(result.bytes_written),
                            dry ? "to write" : "written", result.files_unchanged,
                            result.deleted > 0 ? fmt::format(", {} deleted", result.deleted) : "",
                            format_duration(restored.took)));
    for (std::size_t i = 0; i < std::min(result.problems.size(), kShown); ++i) {
        output.warning(fmt::format("{}: {}", printable(result.problems[i].path), result.problems[i].message));
    }
    if (result.problem_count > kShown) {
        output.warning(fmt::format("… and {} more", result.problem_count - kShown));
    }
    for (auto const& path : result.damaged) {
        output.warning(fmt::format("{}: damaged, not restored whole", printable(path)));
    }
    if (restored.log) {
        auto const& log = *restored.log;
        output.line(fmt::format("with {} of log, up to {}{}: start it, and it recovers to {} and opens on a new timeline",
                                format_bytes(log.bytes), to_text(log.found.end),
                                log.found.last_commit ? " (last commit " + to_rfc3339(*log.found.last_commit) + ")" : "",
                                to_text(options.log->target)));
    }
    bool failed = false;
    auto findings = nlohmann::json::array();
    for (auto const& finding : restored.findings) {
        findings.push_back(to_json(finding));
        auto bad = finding.verdict == Finding::Verdict::damaged;
        failed = failed || bad;
        auto text = fmt::format("{}: {}{}{}", printable(finding.object), name(finding.verdict),
                                finding.detail.empty() ? "" : ": ", printable(finding.detail));
        // What wants to run code came back as it was; whoever loads it should know.
        bad || finding.verdict == Finding::Verdict::suspicious ? output.warning(text) : output.detail(text);
    }
    auto json = to_json(result);
    json["event"] = "restored";
    json["point"] = point.info.id.hex();
    json["dataset"] = printable(point.info.point.dataset);
    json["target"] = printable(options.target.native());
    json["dry_run"] = dry;
    json["findings"] = findings;
    json["verified"] = restored.verified;
    json["seconds"] = std::chrono::duration<double>(restored.took).count();
    if (restored.log) {
        auto const& found = restored.log->found;
        json["log"] = {{"target", printable(to_text(options.log->target))}, {"end", to_text(found.end)},
                       {"timeline", options.log->course.back().timeline}, {"reached", found.reached},
                       {"segments", restored.log->segments}, {"bytes", restored.log->bytes}};
        if (found.last_commit) json["log"]["last_commit"] = to_rfc3339(*found.last_commit);
    }
    output.document(json.dump());
    if (!result.damaged.empty()) return kDamaged;
    if (failed) return kCheckFailed;
    return result.problem_count > 0 ? kPartial : kDone;
}

Result<int> run_restore(Invocation& invocation) {
    if (invocation.has("instant")) return run_instant(invocation);
    TRY(refuse_options(invocation, kInstantOnly, "needs --instant"));
    auto workspace = TRY(open_workspace(invocation));
    if (invocation.has("into")) return restore_into(invocation, *workspace);
    TRY(refuse_options(invocation, kIntoOnly, "needs --into"));
    auto [text, path] = split_point_path(invocation.argument("POINT"));
    while (path.starts_with('/')) path.erase(0, 1);
    while (path.ends_with('/')) path.pop_back();
    if (invocation.has("tensor")) {
        auto point = TRY(find_point(*workspace, text, {}, invocation.stop));
        return run_restore_tensors(invocation, *workspace, point, std::move(path));
    }
    if (invocation.has("as")) return fail(ErrorKind::usage, "--as is the form of tensors", "name them: --tensor '*'");
    MomentOptions wanted{.timeline = invocation.value("timeline").value_or("latest")};
    // A part of a point is what it is: no log changes it.
    Moment moment;
    if (path.empty()) {
        moment = TRY(find_moment(*workspace, text, wanted, invocation.stop));
    } else {
        moment.point = TRY(find_point(*workspace, text, {}, invocation.stop));
    }
    auto const& point = moment.point;
    auto options = TRY(restore_options(invocation, moment, path));
    auto& output = invocation.output;
    warn_of_stand_in(point, warn_to(output));
    auto restored = TRY(restore_point(*workspace, point, options, output.progress("restore"),
                                      warn_to(output), invocation.stop));
    output.end_progress();
    return show(output, point, options, restored);
}

}  // namespace

Command restore_command() {
    return {.name = "restore",
            .summary = "bring a point back, writing only what differs",
            .details =
                "TARGET receives the contents of the dataset's root (a single file: TARGET/its name). What is there "
                "already and the same is left alone, so an interrupted restore goes on where it was. Names that are "
                "only in TARGET stay, unless --delete is given. For a PostgreSQL point TARGET becomes the data "
                "directory, and with streamed log (wal receive) it recovers to any moment when it is started: DATASET@latest, @TIME, "
                "@lsn:X/Y, @xid:N, @name:LABEL. With --tensor, only these tensors of the model file POINT:PATH (or of all files of the "
                "model whose *.index.json it is) come back, as a new file in TARGET; only what holds them is fetched. With --instant a "
                "cluster can be started within seconds, and the command stays in the foreground until all has come home and the "
                "cluster was stopped once; then it lies on plain files. Cut off, the same command goes on. With --into, tables, "
                "schemas or a database of the cluster, as of that moment, come into a running one, in one transaction. An export "
                "becomes files for pg_restore, or goes into a running server with --into: "
                "roles that are there already stay as they are, and so do databases that are not empty, which is refused (exit "
                "code 10). What can't be set (owners without root) is counted and named, exit code 3.",
            .arguments = {{"POINT", "a point or a moment, or POINT:PATH for a part of a point"},
                          {"TARGET", "a directory, made when it is missing", true}},
            .options = {{.flag = "--in-place", .help = "restore to where it came from"},
                        {.flag = "-n,--dry-run", .help = "show what would be written, write nothing"},
                        {.flag = "--delete", .help = "remove from TARGET what the point does not have"},
                        {.flag = "--no-owner", .help = "do not set owners and groups"},
                        {.flag = "--special-bits", .help = "set setuid, setgid and file capabilities, too"},
                        {.flag = "--skip-damaged", .help = "restore what is whole although parts are damaged"},
                        {.flag = "--tensor", .value = "GLOB",
                         .help = "of a model file: only the tensors of such names (* any letters but '/')", .many = true},
                        {.flag = "--as", .value = "FORM", .help = "what tensors become: safetensors, or npy (a file each)"},
                        {.flag = "--timeline", .value = "N",
                         .help = "PostgreSQL: along which timeline (latest, current, or its number)"},
                        {.flag = "--tablespace", .value = "OLD=NEW",
                         .help = "PostgreSQL: put the tablespace that was at OLD to NEW", .many = true},
                        {.flag = "--instant",
                         .help = "PostgreSQL: mount it at TARGET, to be started at once; the rest comes home meanwhile"},
                        {.flag = "--stay", .help = "with --instant: stay at the moment, for reading alone"},
                        {.flag = "--on-demand", .help = "with --instant: fetch only what is read"},
                        {.flag = "--cache", .value = "SIZE", .help = "with --instant: memory for chunks (default: 96 MiB)"},
                        {.flag = "--into", .value = "CONNINFO",
                         .help = "PostgreSQL: bring a part of a cluster, or an export, into this running server, in place of TARGET"},
                        {.flag = "--table", .value = "PATTERN", .help = "with --into: these tables, as pg_dump -t", .many = true},
                        {.flag = "--schema", .value = "PATTERN", .help = "with --into: these schemas, as pg_dump -n", .many = true},
                        {.flag = "--database", .value = "NAME",
                         .help = "with --into: of a cluster, the database to look into; of an export, only this one", .many = true},
                        {.flag = "--replace", .help = "an export --into: drop databases that are there and not empty first"},
                        {.flag = "--jobs", .value = "N", .help = "an export --into: processes of pg_restore (as many as CPUs, up to 8)"},
                        {.flag = "--scratch", .value = "DIR",
                         .help = "with --into: where its files are meanwhile (an export: below the state; a cluster: $TMPDIR)"}},
            .run = run_restore};
}

}  // namespace holdfast::cli
