#include <algorithm>
#include <fmt/format.h>
#include <unordered_map>
#include <unordered_set>

#include "base/text.h"
#include "formats/model_readers.h"

namespace holdfast {
namespace {

using Kind = PickleNode::Kind;

constexpr std::size_t kDepthMax = 256;
constexpr std::size_t kTorchNameMax = 4096;
constexpr std::size_t kTorchRankMax = 64;

// "torch.FloatStorage", "torch.float32" → "F32"; empty when it is none.
std::string torch_dtype(std::string_view global) {
    static std::unordered_map<std::string_view, std::string_view> const kTypes = {
        {"Bool", "BOOL"},   {"Byte", "U8"},        {"Char", "I8"},      {"Short", "I16"},    {"Int", "I32"},
        {"Long", "I64"},    {"Half", "F16"},       {"BFloat16", "BF16"}, {"Float", "F32"},    {"Double", "F64"},
        {"ComplexFloat", "C64"}, {"ComplexDouble", "C128"}, {"QInt8", "I8"}, {"QUInt8", "U8"}, {"QInt32", "I32"},
        {"Untyped", "U8"},  {"bool", "BOOL"},      {"uint8", "U8"},     {"int8", "I8"},      {"int16", "I16"},
        {"int32", "I32"},   {"int64", "I64"},      {"float16", "F16"},  {"half", "F16"},     {"bfloat16", "BF16"},
        {"float32", "F32"}, {"float", "F32"},      {"float64", "F64"},  {"double", "F64"},   {"complex64", "C64"},
        {"complex128", "C128"}, {"complex32", "C32"}, {"uint16", "U16"}, {"uint32", "U32"},  {"uint64", "U64"},
        {"float8_e4m3fn", "F8_E4M3"}, {"float8_e5m2", "F8_E5M2"}, {"qint8", "I8"}, {"quint8", "U8"}, {"qint32", "I32"},
    };
    auto dot = global.rfind('.');
    auto type = dot == std::string_view::npos ? global : global.substr(dot + 1);
    if (type.ends_with("Storage")) type.remove_suffix(7);
    auto found = kTypes.find(type);
    return found == kTypes.end() ? std::string() : std::string(found->second);
}

// Walks what the pickle made, and gathers the tensors by the path that leads to each.
class Gatherer {
  public:
    explicit Gatherer(Pickle const& pickle) : pickle_(pickle) {}

    TorchTable run() {
        walk(pickle_.root, "", 0);
        return std::move(table_);
    }

  private:
    PickleNode const& at(PickleIndex index) const { return pickle_[index]; }

    void walk(PickleIndex index, std::string const& path, std::size_t depth) {
        if (depth > kDepthMax || path.size() > kTorchNameMax) return damaged(path, "nested too deeply");
        auto const& node = at(index);
        if (node.items.empty()) return;
        if (node.kind == Kind::object && view(index, path, depth)) return;
        // What is reached twice is named by the first way to it. Tensors are leaves and may have several.
        if (node.kind != Kind::persistent && !visited_.insert(index).second) return;
        switch (node.kind) {
            case Kind::dict:
                for (std::size_t i = 0; i + 1 < node.items.size(); i += 2) {
                    walk(node.items[i + 1], joined(path, key_text(node.items[i])), depth + 1);
                }
                return;
            case Kind::tuple:
            case Kind::list:
                for (std::size_t i = 0; i < node.items.size(); ++i) walk(node.items[i], joined(path, std::to_string(i)), depth + 1);
                return;
            case Kind::object:
                for (std::size_t i = 1; i < node.items.size(); ++i) walk(node.items[i], path, depth + 1);
                return;
            case Kind::persistent: storage(index, path); return;
            default: return;
        }
    }

    std::string key_text(PickleIndex index) const {
        auto const& node = at(index);
        if (node.kind == Kind::text) return node.text;
        if (node.kind == Kind::integer) return std::to_string(node.integer);
        return "?";
    }
    static std::string joined(std::string const& path, std::string const& name) { return path.empty() ? name : path + "." + name; }
    void damaged(std::string const& path, std::string_view what) {
        if (table_.damaged.size() < kModelReasonsMax) {
            table_.damaged.push_back(fmt::format("'{}': {}", printable(path), what));
        }
    }

    // True when the object is a tensor (or was meant to be one).
    bool view(PickleIndex index, std::string const& path, std::size_t depth) {
        auto const& node = at(index);
        auto const& called = at(node.items[0]);
        if (called.kind != Kind::global || node.items.size() < 2) return false;
        auto const& arguments = at(node.items[1]).items;
        auto function = std::string_view(called.text);
        if (!function.starts_with("torch._utils._rebuild_") && !function.starts_with("torch._tensor._rebuild_")) return false;
        function.remove_prefix(function.rfind('.') + 1);
        if (function == "_rebuild_parameter" || function == "_rebuild_parameter_with_state") {
            if (arguments.empty()) return damaged(path, "a parameter without data"), true;
            walk(arguments[0], path, depth + 1);
            return true;
        }
        if (function == "_rebuild_from_type_v2") {
            // (function, type, arguments, state): the function, called with the arguments.
            if (arguments.size() < 3 || at(arguments[0]).kind != Kind::global) return damaged(path, "a tensor without data"), true;
            tensor(at(arguments[0]).text, at(arguments[2]).items, path);
            return true;
        }
        if (function == "_rebuild_tensor" || function == "_rebuild_tensor_v2" || function == "_rebuild_tensor_v3" ||
            function == "_rebuild_qtensor") {
            tensor(called.text, arguments, path);
            return true;
        }
        return false;  // sparse and others: their parts are tensors
    }

    // (storage, offset, shape, strides, …); of v3 the seventh is the type.
    void tensor(std::string const& function, std::vector<PickleIndex> const& arguments, std::string const& path) {
        if (table_.views.size() >= kModelTensorsMax) return;
        if (arguments.size() < 4) return damaged(path, "a tensor without storage, offset, shape and strides");
        auto found = storage(arguments[0], path);
        if (!found) return damaged(path, "a tensor whose storage is none");
        TorchView made{.name = path, .dtype = table_.storages[*found].dtype, .storage = *found, .offset = 0, .shape = {}, .strides = {}};
        if (function.ends_with("_v3") && arguments.size() > 6) {
            auto dtype = torch_dtype(at(arguments[6]).text);
            if (!dtype.empty()) made.dtype = dtype;
        }
        if (at(arguments[1]).kind != Kind::integer || at(arguments[1]).integer < 0) return damaged(path, "an offset that is none");
        made.offset = static_cast<std::uint64_t>(at(arguments[1]).integer);
        if (!numbers(arguments[2], made.shape) || !numbers(arguments[3], made.strides) || made.shape.size() != made.strides.size()) {
            return damaged(path, "a shape or strides that are none");
        }
        table_.views.push_back(std::move(made));
    }

    bool numbers(PickleIndex index, std::vector<std::uint64_t>& to) const {
        auto const* node = &at(index);
        // torch.Size((2, 3)) is an object of a tuple.
        if (node->kind == Kind::object && node->items.size() > 1) {
            node = &at(node->items[1]);
            if (node->items.size() == 1 && at(node->items[0]).kind == Kind::tuple) node = &at(node->items[0]);
        }
        if ((node->kind != Kind::tuple && node->kind != Kind::list) || node->items.size() > kTorchRankMax) return false;
        for (auto item : node->items) {
            if (at(item).kind != Kind::integer || at(item).integer < 0) return false;
            to.push_back(static_cast<std::uint64_t>(at(item).integer));
        }
        return true;
    }

    // ('storage', class, key, location, elements, …), or wrapped in a TypedStorage.
    std::optional<std::size_t> storage(PickleIndex index, std::string const& path) {
        auto const* node = &at(index);
        if (node->kind == Kind::object && node->items.size() > 1 && !at(node->items[1]).items.empty()) {
            index = at(node->items[1]).items[0];
            node = &at(index);
        }
        if (node->kind != Kind::persistent) return std::nullopt;
        if (auto known = storages_.find(index); known != storages_.end()) return known->second;
        auto const& id = at(node->items[0]).items;
        if (id.size() < 5 || at(id[0]).text != "storage" || at(id[1]).kind != Kind::global ||
            (at(id[2]).kind != Kind::text && at(id[2]).kind != Kind::integer) || at(id[4]).kind != Kind::integer || at(id[4]).integer < 0) {
            return std::nullopt;
        }
        TorchStorage made{.key = key_text(id[2]), .dtype = torch_dtype(at(id[1]).text),
                          .elements = static_cast<std::uint64_t>(at(id[4]).integer)};
        auto [known, fresh] = by_key_.try_emplace(made.key, table_.storages.size());
        if (fresh) {
            table_.storages.push_back(std::move(made));
        } else if (auto const& other = table_.storages[known->second]; other.dtype != made.dtype || other.elements != made.elements) {
            damaged(path, fmt::format("storage '{}' is described in two ways", printable(made.key)));
        }
        storages_.emplace(index, known->second);
        return known->second;
    }

    Pickle const& pickle_;
    TorchTable table_;
    std::unordered_set<PickleIndex> visited_;
    std::unordered_map<PickleIndex, std::size_t> storages_;
    std::unordered_map<std::string, std::size_t> by_key_;
};

// Elements from the first to behind the last that a view touches; nothing when that overflows.
std::optional<std::uint64_t> reach(TorchView const& view) {
    std::uint64_t last = 0;
    for (std::size_t i = 0; i < view.shape.size(); ++i) {
        if (view.shape[i] == 0) return 0;
        std::uint64_t step;
        if (__builtin_mul_overflow(view.shape[i] - 1, view.strides[i], &step) || __builtin_add_overflow(last, step, &last)) {
            return std::nullopt;
        }
    }
    if (last == ~std::uint64_t{0}) return std::nullopt;
    return last + 1;
}

bool contiguous(TorchView const& view) {
    std::uint64_t expected = 1;
    for (auto i = view.shape.size(); i-- > 0;) {
        if (view.shape[i] != 1 && view.strides[i] != expected) return false;
        expected *= view.shape[i];
    }
    return true;
}

}  // namespace

TorchTable torch_table(Pickle const& pickle) { return Gatherer(pickle).run(); }

void judge_pickle(Pickle const& pickle, std::string_view what, ModelFile& model) {
    for (auto const& name : pickle.refused) model.judge(ModelVerdict::suspicious, fmt::format("it would run {}", name));
    if (!pickle.whole()) model.judge(ModelVerdict::damaged, fmt::format("{} is broken at byte {}: {}", what, pickle.bytes, pickle.fault));
}

void add_views(TorchTable const& table, std::vector<std::optional<Place>> const& places, ModelFile& model) {
    for (auto const& what : table.damaged) model.judge(ModelVerdict::damaged, what);
    auto const first = model.storages.size();
    for (std::size_t i = 0; i < table.storages.size(); ++i) {
        auto place = places[i].value_or(Place{});
        model.storages.push_back({.offset = place.offset, .bytes = place.bytes, .dtype = table.storages[i].dtype});
    }
    for (auto const& view : table.views) {
        if (!places[view.storage] || model.tensors.size() >= kModelTensorsMax) continue;
        auto const& place = *places[view.storage];
        auto element = dtype_bytes(view.dtype);
        if (!element) continue;  // judged with its storage
        ModelTensor tensor{.name = view.name, .dtype = view.dtype, .shape = view.shape, .strides = {}, .offset = 0, .bytes = 0,
                           .storage = first + view.storage};
        auto elements = reach(view);
        std::uint64_t begin = 0, end = 0, size = 0;
        if (!elements || !element_count(view.shape) || __builtin_mul_overflow(view.offset, *element, &begin) ||
            __builtin_mul_overflow(*elements, *element, &size) || __builtin_add_overflow(begin, size, &end) || end > place.bytes) {
            model.judge(ModelVerdict::damaged, fmt::format("'{}' reaches beyond its storage '{}' of {} bytes", printable(view.name),
                                                           printable(table.storages[view.storage].key), place.bytes));
            continue;
        }
        tensor.offset = place.offset + begin;
        tensor.bytes = size;
        if (!contiguous(view)) tensor.strides = view.strides;
        model.tensors.push_back(std::move(tensor));
    }
}

}  // namespace holdfast
