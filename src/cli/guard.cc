#include "guard/guard.h"

#include <algorithm>
#include <fmt/format.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/json.h"
#include "cli/workspace_options.h"
#include "datasets/receive_log.h"
#include "guard/back_up_duty.h"
#include "guard/lock_duty.h"
#include "guard/log_duty.h"
#include "guard/objective_duty.h"
#include "guard/replicate_duty.h"
#include "guard/watch_duty.h"
#include "steps/alarm.h"
#include "steps/send_mail.h"

namespace holdfast::cli {
namespace {

constexpr Duration kObjectivesMax = std::chrono::minutes(5), kObjectivesMin = std::chrono::seconds(1);

std::string_view level_name(guard::Event::Level level) {
    switch (level) {
        case guard::Event::Level::info: return "info";
        case guard::Event::Level::concern: return "concern";
        case guard::Event::Level::error: return "error";
    }
    return "error";
}

void show(Output& output, Clock& clock, guard::Event const& event) {
    auto style = event.level == guard::Event::Level::info      ? Style::plain
                 : event.level == guard::Event::Level::concern ? Style::warning
                                                               : Style::bad;
    auto time = to_rfc3339(clock.now());
    output.line(fmt::format("{} {}: {}", time, event.duty, output.styled(style, event.text)));
    output.document(nlohmann::json{{"event", "guard"},
                                   {"time", time},
                                   {"level", level_name(event.level)},
                                   {"duty", event.duty},
                                   {"text", printable(event.text)}}
                        .dump());
}

// The shortest objective decides how often all of them are looked at.
Duration objectives_every(Plan const& plan) {
    auto every = kObjectivesMax;
    for (auto const& dataset : plan.datasets) {
        if (auto rpo = plan.rpo(dataset)) every = std::min(every, Duration(*rpo / 20));
    }
    return std::max(every, kObjectivesMin);
}

// What this version can keep of the plan; what it can't is said, not silently left out. A wrong key is told now and
// not at three in the morning; a repository that does not answer may do so later.
Result<std::vector<std::unique_ptr<guard::Duty>>> duties_of(Workspace& workspace, Invocation& invocation,
                                                            guard::BackUpTurn& turn, guard::StreamedLogs& logs,
                                                            guard::WantedPointsOf& wanted) {
    auto const* plan = TRY(workspace.plan());
    std::vector<std::unique_ptr<guard::Duty>> duties;
    for (auto const& dataset : plan->datasets) {
        auto every = plan->interval(dataset);
        bool capturable = dataset.kind == plan::DatasetKind::files || dataset.kind == plan::DatasetKind::models ||
                          dataset.kind == plan::DatasetKind::postgres;
        if (!capturable || !every) {
            invocation.output.warning(fmt::format("'{}' is not kept: {}", printable(dataset.name),
                                                  capturable ? "neither `every` nor an objective says how often"
                                                             : "this version cannot back it up"));
            continue;
        }
        bool streamed = dataset.wal == plan::WalMode::stream;
        if (streamed && invocation.has("once")) {
            invocation.output.warning(fmt::format("the log of '{}' is not streamed with --once", printable(dataset.name)));
            streamed = false;
        }
        bool watched = dataset.watch && dataset.kind == plan::DatasetKind::models && !invocation.has("once");
        if (dataset.watch && !watched) {
            invocation.output.warning(fmt::format("'{}' is not watched{}", printable(dataset.name),
                                                  invocation.has("once") ? " with --once" : ": this version watches models alone"));
        }
        guard::WantedPoints* wanted_points = nullptr;
        if (watched) {
            wanted_points = (wanted[dataset.name] = std::make_unique<guard::WantedPoints>()).get();
            duties.push_back(guard::make_watch_duty(workspace, dataset, *wanted_points));
        }
        for (auto const& repository : TRY(workspace.targets(dataset))) {
            auto opened = workspace.repository(repository, Role::writer, invocation.stop);
            if (!opened && opened.error().kind != ErrorKind::unreachable && opened.error().kind != ErrorKind::io)
                return fail(std::move(opened.error()));
            guard::StreamedLog* log = nullptr;
            if (streamed && repository == TRY(log_repository(workspace, dataset))) {
                log = (logs[dataset.name] = std::make_unique<guard::StreamedLog>()).get();
                duties.push_back(guard::make_log_duty(workspace, dataset, repository, *log));
            }
            duties.push_back(guard::make_back_up_duty(workspace, dataset, repository, *every, turn, log, wanted_points));
        }
    }
    for (auto const& repository : plan->repositories) {
        if (!repository.copy_of.empty()) duties.push_back(guard::make_replicate_duty(workspace, repository));
    }
    if (duties.empty()) return fail(ErrorKind::usage, "the plan has nothing that this version could keep");
    duties.push_back(guard::make_objective_duty(workspace, objectives_every(*plan), logs));
    if (std::ranges::any_of(plan->repositories, [](auto const& one) { return one.lock && one.copy_of.empty(); })) {
        duties.push_back(guard::make_lock_duty(workspace, objectives_every(*plan)));
    }
    return duties;
}

Result<guard::AlarmBook::Tell> teller(Plan const& plan, Invocation& invocation) {
    auto to = TRY(steps::alarm_recipients(plan).within("alarms"));
    if (to.empty() || !plan.notify.mail) {
        invocation.output.warning(fmt::format("nobody is told of alarms: the plan has no {}",
                                              to.empty() ? "people and no `notify.alarms`" : "`notify.mail`"));
        return guard::AlarmBook::Tell();
    }
    return guard::AlarmBook::Tell([&plan, to, stop = invocation.stop](guard::AlarmBook::Message const& message) {
        return steps::send_by_smtp(*plan.notify.mail, {to, message.subject, message.text}, stop);
    });
}

Result<int> run_guard(Invocation& invocation) {
    auto manager = ServiceManager::from_environment();
    auto workspace = TRY(open_workspace(invocation));
    auto const* plan = TRY(workspace->plan());
    auto& output = invocation.output;
    // The memory of earlier runs is no condition.
    if (auto catalog = workspace->catalog()) {
        for (auto const& id : (*catalog)->close_abandoned_runs().value_or(std::vector<std::string>()))
            output.warning("an earlier run was interrupted: " + id);
    }
    guard::BackUpTurn turn;
    guard::StreamedLogs logs;
    guard::WantedPointsOf wanted;
    auto tell = TRY(teller(*plan, invocation));
    auto duties = TRY(duties_of(*workspace, invocation, turn, logs, wanted));
    auto& clock = workspace->clock();
    auto kept = guard::keep(std::move(duties), clock, manager,
                            {.state = workspace->state(),
                             .plan = plan->name,
                             .log = [&](guard::Event const& event) { show(output, clock, event); },
                             .tell = std::move(tell),
                             .once = invocation.has("once")},
                            invocation.stop);
    if (!kept) return fail(std::move(kept.error()));
    return kDone;
}

}  // namespace

Command guard_command() {
    return {.name = "guard",
            .summary = "the daemon: makes points when they are due, streams logs, keeps copies up to date, raises alarms",
            .details =
                "Keeps the plan until it is stopped (SIGTERM, Ctrl-C): a point of each dataset as often as `every` or its "
                "objective asks, and of each with `watch: true` as soon as a checkpoint is all there, the log of each with `wal: stream`, each copy (`copy_of`) up to date, the age of the "
                "newest points against their objectives. What fails is tried again and told by mail to `notify.alarms`, "
                "once, and once more when it is over. What was missed while it was down is made up for at once. One guard "
                "for each state directory; another one ends with exit code 10. It needs its keys without a person: `key:` "
                "in the plan, --key or --password-file.",
            .arguments = {},
            .options = {{.flag = "--once", .help = "do what is due now, and end (for cron)"}},
            .run = run_guard};
}

}  // namespace holdfast::cli
