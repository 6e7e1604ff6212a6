#include "formats/tensor_heads.h"

#include <algorithm>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <unordered_set>

#include "base/text.h"
#include "formats/safetensors.h"

namespace holdfast {
namespace {

constexpr char kMetadataKey[] = "__metadata__";
constexpr std::size_t kNpyAlignment = 64;

std::string quoted(std::string const& text) { return nlohmann::json(text).dump(); }

std::string list_of(std::span<std::uint64_t const> numbers) { return fmt::format("[{}]", fmt::join(numbers, ",")); }

Result<void> check_name(NewTensor const& tensor) {
    if (tensor.name != kMetadataKey && is_utf8(tensor.name)) return {};
    return fail(ErrorKind::usage, fmt::format("tensor '{}': safetensors has no such name", printable(tensor.name)));
}

std::optional<std::string_view> numpy_descr(std::string_view dtype) {
    static std::unordered_map<std::string_view, std::string_view> const kDescriptions = {
        {"F32", "<f4"}, {"F64", "<f8"}, {"F16", "<f2"}, {"I64", "<i8"}, {"I32", "<i4"}, {"I16", "<i2"}, {"I8", "|i1"},
        {"U64", "<u8"}, {"U32", "<u4"}, {"U16", "<u2"}, {"U8", "|u1"},  {"BOOL", "|b1"}, {"C64", "<c8"}, {"C128", "<c16"},
    };
    auto found = kDescriptions.find(dtype);
    return found == kDescriptions.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace

Result<SafetensorsHead> safetensors_head(std::vector<NewTensor> const& tensors, std::map<std::string, std::string> const& metadata) {
    SafetensorsHead head;
    std::vector<std::uint64_t> widths;
    std::unordered_set<std::string_view> names;
    for (auto const& tensor : tensors) {
        TRY(check_name(tensor));
        auto width = safetensors_element_bytes(tensor.dtype);
        if (!width) {
            return fail(ErrorKind::usage, fmt::format("tensor '{}': safetensors has no elements of type {}", printable(tensor.name),
                                                      printable(tensor.dtype)));
        }
        if (!names.insert(tensor.name).second) {
            return fail(ErrorKind::usage, fmt::format("tensor '{}' is there twice: one file can't hold both", printable(tensor.name)));
        }
        head.order.push_back(widths.size());
        widths.push_back(*width);
    }
    std::ranges::sort(head.order, [&](auto a, auto b) {
        return std::pair(widths[b], std::string_view(tensors[a].name)) < std::pair(widths[a], std::string_view(tensors[b].name));
    });

    std::string json = "{";
    auto entry = [&](std::string const& name) { json += (json.size() > 1 ? "," : "") + quoted(name) + ":"; };
    if (!metadata.empty()) {
        entry(kMetadataKey);
        json += nlohmann::json(metadata).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    }
    std::uint64_t at = 0;
    for (auto i : head.order) {
        auto const& tensor = tensors[i];
        entry(tensor.name);
        json += fmt::format(R"({{"dtype":{},"shape":{},"data_offsets":[{},{}]}})", quoted(tensor.dtype), list_of(tensor.shape), at,
                            at + tensor.bytes);
        at += tensor.bytes;
    }
    json += "}";
    json.resize((json.size() + 7) / 8 * 8, ' ');
    if (json.size() > kSafetensorsHeaderMax) {
        return fail(ErrorKind::usage, fmt::format("{} tensors need a header longer than safetensors allows", tensors.size()));
    }
    ByteWriter writer;
    writer.u64(json.size());
    writer.raw(as_bytes(json));
    head.bytes = writer.take();
    return head;
}

Result<Bytes> npy_head(std::string_view dtype, std::span<std::uint64_t const> shape) {
    auto descr = numpy_descr(dtype);
    if (!descr) return fail(ErrorKind::usage, fmt::format("NumPy has no elements of type {}", printable(dtype)));
    auto text = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}{}), }}", *descr, fmt::join(shape, ", "),
                            shape.size() == 1 ? "," : "");
    auto padded = [&](std::size_t before) { return (before + text.size() + 1 + kNpyAlignment - 1) / kNpyAlignment * kNpyAlignment - before; };
    bool const is_long = padded(10) > 0xffff;
    text.resize(padded(is_long ? 12 : 10) - 1, ' ');
    text += '\n';
    ByteWriter writer;
    writer.raw(as_bytes("\x93NUMPY"));
    writer.u8(is_long ? 2 : 1);
    writer.u8(0);
    if (is_long) {
        writer.u32(static_cast<std::uint32_t>(text.size()));
    } else {
        writer.u16(static_cast<std::uint16_t>(text.size()));
    }
    writer.raw(as_bytes(text));
    return writer.take();
}

}  // namespace holdfast
