#include "formats/model.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <map>
#include <tuple>

#include "base/text.h"
#include "formats/model_readers.h"
#include "formats/safetensors.h"

namespace holdfast {
namespace {

constexpr std::size_t kHeadBytes = 16;
// Of a file of no known format, so much is tried as an old pickle.
constexpr std::uint64_t kTriedMax = 16u << 20;

bool begins(ByteView head, std::string_view magic) { return as_text(head).starts_with(magic); }

// The file's extension in small letters.
std::string extension_of(std::string_view name) {
    auto dot = name.rfind('.');
    auto extension = dot == std::string_view::npos ? std::string() : std::string(name.substr(dot + 1));
    for (auto& c : extension) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
    }
    return extension;
}

Result<void> read_safetensors_model(RandomAccess const& file, ModelFile& model) {
    model.format = "safetensors";
    auto first = TRY(read_run(file, 0, std::min<std::uint64_t>(8, file.size()), 8));
    auto size = safetensors_head_size(first, file.size());
    if (!size) return model.judge(ModelVerdict::damaged, size.error().message), Result<void>();
    auto head = TRY(read_run(file, 0, *size, kSafetensorsHeaderMax + 8));
    auto parsed = parse_safetensors(head, file.size());
    if (!parsed) return model.judge(ModelVerdict::damaged, parsed.error().message), Result<void>();
    for (auto const& dtype : parsed->unknown_dtypes) {
        model.judge(ModelVerdict::not_verified, fmt::format("element type '{}' is not known", printable(dtype)));
    }
    for (auto& tensor : parsed->tensors) {
        ModelTensor made{.name = std::move(tensor.name), .dtype = tensor.dtype, .shape = std::move(tensor.shape), .strides = {},
                         .offset = parsed->data_start + tensor.begin, .bytes = tensor.end - tensor.begin};
        if (!add_tensor(model, std::move(made), std::move(tensor.dtype))) break;
    }
    return {};
}

// A pickle on its own: of no use as weights, and a danger where it names what runs.
Result<void> read_bare_pickle(RandomAccess const& file, ModelFile& model) {
    model.format = "pickle";
    auto bytes = TRY(read_run(file, 0, std::min(file.size(), kModelTableMax), kModelTableMax));
    judge_pickle(read_pickle(bytes), "the pickle", model);
    model.judge(ModelVerdict::not_verified, "a pickle that is no PyTorch file");
    return {};
}

// Protocols 0 and 1 have no magic: any bytes may be tried as one. A pickle that is whole and names what it would
// run is one; where the file is called like a pickle, also a broken one.
Result<void> read_unknown(RandomAccess const& file, std::string const& extension, ModelFile& model) {
    static constexpr std::array<std::string_view, 9> kPickles = {"pkl", "pickle", "pt", "pth", "bin", "ckpt", "joblib", "dill", "p"};
    auto bytes = TRY(read_run(file, 0, std::min(file.size(), kTriedMax), kTriedMax));
    auto pickle = read_pickle(bytes);
    bool const called_so = std::ranges::find(kPickles, extension) != kPickles.end();
    if (!pickle.refused.empty() && (pickle.whole() || called_so)) {
        model.format = "pickle";
        judge_pickle(pickle, "the pickle", model);
    } else {
        model.judge(ModelVerdict::not_verified, "the format is not known");
    }
    return {};
}

Result<bool> is_torch_legacy(RandomAccess const& file) {
    auto head = TRY(read_run(file, 0, std::min<std::uint64_t>(file.size(), 64), 64));
    auto magic = read_pickle(head);
    // LONG1 of ten bytes, 0x1950a86a20f9469cfc6c: the first pickle holds nothing else.
    static constexpr std::uint8_t kMagic[] = {0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19};
    return magic.whole() && std::ranges::search(head, kMagic).begin() != head.end();
}

}  // namespace

std::string_view name(ModelVerdict verdict) {
    switch (verdict) {
        case ModelVerdict::verified: return "verified";
        case ModelVerdict::not_verified: return "not verified";
        case ModelVerdict::damaged: return "damaged";
        case ModelVerdict::suspicious: return "suspicious";
    }
    return "not verified";
}

void ModelFile::judge(ModelVerdict worse, std::string reason) {
    verdict = std::max(verdict, worse);
    if (reasons.size() < kModelReasonsMax && std::ranges::find(reasons, reason) == reasons.end()) {
        // What is worse stands first.
        if (worse == verdict && worse == ModelVerdict::suspicious) {
            auto at = reasons.begin();
            while (at != reasons.end() && at->starts_with("it would run ")) ++at;
            reasons.insert(at, std::move(reason));
        } else {
            reasons.push_back(std::move(reason));
        }
    }
}

std::optional<std::uint64_t> dtype_bytes(std::string_view dtype) {
    static std::map<std::string_view, std::uint64_t> const kSizes = {
        {"BOOL", 1},    {"U8", 1},      {"I8", 1},  {"F8_E5M2", 1}, {"F8_E4M3", 1}, {"F8_E8M0", 1}, {"I16", 2}, {"U16", 2},
        {"F16", 2},     {"BF16", 2},    {"I32", 4}, {"U32", 4},     {"F32", 4},     {"F64", 8},     {"I64", 8}, {"U64", 8},
        {"C64", 8},     {"C32", 4},     {"C128", 16},
    };
    auto found = kSizes.find(dtype);
    return found == kSizes.end() ? std::nullopt : std::optional(found->second);
}

std::optional<std::uint64_t> element_count(std::span<std::uint64_t const> shape) {
    std::uint64_t total = 1;
    for (auto size : shape) {
        if (__builtin_mul_overflow(total, size, &total)) return std::nullopt;
    }
    return total;
}

bool add_tensor(ModelFile& model, ModelTensor tensor, std::string dtype) {
    if (model.tensors.size() >= kModelTensorsMax) {
        model.judge(ModelVerdict::not_verified, "more tensors than are looked at");
        return false;
    }
    tensor.storage = model.storages.size();
    model.storages.push_back({.offset = tensor.offset, .bytes = tensor.bytes, .dtype = std::move(dtype)});
    model.tensors.push_back(std::move(tensor));
    return true;
}

void settle_storages(ModelFile& model) {
    std::vector<std::size_t> order(model.storages.size()), place(model.storages.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::ranges::sort(order, [&](auto a, auto b) {
        auto const &one = model.storages[a], &other = model.storages[b];
        return std::tuple(one.offset, one.bytes, a) < std::tuple(other.offset, other.bytes, b);
    });
    std::vector<ModelStorage> sorted;
    std::uint64_t end = 0;
    for (auto i : order) {
        auto& storage = model.storages[i];
        auto const* last = sorted.empty() ? nullptr : &sorted.back();
        bool const same = last && last->offset == storage.offset && last->bytes == storage.bytes;
        if (storage.bytes > 0 && storage.offset < end && !same) {
            model.judge(ModelVerdict::damaged, fmt::format("bytes {} to {} belong to two tensors", storage.offset,
                                                           std::min(end, storage.offset + storage.bytes)));
        }
        if (!same) {
            end = std::max(end, storage.offset + storage.bytes);
            sorted.push_back(std::move(storage));
        }
        place[i] = sorted.size() - 1;
    }
    model.storages = std::move(sorted);
    for (auto& tensor : model.tensors) {
        if (tensor.storage < place.size()) tensor.storage = place[tensor.storage];
    }
}

Result<ModelFile> read_model(RandomAccess const& file, std::string_view file_name, ReadModelOptions options) {
    ModelFile model{.format = "unknown", .verdict = ModelVerdict::verified, .reasons = {}, .warnings = {}, .tensors = {},
                    .storages = {}, .files = {}};
    auto head = TRY(read_run(file, 0, std::min<std::uint64_t>(file.size(), kHeadBytes), kHeadBytes));
    auto extension = extension_of(file_name);
    auto zip = TRY(looks_like_zip(file));
    Result<void> read;
    if (file.size() == 0) {
        model.judge(ModelVerdict::not_verified, "it is empty");
    } else if (extension == "safetensors") {
        read = read_safetensors_model(file, model);
    } else if (zip) {
        read = read_zip_model(file, options, model);
    } else if (begins(head, "\x93NUMPY")) {
        model.format = "NumPy";
        read = read_npy(file, 0, "", model);
    } else if (begins(head, "GGUF")) {
        read = read_gguf(file, model);
    } else if (looks_like_pickle(head)) {
        auto legacy = TRY(is_torch_legacy(file));
        read = legacy ? read_torch_legacy(file, model) : read_bare_pickle(file, model);
    } else if (extension == "onnx") {
        read = read_onnx(file, model);
    } else if (head.size() >= 9 && head[8] == '{') {
        read = read_safetensors_model(file, model);
        // Its extension does not say that it is one.
        if (model.verdict == ModelVerdict::damaged) {
            model = ModelFile{};
            model.format = "unknown";
            model.judge(ModelVerdict::not_verified, "the format is not known");
        }
    } else if (begins(head, "7z\xbc\xaf\x27\x1c") || begins(head, "Rar!") || begins(head, "\x1f\x8b") ||
               begins(head, "\xfd" "7zXZ") || begins(head, "\x28\xb5\x2f\xfd") || begins(head, "BZh")) {
        model.format = "compressed archive";
        model.judge(ModelVerdict::not_verified, "a compressed archive: what is in it is not looked at");
    } else {
        read = read_unknown(file, extension, model);
    }
    TRY(std::move(read));
    settle_storages(model);
    return model;
}

}  // namespace holdfast
