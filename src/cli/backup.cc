#include <algorithm>
#include <fmt/format.h>
#include <set>

#include "base/text.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/json.h"
#include "cli/workspace_options.h"
#include "datasets/back_up.h"
#include "datasets/self.h"
#include "steps/alarm.h"
#include "steps/send_mail.h"

namespace holdfast::cli {
namespace {

constexpr std::size_t kProblemsShown = 20;

Result<std::vector<plan::Dataset>> chosen(Invocation& invocation, Workspace const& workspace) {
    std::vector<plan::Dataset> datasets;
    auto names = invocation.arguments("DATASET");
    if (names.empty()) {
        auto const* plan = TRY(workspace.plan());
        for (auto const& dataset : plan->datasets) datasets.push_back(dataset);
    }
    for (auto const& name : names) datasets.push_back(TRY(workspace.dataset(name)));
    auto new_name = invocation.value("name");
    if (new_name && datasets.size() != 1) {
        return fail(ErrorKind::usage, "--name goes with one dataset");
    }
    for (auto& dataset : datasets) {
        for (auto const& pattern : invocation.all("exclude")) dataset.exclude.push_back(pattern);
        if (new_name) dataset.name = *new_name;
    }
    return datasets;
}

void show(Output& output, BackedUp const& done) {
    auto const& point = done.point.point;
    output.line(fmt::format("{}  {} → {}: {} files, {}, {} new, in {}{}",
                            output.styled(Style::strong, done.point.id.brief()), printable(point.dataset),
                            printable(done.repository), point.files, format_bytes(point.bytes),
                            format_bytes(point.stored), format_duration(done.took),
                            done.problem_count > 0
                                ? output.styled(Style::warning, fmt::format(", {} problems", done.problem_count))
                                : ""));
    for (std::size_t i = 0; i < std::min(done.problems.size(), kProblemsShown); ++i) {
        output.warning(fmt::format("{}: {}", printable(done.problems[i].path), done.problems[i].message));
    }
    if (done.problem_count > kProblemsShown) {
        output.warning(fmt::format("… and {} more", done.problem_count - kProblemsShown));
    }
    for (auto const& finding : done.findings) {
        auto text = fmt::format("{}: {}{}{}", printable(finding.object), name(finding.verdict),
                                finding.detail.empty() ? "" : ": ", printable(finding.detail));
        if (finding.verdict == Finding::Verdict::damaged || finding.verdict == Finding::Verdict::suspicious) {
            output.warning(text);
        } else {
            output.detail(text);
        }
    }
    if (done.suspicion) {
        output.warning(fmt::format("the point is suspect: {}{}", done.suspicion->reason,
                                   done.suspicion->fresh ? "; the points before it are held"
                                                         : " (since an earlier point)"));
    }
    auto json = to_json(done.point, std::nullopt);
    if (done.locked_until) {
        auto until = to_rfc3339(std::chrono::floor<std::chrono::seconds>(*done.locked_until));
        output.detail("what it needs is locked until " + until);
        json["locked_until"] = until;
    }
    json["event"] = "point";
    json["repository"] = printable(done.repository);
    json["seconds"] = std::chrono::duration<double>(done.took).count();
    json["problem_count"] = done.problem_count;
    json["problems"] = nlohmann::json::array();
    for (auto const& problem : done.problems) json["problems"].push_back(to_json(problem));
    json["findings"] = nlohmann::json::array();
    for (auto const& finding : done.findings) json["findings"].push_back(to_json(finding));
    output.document(json.dump());
}

// A fresh suspicion is for a person, now. That the mail can't be sent does not undo the backup.
void alarm(Workspace const& workspace, Output& output, BackedUp const& done, std::stop_token stop) {
    if (!done.suspicion || !done.suspicion->fresh || !workspace.has_plan()) return;
    auto const* plan = *workspace.plan();
    auto const& point = done.point.point;
    auto dataset = printable(point.dataset);
    auto text = fmt::format("Point {} of '{}' on {}, made at {}, is suspect:\n{}.\n\n"
                            "The points before it are held (holdfast hold list). Look at what changed with\n"
                            "holdfast diff {}, and restore from a point that is not suspect.\n"
                            "If all is well, holdfast hold remove clears it.\n",
                            done.point.id.brief(), dataset, point.host, to_rfc3339(point.time),
                            done.suspicion->reason, done.point.id.brief());
    auto sent = steps::send_alarm(*plan, fmt::format("[holdfast] '{}' is suspect", dataset), text,
                                  steps::send_by_smtp, stop);
    if (!sent) output.warning("the alarm could not be mailed: " + sent.error().message);
}

int code_of(BackedUp const& done) {
    if (done.suspicion) return kCheckFailed;
    if (done.problem_count > 0) return kPartial;
    auto damaged = std::ranges::any_of(done.findings, [](Finding const& finding) {
        return finding.verdict == Finding::Verdict::damaged;
    });
    return damaged ? kCheckFailed : kDone;
}

// The worst of several outcomes decides; a failure of one dataset does not keep the others from being
// backed up.
Result<int> run_backup(Invocation& invocation) {
    auto workspace = TRY(open_workspace(invocation));
    auto datasets = TRY(chosen(invocation, *workspace));
    auto& output = invocation.output;
    int code = kDone;
    std::set<std::string> written, told;
    std::size_t repeated = 0;
    for (auto const& dataset : datasets) {
        auto targets = TRY(workspace->targets(dataset));
        for (auto const& repository : targets) {
            auto done = back_up(*workspace, dataset, repository, output.progress(dataset.name),
                                warn_to(output), invocation.stop);
            output.end_progress();
            if (!done) {
                if (datasets.size() * targets.size() == 1 || done.error().kind == ErrorKind::cancelled) {
                    return fail(std::move(done.error()));
                }
                // A repository that does not answer is told once, not for each dataset.
                if (told.insert(done.error().message).second) output.error(done.error());
                else ++repeated;
                auto failed = exit_code(done.error().kind);
                if (code == kDone || code == kPartial) code = failed;
                continue;
            }
            show(output, *done);
            alarm(*workspace, output, *done, invocation.stop);
            written.insert(repository);
            if (code == kDone) code = code_of(*done);
        }
    }
    if (repeated > 0) output.warning(fmt::format("the same kept {} more from being backed up", repeated));
    for (auto const& repository : written) {
        if (auto kept = store_self(*workspace, repository, invocation.stop); !kept) {
            output.warning("plan and catalog could not be stored for `rescue`: " + kept.error().message);
        }
    }
    return code;
}

}  // namespace

Command backup_command() {
    return {.name = "backup",
            .summary = "make a recovery point of each dataset",
            .details =
                "Without DATASET: of every dataset of the plan. Without a plan: files:/path, models:/path or "
                "postgres:CONNINFO with --repo. Things that can't be read are named, the rest is kept, and the "
                "exit code is 3; a file that is damaged already is kept and named, exit code 7. So is a point whose "
                "changes look like an attack: it is marked suspect, and the points before it are held.",
            .arguments = {{"DATASET", "names of the plan, or ad hoc datasets", true, true}},
            .options = {{.flag = "--exclude", .value = "PATTERN",
                         .help = "leave out what matches: names, or whole paths where it holds a '/'", .many = true},
                        {.flag = "--parity", .value = "PERCENT",
                         .help = "what new packs carry to mend themselves: off, 1% to 25% (5%, or what the plan says)"},
                        {.flag = "--name", .value = "NAME", .help = "call the dataset so"}},
            .run = run_backup};
}

}  // namespace holdfast::cli
