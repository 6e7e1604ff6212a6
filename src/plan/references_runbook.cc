#include <algorithm>

#include "plan/placeholder.h"
#include "plan/reference_checker.h"
#include "plan/references.h"
#include "plan/step_kinds.h"

namespace holdfast::plan {
namespace {

// The kind of dataset that a step kind is made for; the others take any.
std::optional<DatasetKind> dataset_kind(std::string_view step_kind) {
    if (step_kind.starts_with("postgres."))
        return DatasetKind::postgres;
    if (step_kind.starts_with("models."))
        return DatasetKind::models;
    if (step_kind.starts_with("files."))
        return DatasetKind::files;
    if (step_kind.starts_with("kubernetes."))
        return DatasetKind::kubernetes;
    if (step_kind.starts_with("hardware."))
        return DatasetKind::hardware;
    return std::nullopt;
}

class RunbookChecker {
  public:
    RunbookChecker(ReferenceChecker& check, Runbook const& runbook)
        : check_(check), runbook_(runbook) {
        for (auto const& step : runbook.steps)
            after_[step.name] = step.after;
    }

    void run() {
        auto path = "runbooks/" + runbook_.name + "/steps";
        if (runbook_.steps.empty())
            check_.fault(path, "has no steps");
        check_.no_circle(path, after_, "wait for each other");
        for (auto const& step : runbook_.steps)
            check_step(path + "/" + step.name, step);
        for (auto const& parameter : runbook_.parameters) {
            if (used_.contains(parameter.name))
                continue;
            check_.warn(fmt::format("runbooks/{}/parameters/{}", runbook_.name, parameter.name),
                        "no step uses it",
                        fmt::format("write ${{{}}} in a step, or take it out", parameter.name));
        }
    }

  private:
    void check_step(std::string const& path, Step const& step) {
        earlier_ = reachable(after_, step.name);
        check_.names(path + "/after", step.after, "step", names_of(runbook_.steps));
        if (step.approve) {
            check_.names(path + "/approve/teams", step.approve->teams, "team",
                         names_of(check_.plan.teams));
            if (step.approve->teams.empty())
                check_.fault(path + "/approve", "names no team");
        }
        if (!step.when.empty()) {
            auto condition = parse_condition(step.when);
            if (!condition)
                check_.fault(path + "/when", condition.error().message, condition.error().hint);
            check_placeholders(path + "/when", step.when);
        }
        if (step.kind.empty())
            return;
        auto kind_path = path + "/" + step.kind;
        check_texts(kind_path, step.arguments);
        for (auto const& argument : find_step_kind(step.kind)->arguments) {
            auto const* value = step.arguments.find(argument.name);
            if (value)
                check_argument(fmt::format("{}/{}", kind_path, argument.name), step, argument,
                               *value);
        }
        check_combination(kind_path, step);
    }

    void check_texts(std::string const& path, Value const& value) {
        if (auto const* text = value.text())
            check_placeholders(path, *text);
        for (std::size_t i = 0; i < value.items().size(); ++i) {
            check_texts(fmt::format("{}/{}", path, i), value.items()[i]);
        }
        for (auto const& member : value.members())
            check_texts(path + "/" + member.name, member.value);
    }

    void check_placeholders(std::string const& path, std::string const& text) {
        auto found = placeholders(text);
        if (!found)
            return check_.fault(path, found.error().message, found.error().hint);
        for (auto const& placeholder : *found) {
            if (placeholder.output.empty()) {
                used_.insert(placeholder.name);
                check_.name(path, placeholder.name, "parameter", names_of(runbook_.parameters));
            } else {
                check_earlier(path, placeholder.name);
                check_output(path, placeholder);
            }
        }
    }

    void check_output(std::string const& path, Placeholder const& placeholder) {
        auto const* step = runbook_.steps.find(placeholder.name);
        auto const* kind = step ? find_step_kind(step->kind) : nullptr;
        if (kind == nullptr || kind->outputs.empty())
            return;
        std::vector<std::string> known(kind->outputs.begin(), kind->outputs.end());
        if (std::find(known.begin(), known.end(), placeholder.output) != known.end())
            return;
        check_.fault(path, fmt::format("'{}' leaves no '{}'", placeholder.name, placeholder.output),
                     did_you_mean(placeholder.output, known,
                                  fmt::format("{} leaves {}", kind->name, join(known, ", "))));
    }

    void check_earlier(std::string const& path, std::string const& step) {
        check_.name(path, step, "step", names_of(runbook_.steps));
        if (runbook_.steps.contains(step) && !earlier_.contains(step)) {
            check_.fault(path, fmt::format("'{}' may not have run before this step", step),
                         "add it to `after`");
        }
    }

    void check_argument(std::string const& path, Step const& step, Argument const& argument,
                        Value const& value) {
        auto text = value.scalar();
        if (text.find("${") != std::string::npos)
            return;  // known only when it runs
        switch (argument.type) {
            case ArgumentType::dataset:
                return check_dataset(path, step, text);
            case ArgumentType::service:
                return check_.name(path, text, "service", names_of(check_.plan.services));
            case ArgumentType::step:
                return check_earlier(path, text);
            case ArgumentType::people: {
                auto anybody = names_of(check_.plan.people);
                auto teams = names_of(check_.plan.teams);
                anybody.insert(anybody.end(), teams.begin(), teams.end());
                return check_.names(path, value.texts(), "person or team", anybody);
            }
            default:
                if (argument.name == "repository") {
                    check_.name(path, text, "repository", names_of(check_.plan.repositories));
                }
        }
    }

    void check_dataset(std::string const& path, Step const& step, std::string const& name) {
        check_.name(path, name, "dataset", names_of(check_.plan.datasets));
        auto const* dataset = check_.plan.datasets.find(name);
        auto kind = dataset_kind(step.kind);
        if (dataset && kind && dataset->kind != *kind) {
            check_.fault(path,
                         fmt::format("{} is for datasets of kind {}, and '{}' is of kind {}",
                                     step.kind, to_text(*kind), name, to_text(dataset->kind)),
                         "the kind `restore` takes every dataset");
        }
    }

    // What the arguments of a kind need of each other.
    void check_combination(std::string const& path, Step const& step) {
        auto given = [&](std::string_view name) { return step.arguments.find(name) != nullptr; };
        if (step.kind == "sql.check") {
            if (given("on") == given("connect"))
                check_.fault(path, "needs either 'on' or 'connect'");
            if (!given("expect") && !given("fresh_within")) {
                check_.fault(path, "expects nothing",
                             "say what the answer must be: expect or fresh_within");
            }
        }
        if (step.kind == "verify" && given("dataset") == given("point")) {
            check_.fault(path, "needs either 'dataset' or 'point'");
        }
        if (step.kind == "command" && given("argv") &&
            step.arguments.find("argv")->texts().empty()) {
            check_.fault(path + "/argv", "names no program");
        }
    }

    ReferenceChecker& check_;
    Runbook const& runbook_;
    Edges after_;
    std::set<std::string> earlier_;  // the steps that have run before the one that is checked
    std::set<std::string> used_;     // parameters
};

void check_drill_parameters(ReferenceChecker& check, Drill const& drill) {
    auto path = "drills/" + drill.name;
    std::vector<std::string> known;
    for (auto const& name : drill.run) {
        auto const* runbook = check.plan.runbooks.find(name);
        if (runbook == nullptr)
            continue;
        for (auto const& parameter : runbook->parameters) {
            known.push_back(parameter.name);
            if (!parameter.fallback && !drill.parameters.contains(parameter.name)) {
                check.fault(
                    path, fmt::format("runbook '{}' needs a value for '{}'", name, parameter.name),
                    fmt::format("add parameters: {{ {}: ... }}", parameter.name));
            }
        }
    }
    for (auto const& setting : drill.parameters) {
        check.name(path + "/parameters/" + setting.name, setting.name, "parameter of its runbooks",
                   known);
    }
}

void check_drill_check(ReferenceChecker& check, std::string const& path, Check const& item) {
    check.name(path + "/dataset", item.dataset, "dataset", names_of(check.plan.datasets));
    check.name(path + "/service", item.service, "service", names_of(check.plan.services));
    if (item.query.empty()) {
        if (item.dataset.empty() && item.service.empty()) {
            check.fault(path, "checks nothing", "name a query, a dataset or a service");
        }
        if (!item.expect.empty() || item.fresh_within || !item.database.empty()) {
            check.fault(path, "has an expectation, but no query");
        }
        return;
    }
    if (item.expect.empty() && !item.fresh_within) {
        check.fault(path, "expects nothing", "say what the answer must be: expect or fresh_within");
    }
    if (item.dataset.empty()) {
        auto databases = std::count_if(
            check.plan.datasets.begin(), check.plan.datasets.end(),
            [](Dataset const& dataset) { return dataset.kind == DatasetKind::postgres; });
        if (databases != 1) {
            check.fault(path, fmt::format("the plan has {} datasets of kind postgres", databases),
                        "say which one is asked: dataset");
        }
    } else if (auto const* dataset = check.plan.datasets.find(item.dataset);
               dataset && dataset->kind != DatasetKind::postgres) {
        check.fault(path + "/dataset", "only a dataset of kind postgres answers a query");
    }
}

}  // namespace

void check_runbooks(Plan const& plan, Positions const& positions, FaultSink& faults) {
    ReferenceChecker check(plan, positions, faults);
    for (auto const& runbook : plan.runbooks)
        RunbookChecker(check, runbook).run();
    for (auto const& drill : plan.drills) {
        auto path = "drills/" + drill.name;
        check.names(path + "/run", drill.run, "runbook", names_of(plan.runbooks));
        if (drill.run.empty())
            check.fault(path + "/run", "runs nothing");
        check_drill_parameters(check, drill);
        for (std::size_t i = 0; i < drill.checks.size(); ++i) {
            check_drill_check(check, fmt::format("{}/checks/{}", path, i), drill.checks[i]);
        }
    }
}

}  // namespace holdfast::plan
