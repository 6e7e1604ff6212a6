#include "drill/proof.h"

#include <algorithm>
#include <iterator>
#include <map>

#include <fmt/format.h>

#include "base/text.h"
#include "datasets/point_reference.h"
#include "drill/isolated_runbook.h"
#include "os/machine.h"

namespace holdfast::drill {
namespace {

// The application's own checks passed: more than that the bytes are those of the point.
bool is_validated(Evidence const& evidence, DatasetEvidence const& dataset) {
    bool checked = false;
    for (auto const& check : evidence.checks) {
        if (check.dataset != dataset.dataset) continue;
        if (check.verdict != CheckVerdict::passed) return false;
        checked = true;
    }
    return checked && dataset.verified;
}

Result<void> note(Workspace& workspace, Evidence const& evidence) {
    auto* catalog = TRY(workspace.catalog());
    for (auto const& dataset : evidence.datasets) {
        if (!is_validated(evidence, dataset)) continue;
        auto const* repository = TRY(workspace.repository(dataset.repository, Role::reader, {}));
        auto const reached =
            catalog->reach(repository->id().hex(), dataset.point, catalog::Rung::validated, evidence.run);
        // A point that this catalog never saw has no ladder.
        if (!reached && reached.error().kind != ErrorKind::not_found) return reached;
    }
    std::optional<Duration> from_outage, from_declaration;
    for (auto const& service : evidence.services) {
        if (service.rto_from_outage) from_outage = std::max(from_outage.value_or(Duration(0)), *service.rto_from_outage);
        if (service.rto_from_declaration) {
            from_declaration = std::max(from_declaration.value_or(Duration(0)), *service.rto_from_declaration);
        }
    }
    TRY(catalog->note_drill({.run = evidence.run,
                             .name = evidence.name,
                             .started = evidence.started,
                             .ended = evidence.ended,
                             .passed = evidence.proven,
                             .rpo = worst_loss(evidence),
                             .rto_from_outage = from_outage,
                             .rto_from_declaration = from_declaration}));
    return catalog->note_measure(std::string(to_text(evidence.kind)), evidence.name,
                                 evidence.ended - evidence.started);
}

}  // namespace

Evidence begin_evidence(Workspace& workspace, Plan const& plan) {
    Evidence evidence;
    evidence.plan_name = plan.name;
    evidence.plan_file = plan.file;
    evidence.plan_sha256 = to_hex(sha256(as_bytes(workspace.plan_text())));
    evidence.tool_version = HOLDFAST_VERSION;
    evidence.host = host_name();
    evidence.system = system_name();
    evidence.started = evidence.ended = evidence.outage = evidence.declared = workspace.clock().now();
    return evidence;
}

Result<Repository*> find_signer(Workspace& workspace, std::stop_token stop) {
    std::optional<Error> first;
    for (auto const& name : workspace.repositories()) {
        auto repository = workspace.repository(name, Role::reader, stop);
        if (repository) return repository;
        if (!first) first = repository.error();
    }
    if (first) return fail(std::move(*first));
    return fail(ErrorKind::usage, "the plan names no repository");
}

ChosenPoints choose_points(Workspace& workspace, plan::Runbook const& runbook,
                           std::map<std::string, std::string> const& parameters, std::stop_token stop) {
    ChosenPoints chosen;
    chosen.points.members();
    std::map<std::string, std::uint64_t> bytes;
    for (auto const& step : runbook.steps) {
        if (!is_restore(step.kind) && step.kind != "verify") continue;
        auto const dataset = dataset_of(step, runbook, parameters);
        if (dataset.empty()) continue;
        if (!chosen.points.find(dataset)) {
            auto const point = find_point(workspace, dataset + "@latest", {}, stop);
            if (!point) continue;
            chosen.points.set(dataset, point->info.id.hex());
            bytes[dataset] = point->info.point.bytes;
            auto warnings = stand_in_warnings(*point);
            std::ranges::move(warnings, std::back_inserter(chosen.warnings));
        }
        if (is_restore(step.kind)) chosen.restored_bytes += bytes[dataset];
    }
    return chosen;
}

Result<SavedEvidence> save_proof(Workspace& workspace, Repository& signer, Evidence& evidence,
                                 std::vector<Reason> const& extra, Warn const& warn) {
    conclude(evidence, extra);
    auto catalog = workspace.catalog();
    auto const& keys = signer.keys();
    auto const tell = [&](std::string const& text) {
        if (warn) warn(text);
    };
    auto saved = TRY(save_evidence(evidence, {.state = workspace.state(),
                                              .key = keys.sign,
                                              .bundle = keys.id.hex(),
                                              .label = keys.label,
                                              .catalog = catalog ? *catalog : nullptr,
                                              .warn = tell}));
    if (auto const noted = note(workspace, evidence); !noted) {
        tell("the catalog does not know of this " + std::string(to_text(evidence.kind)) + ": " +
             noted.error().message);
    }
    return saved;
}

std::optional<Duration> worst_loss(Evidence const& evidence) {
    std::optional<Duration> worst;
    for (auto const& dataset : evidence.datasets) {
        if (!dataset.rpo_achieved) return std::nullopt;
        worst = std::max(worst.value_or(Duration(0)), *dataset.rpo_achieved);
    }
    return worst;
}

}  // namespace holdfast::drill
