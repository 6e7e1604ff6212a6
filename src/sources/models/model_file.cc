#include "sources/models/model_file.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"
#include "sources/models/model_access.h"

namespace holdfast {
namespace {

// Smaller arrays stay in the skeleton around them: a chunk costs as much as it would save.
constexpr std::uint64_t kArrayBytesMin = 512;

Element element_of(std::string_view dtype) {
    if (dtype == "F32" || dtype == "C64") return Element::float32;
    if (dtype == "F16" || dtype == "BF16" || dtype == "C32") return Element::float16;
    if (dtype == "F64" || dtype == "C128") return Element::float64;
    if (dtype.starts_with("F8_")) return Element::float8;
    if (dtype == "I64") return Element::signed64;
    if (dtype == "I32") return Element::signed32;
    if (dtype == "I16") return Element::signed16;
    if (dtype == "I8") return Element::signed8;
    if (dtype == "U64") return Element::unsigned64;
    if (dtype == "U32") return Element::unsigned32;
    if (dtype == "U16") return Element::unsigned16;
    if (dtype == "U8" || dtype == "BOOL") return Element::unsigned8;
    return Element::none;
}

Finding::Verdict verdict_of(ModelVerdict verdict) {
    switch (verdict) {
        case ModelVerdict::verified: return Finding::Verdict::verified;
        case ModelVerdict::suspicious: return Finding::Verdict::suspicious;
        case ModelVerdict::damaged: return Finding::Verdict::damaged;
        case ModelVerdict::not_verified: break;
    }
    return Finding::Verdict::not_verified;
}

}  // namespace

bool may_hold_weights(std::string_view name) {
    static constexpr std::array<std::string_view, 9> kPlain = {".json", ".txt", ".md",  ".yaml", ".yml",
                                                               ".toml", ".py",  ".log", ".csv"};
    std::string lower(name);
    std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
    return std::ranges::none_of(kPlain, [&](auto extension) { return lower.ends_with(extension); });
}

Finding finding_of(std::string object, ModelFile const& model) {
    Finding finding{.object = std::move(object), .verdict = verdict_of(model.verdict), .detail = {}};
    std::uint64_t bytes = 0;
    for (auto const& storage : model.storages) bytes += storage.bytes;
    if (model.verdict == ModelVerdict::verified) {
        finding.detail = fmt::format("{}, {} tensors, {}", model.format, model.tensors.size(), format_bytes(bytes));
        return finding;
    }
    finding.detail = model.reasons.empty() ? std::string("the format is not known") : model.reasons.front();
    if (model.reasons.size() > 1) finding.detail += fmt::format(" (and {} more)", model.reasons.size() - 1);
    if (model.verdict == ModelVerdict::not_verified) finding.detail += "; kept byte for byte";
    return finding;
}

Result<std::optional<Finding>> inspect_model_file(std::string const& name, int fd) {
    if (!may_hold_weights(name)) return std::optional<Finding>();
    auto file = TRY(FileAccess::open(fd));
    auto model = TRY(read_model(file, name));
    return std::optional(finding_of(name, model));
}

Layout layout_of(ModelFile const& model) {
    if (model.verdict == ModelVerdict::damaged) return {};
    Layout layout{.cut = Layout::Cut::stated, .cuts = {}};
    auto cut = [&](std::uint64_t offset, Element element) {
        // Where one array ends the next one may begin.
        if (!layout.cuts.empty() && layout.cuts.back() == offset) {
            layout.elements.back() = element;
            return;
        }
        layout.cuts.push_back(offset);
        layout.elements.push_back(element);
    };
    for (auto const& storage : model.storages) {
        if (storage.bytes < kArrayBytesMin) continue;
        cut(storage.offset, element_of(storage.dtype));
        cut(storage.offset + storage.bytes, Element::none);
    }
    return layout.cuts.empty() ? Layout{} : layout;
}

Layout layout_of_model_file(std::string const& name, int fd) {
    if (!may_hold_weights(name)) return {};
    auto file = FileAccess::open(fd);
    if (!file) return {};
    auto model = read_model(*file, name);
    return model ? layout_of(*model) : Layout{};
}

}  // namespace holdfast
