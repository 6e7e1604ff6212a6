#include "cli/restore_tensors.h"

#include <array>
#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"
#include "cli/exit_code.h"
#include "cli/json.h"
#include "cli/workspace_options.h"
#include "datasets/restore_tensors.h"

namespace holdfast::cli {
namespace {

Result<TensorForm> form_of(Invocation const& invocation) {
    auto form = invocation.value("as").value_or("safetensors");
    if (form == "safetensors") return TensorForm::safetensors;
    if (form == "npy") return TensorForm::npy;
    return fail(ErrorKind::usage, fmt::format("--as: '{}' is not a form of tensors", printable(form)), "safetensors or npy");
}

Result<RestoreTensorsOptions> tensor_options(Invocation const& invocation, std::string path) {
    static constexpr std::array kOthers = {"in-place", "delete", "no-owner", "special-bits", "timeline", "tablespace", "into"};
    for (auto const* other : kOthers) {
        if (invocation.has(other)) return fail(ErrorKind::usage, fmt::format("--{} does not go with --tensor", other));
    }
    if (path.empty()) {
        return fail(ErrorKind::usage, "no model file is named", "write it behind the point and a colon: POINT:PATH");
    }
    auto target = invocation.argument("TARGET");
    if (target.empty()) return fail(ErrorKind::usage, "say where to: TARGET, a directory");
    auto form = TRY(form_of(invocation));
    return RestoreTensorsOptions{.path = std::move(path),
                                 .tensors = invocation.all("tensor"),
                                 .form = form,
                                 .target = std::move(target),
                                 .skip_damaged = invocation.has("skip-damaged"),
                                 .dry_run = invocation.has("dry-run")};
}

int show_tensors(Output& output, PointReference const& point, RestoreTensorsOptions const& options, RestoredTensors const& restored) {
    bool damaged = false;
    auto findings = nlohmann::json::array(), tensors = nlohmann::json::array(), files = nlohmann::json::array();
    for (auto const& finding : restored.findings) {
        findings.push_back(to_json(finding));
        damaged = damaged || finding.verdict == Finding::Verdict::damaged;
        auto text = fmt::format("{}: {}: {}", printable(finding.object), name(finding.verdict), finding.detail);
        finding.verdict == Finding::Verdict::verified ? output.detail(text) : output.warning(text);
    }
    for (auto const& tensor : restored.tensors) {
        tensors.push_back({{"name", printable(tensor.name)}, {"dtype", tensor.dtype}, {"shape", tensor.shape}});
        output.detail(fmt::format("{} {} [{}]", printable(tensor.name), tensor.dtype, fmt::join(tensor.shape, ", ")));
    }
    std::uint64_t bytes = 0;
    for (auto const& file : restored.files) {
        bytes += file.bytes;
        files.push_back({{"file", printable((options.target / file.name).native())}, {"bytes", file.bytes}});
    }
    auto const& first = restored.files.front();
    auto where = restored.files.size() == 1 ? (options.target / first.name).native() : options.target.native();
    output.line(fmt::format("{} {} tensors of {}:{} ({}) → {}: {}, in {}", options.dry_run ? "would restore" : "restored",
                            restored.tensors.size(), printable(point.info.point.dataset), printable(options.path),
                            point.info.id.brief(), printable(where), format_bytes(bytes), format_duration(restored.took)));
    output.document(nlohmann::json{{"event", "restored"},
                                   {"point", point.info.id.hex()},
                                   {"dataset", printable(point.info.point.dataset)},
                                   {"path", printable(options.path)},
                                   {"target", printable(options.target.native())},
                                   {"dry_run", options.dry_run},
                                   {"files", std::move(files)},
                                   {"tensors", std::move(tensors)},
                                   {"findings", std::move(findings)},
                                   {"seconds", std::chrono::duration<double>(restored.took).count()}}
                        .dump());
    return damaged ? kCheckFailed : kDone;
}

}  // namespace

Result<int> run_restore_tensors(Invocation& invocation, Workspace& workspace, PointReference const& point, std::string path) {
    auto options = TRY(tensor_options(invocation, std::move(path)));
    auto& output = invocation.output;
    warn_of_stand_in(point, warn_to(output));
    auto restored = TRY(restore_tensors(workspace, point, options, output.progress("restore"), warn_to(output), invocation.stop));
    output.end_progress();
    return show_tensors(output, point, options, restored);
}

}  // namespace holdfast::cli
