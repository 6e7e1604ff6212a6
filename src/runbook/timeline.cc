#include "runbook/timeline.h"

#include <algorithm>
#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"

namespace holdfast::runbook {
namespace {

namespace fs = std::filesystem;

std::string nested(Value const& details, std::string_view outer, std::string_view inner) {
    auto const* found = details.find(outer);
    return found ? found->member_text(inner) : std::string();
}

std::string text_of(Record const& record) {
    auto const& details = record.details;
    auto with = [](std::string text, std::string const& more) {
        return more.empty() ? text : text + ": " + more;
    };
    auto error = nested(details, "error", "message");
    switch (record.event) {
        case Event::begun:
            return fmt::format("began by {} on {}", details.member_text("user"),
                               details.member_text("host"));
        case Event::resumed:
            return fmt::format("resumed by {} on {}", details.member_text("user"),
                               details.member_text("host"));
        case Event::started:
            return fmt::format("began, attempt {}", details.member_text("attempt"));
        case Event::effect: {
            auto const* value = details.find("value");
            auto text = value && value->is_scalar() ? value->scalar()
                                                    : plan::to_json(value ? *value : Value());
            return fmt::format("{} = {}", details.member_text("name"), text);
        }
        case Event::failed:
            return with("failed, will be tried again", error);
        case Event::ended:
            return with(details.member_text("outcome"),
                        error.empty() ? details.member_text("summary") : error);
        case Event::skipped:
            return with("skipped", details.member_text("reason"));
        case Event::blocked:
            return with("blocked", details.member_text("reason"));
        case Event::waiting:
            return with("asks", details.member_text("text"));
        case Event::decided:
            return with(
                fmt::format("{} by {}", details.member_text("choice"), details.member_text("by")),
                details.member_text("note"));
        case Event::stuck:
            return with("does not stop", details.member_text("reason"));
        case Event::finished:
            return with(details.member_text("outcome"), error);
    }
    return {};
}

RunSummary summarize(fs::path const& directory, std::string const& run, RunState const& state) {
    RunSummary summary;
    summary.run = run;
    summary.runbook = state.runbook.name;
    summary.begun = state.begun;
    summary.ended = state.ended;
    summary.outcome = state.outcome;
    summary.error = state.error;
    summary.steps = state.steps.size();
    for (auto const& step : state.steps)
        summary.settled += step.settled() ? 1 : 0;
    bool at_work = run_is_locked(directory, run);
    if (at_work)
        summary.outcome = RunOutcome::running;
    if (!at_work && state.outcome == RunOutcome::running) {
        summary.outcome = RunOutcome::interrupted;
        summary.error = Error{ErrorKind::cancelled, "its process ended without a word", {}};
    }
    summary.resumable = !at_work && summary.outcome != RunOutcome::done;
    return summary;
}

}  // namespace

Result<Timeline> read_timeline(fs::path const& state, std::string const& run) {
    auto records = TRY(read_journal(state, run));
    Timeline timeline;
    timeline.state = TRY(replay(run, records));
    timeline.at_work = run_is_locked(state, run);
    for (auto& record : records) {
        auto text = text_of(record);
        timeline.entries.push_back({record.sequence, record.time, record.event,
                                    std::move(record.step), std::move(text),
                                    std::move(record.details)});
    }
    return timeline;
}

Result<std::vector<RunSummary>> list_runs(fs::path const& state) {
    std::vector<RunSummary> runs;
    std::error_code error;
    fs::directory_iterator entries(state / "runs", error), end;
    if (error == std::errc::no_such_file_or_directory)
        return runs;
    for (; !error && entries != end; entries.increment(error)) {
        auto run = entries->path().filename().string();
        if (!is_run_id(run))
            continue;
        auto records = read_journal(state, run);
        if (!records.has_value() && records.error().kind == ErrorKind::not_found)
            continue;
        auto replayed =
            records.has_value() ? replay(run, *records) : Result<RunState>(fail(records.error()));
        if (replayed.has_value()) {
            runs.push_back(summarize(state, run, *replayed));
        } else {
            RunSummary summary;
            summary.run = run;
            summary.outcome = RunOutcome::failed;
            summary.error = std::move(replayed).error();
            runs.push_back(std::move(summary));
        }
    }
    if (error)
        return fail(
            errno_error(fmt::format("list '{}'", (state / "runs").string()), error.value()));
    // Run ids begin with the time.
    std::sort(runs.begin(), runs.end(),
              [](RunSummary const& a, RunSummary const& b) { return a.run > b.run; });
    return runs;
}

Result<std::string> find_run(fs::path const& state, std::string const& text) {
    auto runs = TRY(list_runs(state));
    std::vector<std::string> found;
    for (auto const& run : runs) {
        if (run.run == text)
            return text;
        if (text.empty() ? run.resumable : run.run.starts_with(text))
            found.push_back(run.run);
    }
    if (found.empty()) {
        return fail(ErrorKind::not_found,
                    text.empty() ? "there is no run to resume"
                                 : fmt::format("no run '{}' in '{}'", text, state.string()));
    }
    if (found.size() > 1 && !text.empty()) {
        return fail(ErrorKind::usage, fmt::format("'{}' names several runs", text),
                    join(found, ", "));
    }
    return found.front();
}

}  // namespace holdfast::runbook
