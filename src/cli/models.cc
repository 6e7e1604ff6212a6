// `models inspect`, `models diff`, `models scan`: model files of this machine, or of a point.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <cmath>
#include <filesystem>

#include "base/text.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/json.h"
#include "cli/look.h"
#include "cli/workspace_options.h"
#include "formats/tensor_values.h"
#include "os/file.h"
#include "sources/models/model_access.h"
#include "sources/models/model_file.h"

namespace holdfast::cli {
namespace {

// What the user named: a path of this machine where there is one, else a file of a point.
struct OpenedModel {
    Fd file;
    std::optional<OpenedPoint> point;
    std::unique_ptr<RandomAccess> access;
    ModelFile model;
};

bool is_here(std::string const& path) {
    struct stat status;
    return ::stat(path.c_str(), &status) == 0;
}

Result<OpenedModel> open_model(Invocation& invocation, std::string const& name, ReadModelOptions options) {
    OpenedModel opened;
    std::string path = name;
    if (is_here(name)) {
        opened.file = TRY(open_file(name, O_RDONLY | O_NONBLOCK));
        struct stat status;
        if (::fstat(opened.file.get(), &status) != 0) return fail(errno_error("stat '" + printable(name) + "'", errno));
        if (!S_ISREG(status.st_mode)) {
            return fail(ErrorKind::usage, fmt::format("'{}' is no file", printable(name)), "models scan looks through directories");
        }
        auto access = TRY(FileAccess::open(opened.file.get()));
        opened.access = std::make_unique<FileAccess>(std::move(access));
    } else {
        auto [point, below] = split_point_path(name);
        if (below.empty()) {
            return fail(ErrorKind::not_found, fmt::format("'{}' is no file here, and names no file of a point", printable(name)),
                        "POINT:PATH names a file of a point");
        }
        opened.point = TRY(open_point(invocation, name));
        path = opened.point->path;
        auto entry = TRY(opened.point->tree().find(path, invocation.stop));
        if (entry.type != EntryType::file) return fail(ErrorKind::usage, fmt::format("'{}' is no file", printable(name)));
        auto access = TRY(PointAccess::open(*opened.point->fetch, entry.content, invocation.stop));
        opened.access = std::make_unique<PointAccess>(std::move(access));
    }
    auto model = read_model(*opened.access, path, options);
    opened.model = TRY(std::move(model).within(fmt::format("'{}'", printable(name))));
    return opened;
}

Style style_of(Finding::Verdict verdict) {
    switch (verdict) {
        case Finding::Verdict::verified: return Style::good;
        case Finding::Verdict::not_verified: return Style::warning;
        case Finding::Verdict::damaged:
        case Finding::Verdict::suspicious: break;
    }
    return Style::bad;
}
int code_of(ModelVerdict verdict) {
    switch (verdict) {
        case ModelVerdict::verified: return kDone;
        case ModelVerdict::not_verified: return kPartial;
        case ModelVerdict::damaged:
        case ModelVerdict::suspicious: break;
    }
    return kCheckFailed;
}
int code_of(Finding::Verdict verdict) {
    if (verdict == Finding::Verdict::verified) return kDone;
    return verdict == Finding::Verdict::not_verified ? kPartial : kCheckFailed;
}

std::string shape_text(ModelTensor const& tensor) {
    std::vector<std::string> sizes;
    for (auto size : tensor.shape) sizes.push_back(std::to_string(size));
    return "[" + join(sizes, ", ") + "]";
}

// What is odd about the numbers: nothing is said of ordinary ones.
std::string oddities(TensorValues const& values) {
    std::vector<std::string> odd;
    if (values.nan > 0) odd.push_back(fmt::format("{} NaN", values.nan));
    if (values.infinite > 0) odd.push_back(fmt::format("{} infinite", values.infinite));
    if (values.count > 1 && values.zero == values.count) odd.push_back("all zero");
    else if (values.constant()) odd.push_back(fmt::format("all {:g}", values.low));
    return join(odd, ", ");
}

Result<int> run_inspect(Invocation& invocation) {
    auto name = invocation.argument("FILE");
    bool const quick = invocation.has("quick");
    auto opened = TRY(open_model(invocation, name, {.check_sums = !quick}));
    auto const& model = opened.model;
    auto& output = invocation.output;
    auto finding = finding_of(name, model);
    output.line(fmt::format("{}  {}  {}", printable(name), output.styled(style_of(finding.verdict), holdfast::name(finding.verdict)),
                            model.format));
    for (auto const& reason : model.reasons) output.line("  " + reason);
    for (auto const& warning : model.warnings) output.line("  " + output.styled(Style::warning, "warning") + " " + warning);
    Table table({"tensor", "type", "shape", "bytes", "norm", ""});
    table.align_right(3);
    auto tensors = nlohmann::json::array();
    for (auto const& tensor : model.tensors) {
        if (invocation.stop.stop_requested()) return fail(ErrorKind::cancelled, "stopped");
        nlohmann::json described{{"name", printable(tensor.name)}, {"dtype", tensor.dtype}, {"shape", tensor.shape},
                                 {"offset", tensor.offset}, {"bytes", tensor.bytes}};
        if (!tensor.strides.empty()) described["strides"] = tensor.strides;
        std::string norm, odd;
        if (!quick) {
            if (auto values = TRY(tensor_values(*opened.access, tensor))) {
                norm = fmt::format("{:.4g}", values->norm());
                odd = oddities(*values);
                described.update({{"norm", values->norm()}, {"nan", values->nan}, {"infinite", values->infinite}, {"zero", values->zero}});
            }
        }
        table.row({printable(tensor.name), tensor.dtype, shape_text(tensor), std::to_string(tensor.bytes), norm, odd});
        tensors.push_back(std::move(described));
    }
    if (!model.tensors.empty()) output.line(table.text());
    output.document(nlohmann::json{{"file", printable(name)}, {"format", model.format}, {"verdict", holdfast::name(finding.verdict)},
                                   {"reasons", model.reasons}, {"warnings", model.warnings}, {"tensors", std::move(tensors)}}
                        .dump());
    return code_of(model.verdict);
}

Result<int> run_models_diff(Invocation& invocation) {
    auto a = TRY(open_model(invocation, invocation.argument("A"), {}));
    auto b = TRY(open_model(invocation, invocation.argument("B"), {}));
    auto& output = invocation.output;
    std::map<std::string_view, ModelTensor const*> others;
    for (auto const& tensor : b.model.tensors) others.emplace(tensor.name, &tensor);
    std::uint64_t same = 0, different = 0;
    auto tell = [&](std::string_view change, ModelTensor const& tensor, std::string const& detail, std::optional<double> relative) {
        ++different;
        output.line(fmt::format("{:<8} {}  {}", change, printable(tensor.name), detail));
        nlohmann::json event{{"event", "difference"}, {"change", change}, {"tensor", printable(tensor.name)}, {"detail", detail}};
        if (relative && std::isfinite(*relative)) event["relative_norm"] = *relative;
        output.document(event.dump());
    };
    for (auto const& tensor : a.model.tensors) {
        if (invocation.stop.stop_requested()) return fail(ErrorKind::cancelled, "stopped");
        auto at = others.find(tensor.name);
        if (at == others.end()) {
            tell("removed", tensor, tensor.dtype + " " + shape_text(tensor), std::nullopt);
            continue;
        }
        auto const& other = *at->second;
        others.erase(at);
        auto distance = TRY(tensor_distance(*a.access, tensor, *b.access, other));
        if (!distance) {
            tell("changed", tensor, fmt::format("{} {} → {} {}", tensor.dtype, shape_text(tensor), other.dtype, shape_text(other)), std::nullopt);
        } else if (distance->same) {
            ++same;
        } else {
            tell("changed", tensor, fmt::format("by {:.3g} of its norm", distance->relative), distance->relative);
        }
    }
    for (auto const& tensor : b.model.tensors) {
        if (others.contains(tensor.name)) tell("added", tensor, tensor.dtype + " " + shape_text(tensor), std::nullopt);
    }
    output.line(fmt::format("{} the same, {} different", same, different));
    output.document(nlohmann::json{{"event", "end"}, {"same", same}, {"differences", different}}.dump());
    return different == 0 ? kDone : kCheckFailed;
}

// One line for each file that may hold weights, and what is said of all of them.
class Scan {
  public:
    explicit Scan(Invocation& invocation) : output_(invocation.output) {}

    void take(std::string const& name, Result<ModelFile> const& model) {
        auto finding = model ? finding_of(name, *model)
                             : Finding{.object = name, .verdict = Finding::Verdict::not_verified, .detail = model.error().message};
        output_.line(fmt::format("{}  {}  {}", output_.styled(style_of(finding.verdict), fmt::format("{:<12}", holdfast::name(finding.verdict))),
                                 printable(name), finding.detail));
        nlohmann::json event{{"event", "model"}, {"file", printable(name)}, {"verdict", holdfast::name(finding.verdict)}, {"detail", finding.detail}};
        if (model) event.update({{"format", model->format}, {"tensors", model->tensors.size()}, {"reasons", model->reasons}});
        output_.document(event.dump());
        ++counts_[finding.verdict];
        // What failed a check weighs more than what could not be checked.
        code_ = std::max(code_, code_of(finding.verdict));
    }
    int finish() {
        using enum Finding::Verdict;
        output_.line(fmt::format("{} verified, {} not verified, {} damaged, {} suspicious", counts_[verified], counts_[not_verified],
                                 counts_[damaged], counts_[suspicious]));
        output_.document(nlohmann::json{{"event", "end"}, {"verified", counts_[verified]}, {"not_verified", counts_[not_verified]},
                                        {"damaged", counts_[damaged]}, {"suspicious", counts_[suspicious]}}
                             .dump());
        return code_;
    }

  private:
    Output& output_;
    std::map<Finding::Verdict, std::uint64_t> counts_;
    int code_ = kDone;
};

Result<ModelFile> read_here(std::string const& path) {
    auto file = TRY(open_file(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW));
    auto access = TRY(FileAccess::open(file.get()));
    return read_model(access, path);
}

Result<void> scan_here(Invocation& invocation, std::string const& path, Scan& scan) {
    std::error_code error;
    if (!std::filesystem::is_directory(path, error)) {
        scan.take(path, read_here(path));
        return {};
    }
    auto options = std::filesystem::directory_options::skip_permission_denied;
    for (std::filesystem::recursive_directory_iterator at(path, options, error), end; !error && at != end; at.increment(error)) {
        if (invocation.stop.stop_requested()) return fail(ErrorKind::cancelled, "stopped");
        std::error_code ignored;
        if (at->is_symlink(ignored) || !at->is_regular_file(ignored) || !may_hold_weights(at->path().native())) continue;
        scan.take(at->path().native(), read_here(at->path().native()));
    }
    if (error) return fail(ErrorKind::io, fmt::format("walk '{}': {}", printable(path), error.message()));
    return {};
}

Result<void> scan_point(Invocation& invocation, std::string const& name, Scan& scan) {
    auto opened = TRY(open_point(invocation, name));
    auto tree = opened.tree();
    auto prefix = opened.path.empty() ? "" : opened.path + "/";
    auto visit = [&](std::string const& below, Entry const& entry) -> Result<bool> {
        if (entry.type != EntryType::file || !may_hold_weights(entry.name)) return true;
        auto path = below.empty() ? opened.path : prefix + below;
        auto access = PointAccess::open(*opened.fetch, entry.content, invocation.stop);
        scan.take(path, access ? read_model(*access, path) : Result<ModelFile>(fail(access.error())));
        return true;
    };
    auto hurt = [&](std::string const& path, Error const& error) -> Result<void> {
        scan.take(prefix + path, fail(error));
        return {};
    };
    return tree.walk(opened.path, visit, hurt, invocation.stop);
}

Result<int> run_scan(Invocation& invocation) {
    auto name = invocation.argument("PATH");
    Scan scan(invocation);
    if (is_here(name)) {
        TRY(scan_here(invocation, name, scan));
    } else {
        TRY(scan_point(invocation, name, scan));
    }
    return scan.finish();
}

}  // namespace

Command models_inspect_command() {
    return {.name = "models inspect",
            .summary = "what a model file holds, and whether it is whole",
            .details = "Nothing of the file is run. FILE is a file of this machine, or POINT:PATH. Exit code 0: verified, 3: not "
                       "verified, 7: damaged or suspicious (loading it would run what is named).",
            .arguments = {{"FILE", "a model file, or a point, a colon and a path"}},
            .options = {{.flag = "--quick", .help = "read the tables alone: no sums of archives, no norms, no counts of NaN"}},
            .run = run_inspect};
}

Command models_diff_command() {
    return {.name = "models diff",
            .summary = "which tensors changed between two model files, and by how much",
            .details = "Each of A and B is a file of this machine, or POINT:PATH; their formats may differ. Exit code 0: no "
                       "difference, 7: there are some.",
            .arguments = {{"A", "the older file"}, {"B", "the newer file"}},
            .options = {},
            .run = run_models_diff};
}

Command models_scan_command() {
    return {.name = "models scan",
            .summary = "the verdict about every model file below a path or in a point",
            .details = "Files that hold no weights by their names (JSON, text) are passed over. Exit code 0: all are verified, 3: some "
                       "are not, 7: one is damaged or suspicious.",
            .arguments = {{"PATH", "a directory or file, or a point (with a path)"}},
            .options = {},
            .run = run_scan};
}

}  // namespace holdfast::cli
