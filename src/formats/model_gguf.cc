#include <array>
#include <fmt/format.h>
#include <unordered_set>

#include "base/text.h"
#include "formats/model_readers.h"

namespace holdfast {
namespace {

// GGUF versions 2 and 3, by ggml's docs/gguf.md: magic, version, counts, key-value pairs, tensor infos, padding, data.

constexpr std::uint64_t kTextMax = 64u << 20;
constexpr std::uint64_t kCountMax = 1'000'000;
constexpr unsigned kListNestingMax = 8;

struct BlockType {
    std::string_view dtype;
    std::uint64_t elements, bytes;  // of one block
};
// ggml_type → its block, from ggml.h and ggml-common.h.
std::optional<BlockType> block_of(std::uint32_t type) {
    switch (type) {
        case 0: return BlockType{"F32", 1, 4};
        case 1: return BlockType{"F16", 1, 2};
        case 2: return BlockType{"Q4_0", 32, 18};
        case 3: return BlockType{"Q4_1", 32, 20};
        case 6: return BlockType{"Q5_0", 32, 22};
        case 7: return BlockType{"Q5_1", 32, 24};
        case 8: return BlockType{"Q8_0", 32, 34};
        case 9: return BlockType{"Q8_1", 32, 36};
        case 10: return BlockType{"Q2_K", 256, 84};
        case 11: return BlockType{"Q3_K", 256, 110};
        case 12: return BlockType{"Q4_K", 256, 144};
        case 13: return BlockType{"Q5_K", 256, 176};
        case 14: return BlockType{"Q6_K", 256, 210};
        case 15: return BlockType{"Q8_K", 256, 292};
        case 24: return BlockType{"I8", 1, 1};
        case 25: return BlockType{"I16", 1, 2};
        case 26: return BlockType{"I32", 1, 4};
        case 27: return BlockType{"I64", 1, 8};
        case 28: return BlockType{"F64", 1, 8};
        case 30: return BlockType{"BF16", 1, 2};
        default: return std::nullopt;
    }
}

std::string text(SequentialReader& reader) {
    auto size = reader.integer<std::uint64_t>();
    return to_text(reader.run(size, kTextMax));
}

void skip_value(SequentialReader& reader, std::uint32_t type, unsigned depth) {
    static constexpr std::array<std::uint64_t, 13> kBytes = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    if (type == 8) {
        reader.skip(reader.integer<std::uint64_t>());
    } else if (type == 9) {
        auto element = reader.integer<std::uint32_t>();
        auto count = reader.integer<std::uint64_t>();
        if (depth >= kListNestingMax) return reader.fault("lists nested too deeply");
        if (element >= kBytes.size()) return reader.fault("a value of an unknown type");
        if (kBytes[element] > 0) {
            std::uint64_t bytes = 0;
            if (__builtin_mul_overflow(count, kBytes[element], &bytes)) return reader.fault("it ends early");
            return reader.skip(bytes);
        }
        for (std::uint64_t i = 0; i < count && reader.ok(); ++i) skip_value(reader, element, depth + 1);
    } else if (type < kBytes.size()) {
        reader.skip(kBytes[type]);
    } else {
        reader.fault("a value of an unknown type");
    }
}

struct Info {
    ModelTensor tensor;
    std::uint64_t offset = 0;
};

}  // namespace

Result<void> read_gguf(RandomAccess const& file, ModelFile& model) {
    model.format = "GGUF";
    SequentialReader reader(file, 4, file.size());
    auto version = reader.integer<std::uint32_t>();
    if (version != 2 && version != 3) return model.judge(ModelVerdict::not_verified, fmt::format("version {} is not known", version)), Result<void>();
    auto tensors = reader.integer<std::uint64_t>(), pairs = reader.integer<std::uint64_t>();
    if (tensors > kCountMax || pairs > kCountMax) reader.fault(fmt::format("it claims {} tensors and {} values", tensors, pairs));
    std::uint64_t alignment = 32;
    std::unordered_set<std::string> names;
    for (std::uint64_t i = 0; i < pairs && reader.ok(); ++i) {
        auto key = text(reader);
        if (!names.insert(key).second) reader.fault(fmt::format("value '{}' stands twice", printable(key)));
        auto type = reader.integer<std::uint32_t>();
        if (key == "general.alignment" && type == 4) {
            alignment = reader.integer<std::uint32_t>();
            if (alignment == 0 || alignment % 8 != 0) reader.fault("an alignment that is none");
        } else {
            skip_value(reader, type, 0);
        }
    }
    std::vector<Info> infos;
    names.clear();
    for (std::uint64_t i = 0; i < tensors && reader.ok(); ++i) {
        Info info;
        info.tensor.name = text(reader);
        auto what = fmt::format("tensor '{}'", printable(info.tensor.name));
        if (!names.insert(info.tensor.name).second) reader.fault(what + " stands twice");
        auto rank = reader.integer<std::uint32_t>();
        if (rank > 8) reader.fault(what + " has too many dimensions");
        for (std::uint32_t d = 0; d < rank && reader.ok(); ++d) info.tensor.shape.insert(info.tensor.shape.begin(), reader.integer<std::uint64_t>());
        auto type = reader.integer<std::uint32_t>();
        info.offset = reader.integer<std::uint64_t>();
        if (!reader.ok()) break;
        auto block = block_of(type);
        if (!block) {
            model.judge(ModelVerdict::not_verified, fmt::format("{} has elements of the unknown type {}", what, type));
            continue;
        }
        info.tensor.dtype = block->dtype;
        auto count = element_count(info.tensor.shape);
        if (!count || *count % block->elements != 0 || __builtin_mul_overflow(*count / block->elements, block->bytes, &info.tensor.bytes)) {
            model.judge(ModelVerdict::damaged, what + " has an impossible shape");
            continue;
        }
        infos.push_back(std::move(info));
    }
    if (!reader.ok()) {
        if (reader.error().kind != ErrorKind::damaged) return fail(reader.error());
        return model.judge(ModelVerdict::damaged, fmt::format("its tables are broken: {}", reader.error().message)), Result<void>();
    }
    auto data = (reader.at() + alignment - 1) / alignment * alignment;
    for (auto& info : infos) {
        auto what = fmt::format("tensor '{}'", printable(info.tensor.name));
        std::uint64_t end = 0;
        if (info.offset % alignment != 0) model.judge(ModelVerdict::damaged, what + " is not aligned");
        if (data > file.size() || __builtin_add_overflow(info.offset, info.tensor.bytes, &end) || end > file.size() - data) {
            model.judge(ModelVerdict::damaged, what + " reaches beyond the end of the file");
            continue;
        }
        info.tensor.offset = data + info.offset;
        auto dtype = info.tensor.dtype;
        if (!add_tensor(model, std::move(info.tensor), std::move(dtype))) break;
    }
    return {};
}

}  // namespace holdfast
