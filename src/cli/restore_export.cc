#include "cli/restore_export.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/text.h"
#include "base/units.h"
#include "cli/exit_code.h"
#include "cli/json.h"
#include "cli/tablespace_option.h"
#include "cli/workspace_options.h"
#include "datasets/restore_export.h"

namespace holdfast::cli {
namespace {

constexpr unsigned kJobsOptionMax = 64;

std::string_view shown_before(postgres::LoadPlan::Before before) {
    switch (before) {
        case postgres::LoadPlan::Before::missing: return "new";
        case postgres::LoadPlan::Before::empty: return "there, empty";
        case postgres::LoadPlan::Before::full: return "replaced";
    }
    return "";
}

Result<LoadExportOptions> load_options(Invocation& invocation, Workspace const& workspace) {
    LoadExportOptions options;
    options.conninfo = *invocation.value("into");
    options.scratch = workspace.state() / "scratch";
    options.dry_run = invocation.has("dry-run");
    options.load.databases = invocation.all("database");
    options.load.replace = invocation.has("replace");
    options.load.jobs = 0;
    if (auto text = invocation.value("jobs")) {
        auto [end, failed] = std::from_chars(text->data(), text->data() + text->size(), options.load.jobs);
        if (failed != std::errc() || end != text->data() + text->size() || options.load.jobs < 1 || options.load.jobs > kJobsOptionMax)
            return fail(ErrorKind::usage, fmt::format("--jobs: '{}' is no number from 1 to {}", printable(*text), kJobsOptionMax));
    }
    if (auto scratch = invocation.value("scratch")) options.scratch = *scratch;
    options.load.tablespaces = TRY(tablespace_map(invocation));
    return options;
}

std::string names_shown(std::vector<std::string> const& names) {
    std::vector<std::string> shown;
    for (auto const& name : names) shown.push_back(printable(name));
    return join(shown, ", ");
}

int show_loaded(Output& output, PointReference const& point, LoadExportOptions const& options, LoadedExport const& loaded) {
    auto const& globals = loaded.globals;
    auto tell = [&](std::string_view what, std::vector<std::string> const& names) {
        if (!names.empty()) output.line(fmt::format("{}: {}", what, names_shown(names)));
    };
    tell(options.dry_run ? "roles to make" : "roles made", globals.roles_new);
    tell("roles that are there already, kept as they are", globals.roles_kept);
    tell(options.dry_run ? "tablespaces to make" : "tablespaces made", globals.tablespaces_new);
    Table table({"database", "size", "tables", "rows", ""});
    for (std::size_t column : {1, 2, 3}) table.align_right(column);
    auto databases = nlohmann::json::array();
    for (auto const& database : loaded.databases) {
        auto before = std::string(shown_before(database.before));
        table.row({printable(database.name), format_bytes(database.bytes), std::to_string(database.tables),
                   std::to_string(database.rows), before});
        databases.push_back({{"name", printable(database.name)}, {"bytes", database.bytes}, {"tables", database.tables},
                             {"rows", database.rows}, {"before", before}});
    }
    output.line(table.text());
    bool failed = false;
    auto findings = nlohmann::json::array();
    for (auto const& finding : loaded.restored.findings) {
        auto text = fmt::format("{}: {}: {}", printable(finding.object), name(finding.verdict), printable(finding.detail));
        auto const bad = finding.verdict == Finding::Verdict::damaged;
        failed = failed || bad;
        bad ? output.warning(text) : output.line(text);
        findings.push_back(to_json(finding));
    }
    output.line(options.dry_run ? fmt::format("nothing was written to {}", loaded.server)
                                : fmt::format("restored {} ({}) into {}, in {}", printable(point.info.point.dataset),
                                              point.info.id.brief(), loaded.server, format_duration(loaded.took)));
    output.document(nlohmann::json{{"event", "loaded"},
                                   {"point", point.info.id.hex()},
                                   {"dataset", printable(point.info.point.dataset)},
                                   {"server", printable(loaded.server)},
                                   {"dry_run", options.dry_run},
                                   {"databases", databases},
                                   {"findings", findings},
                                   {"seconds", std::chrono::duration<double>(loaded.took).count()}}
                        .dump());
    return failed ? kCheckFailed : kDone;
}

}  // namespace

Result<int> run_restore_export(Invocation& invocation, Workspace& workspace, PointReference const& point) {
    auto options = TRY(load_options(invocation, workspace));
    auto& output = invocation.output;
    warn_of_stand_in(point, warn_to(output));
    auto loaded = TRY(restore_export(workspace, point, options, output.progress("restore"), warn_to(output), invocation.stop));
    output.end_progress();
    return show_loaded(output, point, options, loaded);
}

}  // namespace holdfast::cli
