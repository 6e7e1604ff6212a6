#include "formats/pickle.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <fmt/format.h>
#include <unordered_map>

#include "base/text.h"

namespace holdfast {
namespace {

using Kind = PickleNode::Kind;

constexpr std::size_t kRefusedMax = 100;
constexpr std::size_t kLineMax = 4096;
// Node numbers are of 32 bits; a pickle with more opcodes than this is none of a model.
constexpr std::size_t kNodesMax = 5'000'000;

constexpr std::array<std::string_view, 23> kAllowed = {
    "collections.OrderedDict",
    "torch.nn.parameter.Parameter",
    "torch.nn.parameter.Buffer",
    "torch.serialization._get_layout",
    "torch.Size",
    "torch.Tensor",
    "torch.device",
    "torch._tensor._rebuild_from_type_v2",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
    "torch._utils._rebuild_qtensor",
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_tensor_v3",
    "torch._utils._rebuild_sparse_tensor",
    "torch._utils._rebuild_meta_tensor_no_storage",
    "torch._utils._rebuild_nested_tensor",
    "torch._utils._rebuild_wrapper_subclass",
    "torch._utils._rebuild_device_tensor_from_numpy",
    "torch._utils._rebuild_device_tensor_from_cpu_tensor",
    "torch._utils._rebuild_sparse_csr_tensor",
    "torch.storage.TypedStorage",
    "torch.storage.UntypedStorage",
};

bool is_number_type(std::string_view name) {
    static constexpr std::array<std::string_view, 27> kTypes = {
        "bool",      "uint8",    "uint16",   "uint32",   "uint64",     "int8",          "int16",
        "int32",     "int64",    "float16",  "bfloat16", "float32",    "float64",       "half",
        "float",     "double",   "complex32", "complex64", "complex128", "float8_e4m3fn", "float8_e5m2",
        "float8_e4m3fnuz", "float8_e5m2fnuz", "qint8", "quint8", "qint32", "quint4x2"};
    return std::ranges::find(kTypes, name) != kTypes.end();
}

// "torch.FloatStorage", "torch.cuda.HalfTensor" …
bool is_array_class(std::string_view name) {
    static constexpr std::array<std::string_view, 16> kTypes = {
        "Bool", "Byte", "Char", "Short", "Int", "Long", "Half", "BFloat16", "Float", "Double", "ComplexFloat",
        "ComplexDouble", "QInt8", "QUInt8", "QInt32", "Untyped"};
    for (std::string_view module : {"cuda.sparse.", "sparse.", "cuda."}) {
        if (name.starts_with(module)) {
            name.remove_prefix(module.size());
            break;
        }
    }
    for (std::string_view end : {"Storage", "Tensor"}) {
        if (!name.ends_with(end)) continue;
        auto type = name.substr(0, name.size() - end.size());
        return std::ranges::find(kTypes, type) != kTypes.end();
    }
    return false;
}

bool allowed(std::string const& name, PickleNames names) {
    if (std::ranges::find(kAllowed, name) != kAllowed.end()) return true;
    if (name.starts_with("torch.")) {
        auto rest = std::string_view(name).substr(6);
        if (is_number_type(rest) || is_array_class(rest)) return true;
    }
    if (names == PickleNames::torchscript) {
        return name.starts_with("__torch__.") || name == "torch.jit._pickle.build_intlist" ||
               name == "torch.jit._pickle.build_doublelist" || name == "torch.jit._pickle.build_boollist" ||
               name == "torch.jit._pickle.build_tensorlist" || name == "torch.jit._pickle.build_tensor_from_id" ||
               name == "torch.jit._pickle.restore_type_tag";
    }
    return false;
}

class Interpreter {
  public:
    Interpreter(ByteView bytes, PickleNames names) : bytes_(bytes), reader_(bytes), names_(names) {}

    Pickle run() {
        while (pickle_.fault.empty()) {
            if (reader_.remaining() == 0) {
                fault("it ends before its STOP");
                break;
            }
            auto opcode = reader_.u8();
            if (opcode == '.') {
                if (stack_.empty()) fault("STOP with nothing on the stack");
                else pickle_.root = stack_.back();
                break;
            }
            step(opcode);
            if (!reader_.ok()) fault("it ends inside of an opcode");
            if (pickle_.nodes.size() > kNodesMax) fault("more objects than any model has");
        }
        pickle_.bytes = bytes_.size() - reader_.remaining();
        if (pickle_.nodes.empty()) pickle_.nodes.emplace_back();
        return std::move(pickle_);
    }

  private:
    void fault(std::string what) {
        if (pickle_.fault.empty()) pickle_.fault = std::move(what);
    }
    PickleIndex node(Kind kind) {
        pickle_.nodes.emplace_back().kind = kind;
        return static_cast<PickleIndex>(pickle_.nodes.size() - 1);
    }
    void push(PickleIndex index) { stack_.push_back(index); }
    void push_integer(std::int64_t value) {
        auto index = node(Kind::integer);
        pickle_.nodes[index].integer = value;
        push(index);
    }
    void push_text(std::string text) {
        auto index = node(Kind::text);
        pickle_.nodes[index].text = std::move(text);
        push(index);
    }
    void push_truth(bool value) {
        auto index = node(Kind::boolean);
        pickle_.nodes[index].integer = value ? 1 : 0;
        push(index);
    }
    PickleIndex pop() {
        // Below a mark there is nothing to take.
        if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) {
            fault("it takes from an empty stack");
            return empty();
        }
        auto index = stack_.back();
        stack_.pop_back();
        return index;
    }
    PickleIndex top() {
        auto index = pop();
        if (pickle_.fault.empty()) push(index);
        return index;
    }
    PickleIndex empty() {
        if (pickle_.nodes.empty()) node(Kind::none);
        return 0;
    }
    std::vector<PickleIndex> pop_mark() {
        if (marks_.empty()) {
            fault("it takes up to a mark that is not there");
            return {};
        }
        auto from = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
        std::vector<PickleIndex> items(from, stack_.end());
        stack_.erase(from, stack_.end());
        marks_.pop_back();
        return items;
    }
    void push_items(Kind kind, std::vector<PickleIndex> items) {
        auto index = node(kind);
        pickle_.nodes[index].items = std::move(items);
        push(index);
    }
    std::string line() {
        auto rest = bytes_.subspan(bytes_.size() - reader_.remaining());
        auto window = as_text(rest.first(std::min(rest.size(), kLineMax)));
        auto end = window.find('\n');
        if (end == std::string_view::npos) {
            fault("a line without an end");
            return {};
        }
        auto text = std::string(window.substr(0, end));
        reader_.raw(end + 1);
        return text;
    }
    // A text of `size` bytes that are there.
    std::string text(std::uint64_t size) {
        if (size > reader_.remaining()) {
            fault("a text that reaches beyond the end");
            return {};
        }
        return to_text(reader_.raw(size));
    }

    void refuse(std::string name) {
        if (pickle_.refused.size() < kRefusedMax && std::ranges::find(pickle_.refused, name) == pickle_.refused.end()) {
            pickle_.refused.push_back(std::move(name));
        }
    }
    void push_global(std::string const& module, std::string const& name) {
        auto full = module + "." + name;
        if (!allowed(full, names_)) refuse(printable(full));
        auto index = node(Kind::global);
        pickle_.nodes[index].text = std::move(full);
        push(index);
    }
    // What is called must be a name: anything else is no pickle that Python writes.
    void push_object(PickleIndex called, std::vector<PickleIndex> rest) {
        if (pickle_.nodes[called].kind != Kind::global) {
            refuse("(a call of something that was computed)");
        }
        // An ordered dictionary is a dictionary.
        if (pickle_.nodes[called].kind == Kind::global && pickle_.nodes[called].text == "collections.OrderedDict") {
            auto dict = node(Kind::dict);
            for (auto argument : rest) fill_dict(dict, argument);
            push(dict);
            return;
        }
        rest.insert(rest.begin(), called);
        push_items(Kind::object, std::move(rest));
    }
    // OrderedDict([(k, v), …]), as protocol 0 spells it.
    void fill_dict(PickleIndex dict, PickleIndex arguments) {
        // One list may be given again and again: what is copied in all is bounded, too.
        for (auto list : std::vector(pickle_.nodes[arguments].items)) {
            for (auto pair : std::vector(pickle_.nodes[list].items)) {
                if (++copied_ > kNodesMax) return fault("more objects than any model has");
                if (pickle_.nodes[pair].items.size() != 2) continue;
                auto items = pickle_.nodes[pair].items;
                pickle_.nodes[dict].items.insert(pickle_.nodes[dict].items.end(), items.begin(), items.end());
            }
        }
    }
    void append(PickleIndex target, std::span<PickleIndex const> items) {
        if (pickle_.nodes[target].kind == Kind::object) return add_state(target, items);
        if (pickle_.nodes[target].kind != Kind::list) return fault("APPEND to something that is no list");
        auto& to = pickle_.nodes[target].items;
        to.insert(to.end(), items.begin(), items.end());
    }
    void set_items(PickleIndex target, std::span<PickleIndex const> items) {
        if (items.size() % 2 != 0) return fault("SETITEMS with a key and no value");
        if (pickle_.nodes[target].kind != Kind::dict) return fault("SETITEM on something that is no dictionary");
        auto& to = pickle_.nodes[target].items;
        to.insert(to.end(), items.begin(), items.end());
    }
    void add_state(PickleIndex target, std::span<PickleIndex const> items) {
        auto& to = pickle_.nodes[target].items;
        to.insert(to.end(), items.begin(), items.end());
    }
    void remember(std::uint64_t key) {
        if (stack_.empty()) return fault("it remembers nothing");
        memo_[key] = stack_.back();
    }
    void recall(std::uint64_t key) {
        auto at = memo_.find(key);
        if (at == memo_.end()) return fault("it recalls what it never remembered");
        push(at->second);
    }
    std::uint64_t decimal() {
        auto text = line();
        std::uint64_t value = 0;
        auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        if (error != std::errc() || end != text.data() + text.size()) fault("a number that is none");
        return value;
    }
    void push_long(ByteView bytes) {
        // Zeros that only say that the number is not negative.
        while (bytes.size() > 8 && bytes.back() == 0 && bytes[bytes.size() - 2] < 0x80) bytes = bytes.first(bytes.size() - 1);
        if (bytes.size() > 8) {
            push(node(Kind::number));
            return;
        }
        std::uint64_t value = 0;
        for (std::size_t i = 0; i < bytes.size(); ++i) value |= std::uint64_t{bytes[i]} << (8 * i);
        if (!bytes.empty() && bytes.size() < 8 && bytes.back() >= 0x80) value |= ~std::uint64_t{0} << (8 * bytes.size());
        push_integer(static_cast<std::int64_t>(value));
    }

    void step(std::uint8_t opcode);
    void step_container(std::uint8_t opcode);
    void step_object(std::uint8_t opcode);

    ByteView bytes_;
    ByteReader reader_;
    PickleNames names_;
    Pickle pickle_;
    std::vector<PickleIndex> stack_;
    std::vector<std::size_t> marks_;  // sizes of the stack
    std::size_t copied_ = 0;          // items, from lists into dictionaries
    std::unordered_map<std::uint64_t, PickleIndex> memo_;
};

// Constants, the memo, the stack.
void Interpreter::step(std::uint8_t opcode) {
    switch (opcode) {
        case 0x80:  // PROTO
            if (reader_.u8() > 5) fault("a protocol that is not known");
            return;
        case 0x95: reader_.u64(); return;  // FRAME: only groups reads
        case 'N': return push(node(Kind::none));
        case 0x88: return push_truth(true);
        case 0x89: return push_truth(false);
        case 'J': return push_integer(static_cast<std::int32_t>(reader_.u32()));
        case 'K': return push_integer(reader_.u8());
        case 'M': return push_integer(reader_.u16());
        case 'G': reader_.u64(); return push(node(Kind::number));
        case 'F': line(); return push(node(Kind::number));
        case 'I': {
            auto text = line();
            if (text == "00" || text == "01") return push_truth(text == "01");
            std::int64_t value = 0;
            auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
            if (error != std::errc() || end != text.data() + text.size()) return push(node(Kind::number));
            return push_integer(value);
        }
        case 'L': {
            auto text = line();
            std::int64_t value = 0;
            auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
            if (error != std::errc() || end == text.data()) return push(node(Kind::number));
            return push_integer(value);
        }
        case 0x8a: {  // LONG1
            auto size = reader_.u8();
            return push_long(reader_.raw(size));
        }
        case 0x8b: {  // LONG4
            auto size = reader_.u32();
            if (size > reader_.remaining()) return fault("a number that reaches beyond the end");
            return push_long(reader_.raw(size));
        }
        case 'S': case 'V': return push_text(line());
        case 'U': case 'C': case 0x8c: return push_text(text(reader_.u8()));       // SHORT_BIN…
        case 'T': case 'X': case 'B': return push_text(text(reader_.u32()));       // BIN…
        case 0x8d: case 0x8e: case 0x96: return push_text(text(reader_.u64()));    // …8
        case 'q': return remember(reader_.u8());
        case 'r': return remember(reader_.u32());
        case 'p': return remember(decimal());
        case 0x94: return remember(memo_.size());  // MEMOIZE
        case 'h': return recall(reader_.u8());
        case 'j': return recall(reader_.u32());
        case 'g': return recall(decimal());
        case '0':  // POP, which also takes a mark
            if (!marks_.empty() && marks_.back() == stack_.size()) marks_.pop_back();
            else pop();
            return;
        case '1': pop_mark(); return;
        case '2': return push(top());
        case '(': return marks_.push_back(stack_.size());
        default: return step_container(opcode);
    }
}

void Interpreter::step_container(std::uint8_t opcode) {
    switch (opcode) {
        case ')': return push_items(Kind::tuple, {});
        case 't': return push_items(Kind::tuple, pop_mark());
        case 0x85: case 0x86: case 0x87: {  // TUPLE1 to TUPLE3
            std::vector<PickleIndex> items(opcode - 0x84u);
            for (auto i = items.size(); i-- > 0;) items[i] = pop();
            return push_items(Kind::tuple, std::move(items));
        }
        case ']': case 0x8f: return push_items(Kind::list, {});     // EMPTY_LIST, EMPTY_SET
        case 'l': case 0x91: return push_items(Kind::list, pop_mark());  // LIST, FROZENSET
        case '}': return push_items(Kind::dict, {});
        case 'd': {
            auto items = pop_mark();
            if (items.size() % 2 != 0) return fault("a dictionary with a key and no value");
            return push_items(Kind::dict, std::move(items));
        }
        case 'a': {
            auto item = pop();
            return append(top(), {&item, 1});
        }
        case 'e': case 0x90: {  // APPENDS, ADDITEMS
            auto items = pop_mark();
            return append(top(), items);
        }
        case 's': {
            auto value = pop(), key = pop();
            PickleIndex pair[] = {key, value};
            return set_items(top(), pair);
        }
        case 'u': {
            auto items = pop_mark();
            return set_items(top(), items);
        }
        default: return step_object(opcode);
    }
}

// What names, calls and fills objects.
void Interpreter::step_object(std::uint8_t opcode) {
    switch (opcode) {
        case 'c': {  // GLOBAL
            auto module = line();
            auto name = line();
            if (pickle_.fault.empty()) push_global(module, name);
            return;
        }
        case 0x93: {  // STACK_GLOBAL
            auto name = pop(), module = pop();
            if (!pickle_.fault.empty()) return;
            if (pickle_.nodes[name].kind != Kind::text || pickle_.nodes[module].kind != Kind::text) {
                refuse("(a name that was computed)");
                return push(node(Kind::global));
            }
            auto module_text = pickle_.nodes[module].text;
            return push_global(module_text, std::string(pickle_.nodes[name].text));
        }
        case 'R': case 0x81: {  // REDUCE, NEWOBJ
            auto arguments = pop(), called = pop();
            return push_object(called, {arguments});
        }
        case 0x92: {  // NEWOBJ_EX
            auto keywords = pop(), arguments = pop(), called = pop();
            return push_object(called, {arguments, keywords});
        }
        case 'b': {  // BUILD
            auto state = pop();
            auto target = top();
            // The attributes of a dictionary are none of its items.
            if (pickle_.nodes[target].kind == Kind::dict) return;
            if (pickle_.nodes[target].kind != Kind::object) return fault("BUILD of something that has no state");
            return add_state(target, {&state, 1});
        }
        case 'Q': {  // BINPERSID
            auto id = pop();
            return push_items(Kind::persistent, {id});
        }
        case 'P': {
            auto index = node(Kind::text);
            pickle_.nodes[index].text = line();
            return push_items(Kind::persistent, {index});
        }
        case 'i': {  // INST: names a class and calls it
            auto module = line();
            auto name = line();
            auto items = pop_mark();
            if (!pickle_.fault.empty()) return;
            refuse(printable(module + "." + name));
            push_global(module, name);
            auto called = pop();
            auto arguments = node(Kind::tuple);
            pickle_.nodes[arguments].items = std::move(items);
            return push_object(called, {arguments});
        }
        case 'o': {  // OBJ: the same, with the class on the stack
            auto items = pop_mark();
            if (items.empty()) return fault("OBJ without a class");
            auto called = items.front();
            items.erase(items.begin());
            refuse(pickle_.nodes[called].kind == Kind::global ? printable(pickle_.nodes[called].text) : "(a class that was computed)");
            auto arguments = node(Kind::tuple);
            pickle_.nodes[arguments].items = std::move(items);
            return push_object(called, {arguments});
        }
        case 0x82: case 0x83: case 0x84: {  // EXT1, EXT2, EXT4
            auto code = opcode == 0x82 ? reader_.u8() : opcode == 0x83 ? reader_.u16() : reader_.u32();
            refuse(fmt::format("(extension {} of Python's registry)", code));
            return push(node(Kind::global));
        }
        case 0x97: case 0x98: return fault("a buffer that lies outside of it");
        default: return fault(fmt::format("an opcode 0x{:02x} that no pickle has", opcode));
    }
}

}  // namespace

Pickle read_pickle(ByteView bytes, PickleNames names) { return Interpreter(bytes, names).run(); }

bool looks_like_pickle(ByteView first) { return first.size() >= 2 && first[0] == 0x80 && first[1] >= 2 && first[1] <= 5; }

}  // namespace holdfast
