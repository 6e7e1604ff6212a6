#include "cli/operator.h"

#include <cstdlib>
#include <fmt/format.h>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "base/units.h"
#include "cli/exit_code.h"
#include "cli/output.h"
#include "os/terminal.h"

namespace holdfast::cli {
namespace {

using runbook::StepState;

std::string span(std::optional<Duration> duration) { return duration ? format_duration(*duration) : "-"; }

nlohmann::json milliseconds(std::optional<Duration> duration) {
    if (!duration) return nullptr;
    return std::chrono::duration_cast<std::chrono::milliseconds>(*duration).count();
}

Style style_of(StepState state) {
    switch (state) {
        case StepState::succeeded: return Style::good;
        case StepState::failed:
        case StepState::blocked: return Style::bad;
        case StepState::interrupted:
        case StepState::waiting: return Style::warning;
        default: return Style::plain;
    }
}

std::string choices_of(runbook::Question const& question) {
    std::vector<std::string> names;
    for (auto choice : question.choices) names.emplace_back(runbook::to_text(choice));
    return join(names, ", ");
}

}  // namespace

void RunView::began(runbook::RunState const& run) {
    output_.line(fmt::format("run {}: {} ({} steps)", run.run, run.runbook.name, run.steps.size()));
    output_.document(nlohmann::json{{"event", "run"}, {"run", run.run}, {"runbook", run.runbook.name}}.dump());
}

void RunView::changed(runbook::StepStatus const& step) {
    auto known = shown_.find(step.name);
    if (known != shown_.end() && known->second == step.state) return;
    shown_[step.name] = step.state;
    if (bar_step_ == step.name) output_.end_progress();
    auto text = fmt::format("{:<12} {}", runbook::to_text(step.state), step.name);
    if (step.state == StepState::succeeded && step.started && step.ended) {
        text += fmt::format("  ({})", format_duration(*step.ended - *step.started));
    }
    if (!step.summary.empty()) text += "  " + step.summary;
    if (step.error && step.state != StepState::succeeded) text += "  " + step.error->message;
    if (!step.reason.empty()) text += "  " + step.reason;
    output_.line(output_.styled(style_of(step.state), text));
    output_.document(nlohmann::json{{"event", "step"},
                                    {"step", step.name},
                                    {"kind", step.kind},
                                    {"state", runbook::to_text(step.state)},
                                    {"summary", printable(step.summary)},
                                    {"error", step.error ? printable(step.error->message) : ""}}
                         .dump());
}

void RunView::progress(std::string const& step, runbook::StepProgress const& progress) {
    if (bar_step_ != step) {
        bar_ = output_.progress(step);
        bar_step_ = step;
    }
    Progress shown{.what = progress.what, .current = ""};
    (progress.bytes ? shown.bytes : shown.files) = progress.done;
    (progress.bytes ? shown.bytes_total : shown.files_total) = progress.total;
    bar_(shown);
}

void RunView::line(std::string const& step, std::string_view text) {
    output_.detail(fmt::format("{}: {}", step, text));
}

namespace {
// The terminal may be gone: not by fmt::print, which throws.
}  // namespace

runbook::Decide ask_on_terminal(Output& output) {
    if (!is_terminal(0) || !is_terminal(2)) return {};
    return [&output](runbook::Question const& question, std::stop_token stop) -> std::optional<runbook::Decision> {
        output.end_progress();
        print_error(fmt::format("\n{} ({}): {}\n", question.step, runbook::to_text(question.about), question.text));
        if (!question.error.empty()) print_error(fmt::format("  it failed: {}\n", question.error));
        for (auto const& effect : question.effects.members()) {
            print_error(fmt::format("  it announced {}: {}\n", effect.name, effect.value.scalar()));
        }
        while (!stop.stop_requested()) {
            print_error(fmt::format("{}? ", choices_of(question)));
            std::string answer;
            if (!std::getline(std::cin, answer)) return std::nullopt;
            auto choice = runbook::parse_choice(answer);
            if (choice && question.allows(*choice)) return runbook::Decision{.choice = *choice};
        }
        return std::nullopt;
    };
}

int show_evidence(Output& output, drill::Evidence const& evidence, drill::SavedEvidence const& saved) {
    Table table({"dataset", "point", "RPO objective", "achieved", "verified"});
    auto datasets = nlohmann::json::array();
    for (auto const& dataset : evidence.datasets) {
        table.row({dataset.dataset, dataset.point.substr(0, 8), span(dataset.rpo_objective),
                   span(dataset.rpo_achieved),
                   dataset.verified ? output.styled(Style::good, "yes") : output.styled(Style::bad, "NO: " + dataset.reason)});
        datasets.push_back({{"dataset", dataset.dataset},
                            {"point", dataset.point},
                            {"verified", dataset.verified},
                            {"rpo_objective_ms", milliseconds(dataset.rpo_objective)},
                            {"rpo_achieved_ms", milliseconds(dataset.rpo_achieved)}});
    }
    // Without what a service also needs, its times are only a lower bound.
    Table services({"service", "RTO objective", "from outage", "from declaration", "still missing"});
    for (auto const& service : evidence.services) {
        services.row({service.service, span(service.rto_objective), span(service.rto_from_outage),
                      span(service.rto_from_declaration), service.missing.empty() ? "-" : join(service.missing, ", ")});
    }
    if (!evidence.datasets.empty()) output.line(table.text());
    if (!evidence.services.empty()) output.line(services.text());
    for (auto const& reason : evidence.reasons) output.line(output.styled(Style::bad, "not proven: " + reason.text));
    output.line(output.styled(evidence.proven ? Style::good : Style::bad, evidence.proven ? "proven" : "not proven") +
                ", evidence: " + printable(saved.evidence_file.native()));
    output.line("report: " + printable(saved.report_file.native()));
    output.document(nlohmann::json{{"event", evidence.kind == drill::EvidenceKind::drill ? "drilled" : "recovered"},
                                   {"run", evidence.run},
                                   {"proven", evidence.proven},
                                   {"datasets", datasets},
                                   {"evidence", printable(saved.evidence_file.native())},
                                   {"report", printable(saved.report_file.native())}}
                        .dump());
    auto failure = drill::failure_of(evidence);
    return failure ? exit_code(failure->kind) : kDone;
}

Result<int> show_outcome(Output& output, drill::RecoveryOutcome const& outcome) {
    auto const& report = outcome.report;
    auto questions = nlohmann::json::array();
    for (auto const& question : report.questions) {
        questions.push_back({{"step", question.step},
                             {"about", runbook::to_text(question.about)},
                             {"text", printable(question.text)},
                             {"choices", choices_of(question)}});
        output.line(fmt::format("{} waits for a decision: {}", question.step, question.text));
        output.line(fmt::format("  holdfast resume {} --decide {}=CHOICE   ({})", report.state.run, question.step,
                                choices_of(question)));
    }
    if (outcome.evidence) {
        auto code = show_evidence(output, *outcome.evidence, outcome.saved);
        return report.error && code == kDone ? exit_code(report.error->kind) : code;
    }
    output.document(nlohmann::json{{"event", "waiting"}, {"run", report.state.run}, {"questions", questions}}.dump());
    if (!report.stuck.empty()) {
        output.warning("steps did not stop in time: " + join(report.stuck, ", "));
        // Their threads still run: nothing that they use may be destroyed.
        std::_Exit(kCancelled);
    }
    if (report.error && report.error->kind == ErrorKind::cancelled) {
        return fail(ErrorKind::cancelled, fmt::format("run {} was stopped", report.state.run),
                    "holdfast resume " + report.state.run);
    }
    if (report.error) return fail(Error(*report.error));
    return kPartial;
}

Result<std::map<std::string, std::string>> settings(Invocation const& invocation, std::string_view option) {
    std::map<std::string, std::string> map;
    for (auto const& text : invocation.all(option)) {
        auto equals = text.find('=');
        if (equals == std::string::npos || equals == 0) {
            return fail(ErrorKind::usage, fmt::format("--{}: '{}' is not {}", option, printable(text),
                                                         option == "decide" ? "STEP=CHOICE" : "NAME=VALUE"));
        }
        map[text.substr(0, equals)] = text.substr(equals + 1);
    }
    return map;
}

}  // namespace holdfast::cli
