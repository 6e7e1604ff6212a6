#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/workspace_options.h"
#include "plan/example.h"
#include "plan/lint.h"
#include "plan/schema.h"

namespace holdfast::cli {
namespace {

Result<std::string> plan_file(Invocation& invocation) {
    auto options = TRY(workspace_options(invocation));
    if (!options.plan_file.empty()) return options.plan_file;
    return fail(ErrorKind::usage, "there is no plan here",
                "name it with --plan FILE, or write one: holdfast plan example > holdfast.yaml");
}

nlohmann::json fault_json(plan::Fault const& fault) {
    return {{"severity", fault.severity == plan::Severity::error ? "error" : "warning"},
            {"file", printable(fault.file)},
            {"line", fault.at.line},
            {"column", fault.at.column},
            {"message", printable(fault.message)},
            {"hint", printable(fault.hint)}};
}

Result<int> run_check(Invocation& invocation) {
    auto file = TRY(plan_file(invocation));
    auto loaded = TRY(plan::load(file));
    auto faults = loaded.faults;
    // Objectives are held against a plan that could be read as a whole: no faults that only follow from
    // other faults.
    if (loaded.ok()) {
        auto lint = plan::lint(loaded, {.now = system_clock().now()});
        faults.insert(faults.end(), lint.begin(), lint.end());
    }
    std::size_t errors = 0;
    auto list = nlohmann::json::array();
    for (auto const& fault : faults) {
        errors += fault.severity == plan::Severity::error ? 1 : 0;
        list.push_back(fault_json(fault));
    }
    auto& output = invocation.output;
    if (!faults.empty()) output.line(plan::render(faults));
    auto summary = fmt::format("{}: {} errors, {} warnings; {} datasets, {} services, {} runbooks, {} drills",
                               printable(file), errors, faults.size() - errors, loaded.plan.datasets.size(),
                               loaded.plan.services.size(), loaded.plan.runbooks.size(),
                               loaded.plan.drills.size());
    output.line(output.styled(errors == 0 ? Style::good : Style::bad, summary));
    output.document(nlohmann::json{{"ok", errors == 0}, {"faults", list}}.dump());
    return errors == 0 ? kDone : kUsage;
}

Result<int> run_show(Invocation& invocation) {
    auto file = TRY(plan_file(invocation));
    auto plan = TRY(plan::load_valid(file));
    auto json = plan::to_json(plan);
    invocation.output.document(nlohmann::ordered_json::parse(json).dump());
    invocation.output.line(json);
    return kDone;
}

Result<int> run_schema(Invocation& invocation) {
    TRY(invocation.output.raw(plan::schema() + "\n"));
    return kDone;
}

Result<int> run_example(Invocation& invocation) {
    TRY(invocation.output.raw(plan::example()));
    return kDone;
}

}  // namespace

Command plan_check_command() {
    return {.name = "plan check",
            .summary = "read the plan, name every fault, hold it against its own objectives",
            .details =
                "Reports all faults at once, each with file:line:column and a hint. Refuses (exit 2) what can't "
                "meet its objectives: a dataset or service without a tier, a schedule slower than its RPO, a "
                "dependency with a longer RTO. Warns of what is not covered.",
            .arguments = {},
            .options = {},
            .run = run_check};
}

Command plan_show_command() {
    return {.name = "plan show",
            .summary = "show the plan as it was understood, with its defaults",
            .details = "",
            .arguments = {},
            .options = {},
            .run = run_show};
}

Command plan_schema_command() {
    return {.name = "plan schema",
            .summary = "print the JSON Schema of plan files, for editors",
            .details = "",
            .arguments = {},
            .options = {},
            .run = run_schema};
}

Command plan_example_command() {
    return {.name = "plan example",
            .summary = "print a complete plan to start from",
            .details = "",
            .arguments = {},
            .options = {},
            .run = run_example};
}

}  // namespace holdfast::cli
