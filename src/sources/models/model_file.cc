#include "sources/models/model_file.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <sys/stat.h>

#include "base/units.h"
#include "formats/safetensors.h"
#include "os/file.h"

namespace holdfast {
namespace {

std::string extension_of(std::string const& name) {
    auto dot = name.rfind('.');
    auto extension = dot == std::string::npos ? std::string() : name.substr(dot + 1);
    std::ranges::transform(extension, extension.begin(), [](unsigned char c) { return std::tolower(c); });
    return extension;
}

// Files that stand beside weights and hold none.
bool holds_no_weights(std::string const& extension) {
    static constexpr std::array<std::string_view, 9> kPlain = {"json", "txt", "md",  "yaml", "yml",
                                                               "toml", "py",  "log", "csv"};
    return std::ranges::find(kPlain, extension) != kPlain.end();
}

Result<Safetensors> read_safetensors(int fd) {
    struct stat status {};
    if (fstat(fd, &status) != 0) return fail(errno_error("stat", errno));
    auto size = static_cast<std::uint64_t>(status.st_size);
    Bytes head(std::min<std::uint64_t>(size, 8));
    auto got = TRY(pread_full(fd, head, 0));
    auto head_size = TRY(safetensors_head_size(ByteView(head).first(got), size));
    head.resize(head_size);
    got = TRY(pread_full(fd, head, 0));
    if (got != head.size()) return fail(ErrorKind::io, "it shrank while it was read");
    return parse_safetensors(head, size);
}

}  // namespace

Result<std::optional<Finding>> inspect_model_file(std::string const& name, int fd) {
    auto extension = extension_of(name);
    if (holds_no_weights(extension)) return std::optional<Finding>();
    Finding finding{.object = name, .verdict = Finding::Verdict::not_verified, .detail = {}};
    if (extension != "safetensors") {
        finding.detail = "the format is not understood yet; kept byte for byte";
        return std::optional(finding);
    }
    auto parsed = read_safetensors(fd);
    if (!parsed) {
        if (parsed.error().kind != ErrorKind::damaged) return fail(std::move(parsed.error()));
        finding.verdict = Finding::Verdict::damaged;
        finding.detail = parsed.error().message;
    } else if (!parsed->unknown_dtypes.empty()) {
        finding.detail = fmt::format("element type '{}' is not known; kept byte for byte",
                                     parsed->unknown_dtypes.front());
    } else {
        finding.verdict = Finding::Verdict::verified;
        auto bytes = parsed->tensors.empty() ? 0 : parsed->tensors.back().end;
        finding.detail = fmt::format("safetensors, {} tensors, {}", parsed->tensors.size(), format_bytes(bytes));
    }
    return std::optional(finding);
}

Layout layout_of_model_file(std::string const& name, int fd) {
    if (extension_of(name) != "safetensors") return {};
    auto parsed = read_safetensors(fd);
    if (!parsed) return {};
    Layout layout{.cut = Layout::Cut::stated, .cuts = {}};
    for (auto const& tensor : parsed->tensors) {
        auto offset = parsed->data_start + tensor.begin;
        if (layout.cuts.empty() || offset > layout.cuts.back()) layout.cuts.push_back(offset);
    }
    return layout;
}

}  // namespace holdfast
