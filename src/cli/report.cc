#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/workspace_options.h"
#include "drill/evidence_file.h"

namespace holdfast::cli {
namespace {

Result<int> run_report(Invocation& invocation) {
    auto workspace = TRY(open_workspace(invocation));
    auto head = std::optional<std::string>();
    if (auto catalog = workspace->catalog()) {
        if (auto known = (*catalog)->evidence_head(); known && !known->empty()) head = *known;
    }
    auto chain = TRY(drill::verify_evidence_chain(workspace->state(), head));
    auto& output = invocation.output;
    Table table({"ended", "kind", "name", "result", "report"});
    auto list = nlohmann::json::array();
    for (auto const& item : chain.evidence) {
        auto const& evidence = item.evidence;
        auto report = item.file.parent_path() / "report.html";
        auto result = evidence.proven ? "proven" : "not proven";
        table.row({to_rfc3339(std::chrono::floor<std::chrono::seconds>(evidence.ended)),
                   std::string(drill::to_text(evidence.kind)), evidence.name,
                   output.styled(evidence.proven ? Style::good : Style::bad, result), printable(report.native())});
        list.push_back({{"ended", to_rfc3339(evidence.ended)},
                        {"kind", drill::to_text(evidence.kind)},
                        {"name", evidence.name},
                        {"run", evidence.run},
                        {"proven", evidence.proven},
                        {"evidence", printable(item.file.native())},
                        {"report", printable(report.native())},
                        {"sha256", item.sha256}});
    }
    output.line(chain.evidence.empty() ? "no evidence yet: holdfast drill makes some" : table.text());
    for (auto const& fault : chain.faults) output.line(output.styled(Style::bad, "fault: " + fault));
    for (auto const& note : chain.notes) output.line("note: " + note);
    output.document(nlohmann::json{{"evidence", list}, {"faults", chain.faults}, {"notes", chain.notes}}.dump());
    return chain.faults.empty() ? kDone : kCheckFailed;
}

}  // namespace

Command report_command() {
    return {.name = "report",
            .summary = "list the evidence of drills and recoveries, and check that none was changed or left out",
            .details = "Each evidence file is signed and names the one before it. Exit code 7 when a signature does not "
                       "fit, a file was changed, one is missing from the chain, or the journal of a recovery is not what it was.",
            .arguments = {},
            .options = {},
            .run = run_report};
}

}  // namespace holdfast::cli
