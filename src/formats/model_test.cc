#include "formats/model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "formats/crc32.h"
#include "formats/pickle.h"
#include "formats/zip.h"

namespace holdfast {
namespace {

std::filesystem::path fixtures() { return std::filesystem::path(HOLDFAST_FIXTURES) / "models"; }

Bytes fixture(std::string const& name) {
    std::ifstream file(fixtures() / name, std::ios::binary);
    EXPECT_TRUE(file) << name;
    return Bytes(std::istreambuf_iterator<char>(file), {});
}

ModelFile read(ByteView bytes, std::string_view file_name, ReadModelOptions options = {}) {
    MemoryAccess access(bytes);
    auto model = read_model(access, file_name, options);
    EXPECT_TRUE(model) << model.error().message;
    return model ? std::move(*model) : ModelFile{};
}
ModelFile read_fixture(std::string const& name) { return read(fixture(name), name, {.check_sums = true}); }

std::string reasons(ModelFile const& model) {
    std::string all;
    for (auto const& reason : model.reasons) all += reason + "; ";
    return all;
}
ModelTensor const* find(ModelFile const& model, std::string_view name) {
    auto at = std::ranges::find(model.tensors, name, &ModelTensor::name);
    return at == model.tensors.end() ? nullptr : &*at;
}

// A zip archive of stored entries, of which every field can be bent.
struct TestEntry {
    std::string name, data;
    std::string local_name = {};          // where it is another one
    std::uint16_t flags = 0, local_flags = 0;
    std::uint16_t method = 0;
    std::uint32_t crc_change = 0;
    std::optional<std::uint32_t> header = {};  // where the directory says it begins
};
Bytes zip_of(std::vector<TestEntry> const& entries, std::string const& before = "") {
    ByteWriter writer;
    writer.raw(as_bytes(before));
    ByteWriter directory;
    for (auto const& entry : entries) {
        auto at = static_cast<std::uint32_t>(writer.size());
        auto const& name = entry.local_name.empty() ? entry.name : entry.local_name;
        auto size = static_cast<std::uint32_t>(entry.data.size());
        auto crc = crc32(as_bytes(entry.data)) ^ entry.crc_change;
        auto common = [&](ByteWriter& to, std::uint16_t flags, std::string const& called) {
            to.u16(flags), to.u16(entry.method), to.u32(0), to.u32(crc), to.u32(size), to.u32(size);
            to.u16(static_cast<std::uint16_t>(called.size())), to.u16(0);
        };
        writer.u32(0x04034b50), writer.u16(20);
        common(writer, entry.local_flags, name);
        writer.raw(as_bytes(name)), writer.raw(as_bytes(entry.data));
        directory.u32(0x02014b50), directory.u16(20), directory.u16(20);
        common(directory, entry.flags, entry.name);
        directory.u16(0), directory.u16(0), directory.u16(0), directory.u32(0), directory.u32(entry.header.value_or(at));
        directory.raw(as_bytes(entry.name));
    }
    auto start = writer.size();
    writer.raw(directory.view());
    writer.u32(0x06054b50), writer.u16(0), writer.u16(0);
    writer.u16(static_cast<std::uint16_t>(entries.size())), writer.u16(static_cast<std::uint16_t>(entries.size()));
    writer.u32(static_cast<std::uint32_t>(directory.size())), writer.u32(static_cast<std::uint32_t>(start)), writer.u16(0);
    return writer.take();
}

// Opcodes, for pickles that no Python writes.
std::string global(std::string const& module, std::string const& name) { return "c" + module + "\n" + name + "\n"; }
std::string integer(std::uint64_t value) {
    std::string text = "\x8a\x09";
    for (int i = 0; i < 8; ++i) text += static_cast<char>(value >> (8 * i));
    return text + '\0';
}
std::string text(std::string const& value) { return "U" + std::string(1, static_cast<char>(value.size())) + value; }
std::string storage(std::string const& key, std::uint64_t elements, std::string const& type = "FloatStorage") {
    return "(" + text("storage") + global("torch", type) + text(key) + text("cpu") + integer(elements) + "tQ";
}
std::string tensor(std::string const& storage, std::uint64_t offset, std::vector<std::uint64_t> const& shape,
                   std::vector<std::uint64_t> const& strides) {
    auto tuple = [](std::vector<std::uint64_t> const& numbers) {
        std::string items = "(";
        for (auto number : numbers) items += integer(number);
        return items + "t";
    };
    return global("torch._utils", "_rebuild_tensor_v2") + "(" + storage + integer(offset) + tuple(shape) + tuple(strides) +
           "\x89" + global("collections", "OrderedDict") + ")RtR";
}
std::string state(std::string const& value) { return "\x80\x02}" + text("w") + value + "s."; }
Bytes torch_of(std::string const& pickle, std::string const& data = std::string(16, 'x')) {
    return zip_of({{.name = "m/data.pkl", .data = pickle}, {.name = "m/data/0", .data = data}});
}
ModelFile read_torch(std::string const& pickle, std::string const& data = std::string(16, 'x')) {
    return read(torch_of(pickle, data), "m.pt");
}

// ------------------------------------------------------------------------------------------ real files

TEST(Model, ReadsWhatPyTorchWrites) {
    for (auto const* name : {"state.pt", "legacy.pt"}) {
        SCOPED_TRACE(name);
        auto model = read_fixture(name);
        EXPECT_EQ(model.verdict, ModelVerdict::verified) << reasons(model);
        EXPECT_TRUE(model.warnings.empty());
        ASSERT_EQ(model.tensors.size(), 8u);
        ASSERT_EQ(model.storages.size(), 6u);
        auto const* embed = find(model, "embed.weight");
        ASSERT_TRUE(embed);
        EXPECT_EQ(embed->dtype, "F32");
        EXPECT_EQ(embed->shape, (std::vector<std::uint64_t>{8, 16}));
        EXPECT_TRUE(embed->strides.empty());
        EXPECT_EQ(embed->bytes, 512u);
        auto const* turned = find(model, "transposed");
        ASSERT_TRUE(turned);
        EXPECT_EQ(turned->strides, (std::vector<std::uint64_t>{1, 16}));
        EXPECT_EQ(turned->storage, embed->storage);
        EXPECT_EQ(find(model, "row")->offset, embed->offset + 3 * 64);
        EXPECT_EQ(find(model, "brain")->dtype, "BF16");
        EXPECT_EQ(find(model, "empty")->bytes, 0u);
        // The bytes are the tensor's: those that the safetensors file has, too.
        auto bytes = fixture(name);
        auto other_bytes = fixture("state.safetensors");
        auto other = read_fixture("state.safetensors");
        for (auto const* tensor : {"embed.weight", "half", "brain", "scalar", "mask"}) {
            auto const* a = find(model, tensor);
            auto const* b = find(other, tensor);
            ASSERT_TRUE(a && b) << tensor;
            ASSERT_EQ(a->bytes, b->bytes);
            EXPECT_TRUE(std::equal(bytes.data() + a->offset, bytes.data() + a->offset + a->bytes, other_bytes.data() + b->offset)) << tensor;
        }
    }
}

TEST(Model, ReadsCheckpointsAndScripts) {
    auto checkpoint = read_fixture("checkpoint.pt");
    EXPECT_EQ(checkpoint.verdict, ModelVerdict::verified) << reasons(checkpoint);
    EXPECT_TRUE(find(checkpoint, "optimizer.state.0.exp_avg_sq"));
    ASSERT_TRUE(find(checkpoint, "tied.0"));
    EXPECT_EQ(find(checkpoint, "tied.0")->offset, find(checkpoint, "model.weight")->offset);
    auto script = read_fixture("script.pt");
    EXPECT_EQ(script.format, "TorchScript");
    EXPECT_EQ(script.verdict, ModelVerdict::verified) << reasons(script);
    EXPECT_TRUE(find(script, "0.weight"));
}

TEST(Model, ReadsNumpy) {
    auto array = read_fixture("array.npy");
    EXPECT_EQ(array.verdict, ModelVerdict::verified) << reasons(array);
    EXPECT_EQ(array.tensors.at(0).shape, (std::vector<std::uint64_t>{3, 4}));
    EXPECT_EQ(read_fixture("fortran.npy").tensors.at(0).strides, (std::vector<std::uint64_t>{1, 3}));
    auto arrays = read_fixture("arrays.npz");
    EXPECT_EQ(arrays.verdict, ModelVerdict::verified) << reasons(arrays);
    EXPECT_EQ(find(arrays, "b")->dtype, "F16");
    EXPECT_EQ(read_fixture("compressed.npz").verdict, ModelVerdict::not_verified);
    EXPECT_EQ(read_fixture("objects.npy").verdict, ModelVerdict::suspicious);
}

// ------------------------------------------------------------------------------------------ what wants to run

TEST(Model, NamesWhatWouldRun) {
    for (auto const* name : {"runs.pt", "runs-0.pkl", "runs-1.pkl", "runs-2.pkl", "runs-4.pkl"}) {
        auto model = read_fixture(name);
        EXPECT_EQ(model.verdict, ModelVerdict::suspicious) << name;
        EXPECT_NE(reasons(model).find("it would run posix.system"), std::string::npos) << name << ": " << reasons(model);
    }
    EXPECT_TRUE(find(read_fixture("runs.pt"), "weight")) << "the rest of it is read all the same";
    std::vector<std::pair<std::string, std::string>> const gadgets = {
        {"os", "system"}, {"pip", "main"}, {"pkgutil", "resolve_name"}, {"numpy.testing._private.utils", "runstring"},
        {"logging", "FileHandler"}, {"builtins", "eval"}, {"torch.storage", "_load_from_bytes"}, {"torch", "load"},
        {"torch.FloatStorage", "__new__"}, {"torch._utils", "_rebuild_tensor_v2.__globals__"}, {"__torch__.evil", "Class"},
        {"collections", "OrderedDict.fromkeys"}};
    for (auto const& [module, function] : gadgets) {
        auto model = read_torch(state(global(module, function) + ")R"));
        EXPECT_EQ(model.verdict, ModelVerdict::suspicious) << module << "." << function;
        EXPECT_NE(reasons(model).find(module + "." + function), std::string::npos);
    }
}

TEST(Model, SeesNamesHoweverTheyAreSpelled) {
    auto suspicious = [](std::string const& pickle) { return read_torch("\x80\x02" + pickle + ".").verdict == ModelVerdict::suspicious; };
    EXPECT_TRUE(suspicious(text("os") + text("system") + "\x93)R")) << "STACK_GLOBAL";
    EXPECT_TRUE(suspicious("Nq\x01" "0h\x01" + text("system") + "\x93)R")) << "a module that is no text";
    EXPECT_TRUE(suspicious("(" + text("true") + "ios\nsystem\n")) << "INST";
    EXPECT_TRUE(suspicious("(" + global("os", "system") + text("true") + "o")) << "OBJ";
    EXPECT_TRUE(suspicious("(icollections\nOrderedDict\n")) << "INST is no opcode of the allow-list, whatever it names";
    EXPECT_TRUE(suspicious("(" + global("collections", "OrderedDict") + "o")) << "nor is OBJ";
    EXPECT_TRUE(suspicious(std::string("\x82\x01)R"))) << "the extension registry";
    EXPECT_TRUE(suspicious(global("os", "system") + ")\x81")) << "NEWOBJ";
    EXPECT_TRUE(suspicious(global("os", "system") + ")}\x92")) << "NEWOBJ_EX";
    EXPECT_TRUE(suspicious(text("a") + ")R")) << "a call of what is no name";
    EXPECT_FALSE(suspicious("}"));
}

TEST(Model, SeesThemBeforeABreakBesideTheModelAndBehindOddExtensions) {
    auto run = global("os", "system") + "(" + text("true") + "tR";
    auto broken = read_torch("\x80\x02" + run + "\xff");
    EXPECT_EQ(broken.verdict, ModelVerdict::suspicious) << "the payload runs before the break is met";
    auto pickle = "\x80\x02" + run + ".";
    for (auto const* name : {"weights.bin", "picture.png", "notes.txt", "model.safetensors.bak", "config"}) {
        EXPECT_EQ(read(as_bytes(pickle), name).verdict, ModelVerdict::suspicious) << name;
    }
    auto beside = zip_of({{.name = "m/data.pkl", .data = state("N")}, {.name = "m/extra.dat", .data = pickle}});
    EXPECT_EQ(read(beside, "m.pt").verdict, ModelVerdict::suspicious);
    EXPECT_EQ(read(zip_of({{.name = "readme.txt", .data = pickle}}), "archive.zip").verdict, ModelVerdict::suspicious);
    // What is nested in other archives is not looked at, and never called good.
    auto inner = to_text(torch_of(pickle));
    EXPECT_EQ(read(zip_of({{.name = "m.pt", .data = inner}}), "outer.zip").verdict, ModelVerdict::not_verified);
    EXPECT_EQ(read(as_bytes(std::string("7z\xbc\xaf\x27\x1c") + std::string(40, 'x')), "model.pt").verdict, ModelVerdict::not_verified);
    auto nested = std::string("x");
    for (int layer = 0; layer < 42; ++layer) nested = to_text(zip_of({{.name = "m", .data = nested}}));
    EXPECT_EQ(read(as_bytes(nested), "deep.pt").verdict, ModelVerdict::not_verified);
}

// ------------------------------------------------------------------------------------------ what is damaged

TEST(Model, ChecksTensorsAgainstTheirStorages) {
    auto verdict = [](std::string const& pickle) { return read_torch(state(pickle)).verdict; };
    std::uint64_t const huge = std::uint64_t{1} << 63;
    EXPECT_EQ(verdict(tensor(storage("0", 4), 0, {2, 2}, {2, 1})), ModelVerdict::verified);
    EXPECT_EQ(verdict(tensor(storage("0", 4), 1, {3}, {1})), ModelVerdict::verified);
    EXPECT_EQ(verdict(tensor(storage("0", 4), 0, {5}, {1})), ModelVerdict::damaged) << "more than the storage has";
    EXPECT_EQ(verdict(tensor(storage("0", 4), 2, {3}, {1})), ModelVerdict::damaged) << "an offset too far";
    EXPECT_EQ(verdict(tensor(storage("0", 4), 0, {2, 2}, {3, 1})), ModelVerdict::damaged) << "strides too far";
    EXPECT_EQ(verdict(tensor(storage("0", 5), 0, {2}, {1})), ModelVerdict::damaged) << "a storage shorter than stated";
    EXPECT_EQ(verdict(tensor(storage("0", huge), 0, {2}, {1})), ModelVerdict::damaged) << "2^63 elements";
    EXPECT_EQ(verdict(tensor(storage("0", 4), 0, {huge - 1, 4}, {2, 1})), ModelVerdict::damaged) << "elements overflow";
    EXPECT_EQ(verdict(tensor(storage("0", 4), 0, {3}, {huge - 1})), ModelVerdict::damaged) << "strides overflow";
    EXPECT_EQ(verdict(tensor(storage("0", 4), 0, {5}, {huge >> 1})), ModelVerdict::damaged) << "strides overflow to zero";
    EXPECT_EQ(verdict(tensor(storage("0", 4), huge - 1, {1}, {1})), ModelVerdict::damaged) << "the offset overflows";
    EXPECT_EQ(verdict(tensor(storage("0", 4), huge, {1}, {1})), ModelVerdict::damaged) << "a negative offset";
    EXPECT_EQ(verdict(tensor(storage("0", 4), 0, {2}, {1, 1})), ModelVerdict::damaged);
    EXPECT_EQ(verdict(tensor(storage("7", 4), 0, {2}, {1})), ModelVerdict::damaged) << "a storage that is missing";
    EXPECT_EQ(verdict(tensor(storage("0", 4, "IntStorage"), 0, {4}, {1})), ModelVerdict::verified);
    EXPECT_EQ(verdict(tensor(storage("0", 4, "DoubleStorage"), 0, {2}, {1})), ModelVerdict::damaged);
    EXPECT_EQ(verdict(tensor("N", 0, {2}, {1})), ModelVerdict::damaged) << "no storage at all";
}

TEST(Model, RefusesPicklesThatMakeNoSense) {
    auto fault = [](std::string const& pickle) { return read_pickle(as_bytes("\x80\x02" + pickle)).fault; };
    EXPECT_EQ(fault("}."), "");
    EXPECT_NE(fault("]" + text("a") + "Ns."), "") << "SETITEM on a list";
    EXPECT_NE(fault("}Na."), "") << "APPEND to a dictionary";
    EXPECT_NE(fault("."), "");
    EXPECT_NE(fault("0."), "") << "POP of nothing";
    EXPECT_NE(fault("(0(t0)e."), "");
    EXPECT_NE(fault("h\x05."), "") << "a memo that was never set";
    EXPECT_NE(fault("u."), "") << "no mark";
    EXPECT_NE(fault("}(" + text("a") + "u."), "") << "a key without a value";
    EXPECT_NE(fault("X\xff\xff\xff\xff" "abc."), "") << "4 GiB of text";
    EXPECT_NE(fault("\x8e\xff\xff\xff\xff\xff\xff\xff\xff" "abc."), "") << "2^64 bytes";
    EXPECT_NE(fault("cos"), "") << "a name without an end";
    EXPECT_NE(fault("N"), "") << "no STOP";
    EXPECT_NE(fault("(((((((((("), "");
    // A list that holds itself, and lists that double: each node is walked once.
    auto itself = read_torch(std::string("\x80\x02]q\x01h\x01" "a."));
    EXPECT_EQ(itself.verdict, ModelVerdict::verified) << reasons(itself);
    std::string doubling = "\x80\x02]q\x01";
    for (int i = 1; i < 100; ++i) doubling += "](h" + std::string(1, static_cast<char>(i)) + "h" + std::string(1, static_cast<char>(i)) + "eq" + std::string(1, static_cast<char>(i + 1));
    EXPECT_EQ(read_torch(doubling + ".").verdict, ModelVerdict::verified);
    EXPECT_EQ(read_torch("\x80\x02" + std::string(100'000, ']') + std::string(99'999, 'a') + ".").verdict, ModelVerdict::damaged) << "too deep";
}

TEST(Zip, HoldsTheDirectoryAgainstTheLocalHeaders) {
    auto faults = [](std::vector<TestEntry> const& entries) {
        auto bytes = zip_of(entries);
        MemoryAccess access(bytes);
        auto archive = read_zip(access);
        return !archive ? 1000 : archive->faults.size();
    };
    TestEntry const plain{.name = "a", .data = "content"};
    EXPECT_EQ(faults({plain, {.name = "b", .data = ""}}), 0u);
    auto other = plain;
    other.local_name = "c";
    EXPECT_GT(faults({other}), 0u) << "another name in the local header";
    other = plain;
    other.flags = 1;
    EXPECT_GT(faults({other}), 0u) << "encrypted by the directory alone";
    other = plain;
    other.local_flags = 0x800;
    EXPECT_GT(faults({other}), 0u);
    EXPECT_GT(faults({plain, plain}), 0u) << "a name twice";
    auto again = TestEntry{.name = "b", .data = "content", .local_name = {}, .header = 0};
    EXPECT_GT(faults({plain, again}), 0u) << "two entries at one place";
    // A whole entry in the bytes of another one: both readings are consistent, and they overlap.
    TestEntry const inner{.name = "b", .data = "inside"};
    auto around = TestEntry{.name = "a", .data = to_text(zip_of({inner}))};
    auto pointed = inner;
    pointed.header = 30 + 1;
    EXPECT_EQ(faults({around, pointed}), 1u) << "an entry inside of another one";
    again.header = 0xfffffff0;
    EXPECT_GT(faults({plain, again}), 0u) << "outside of the archive";
    auto wrong = zip_of({{.name = "m/data.pkl", .data = state("N")}, {.name = "m/data/0", .data = "x", .crc_change = 1}});
    EXPECT_EQ(read(wrong, "m.pt").verdict, ModelVerdict::verified);
    EXPECT_EQ(read(wrong, "m.pt", {.check_sums = true}).warnings.size(), 1u) << "PyTorch itself wrote such";
    auto prefixed = zip_of({{.name = "m/data.pkl", .data = state("N")}}, "GIF89a, and another file for who reads from the front");
    EXPECT_EQ(read(prefixed, "m.pt").verdict, ModelVerdict::not_verified);
}

TEST(Zip, RefusesAMillionEntriesThatAreNotThere) {
    auto bytes = zip_of({{.name = "a", .data = "x"}});
    bytes[bytes.size() - 22 + 8] = bytes[bytes.size() - 22 + 10] = 0xfe;
    bytes[bytes.size() - 22 + 9] = bytes[bytes.size() - 22 + 11] = 0xff;
    MemoryAccess access(bytes);
    EXPECT_EQ(read_zip(access).error().kind, ErrorKind::damaged);
}

TEST(Crc32, KnownSum) {
    EXPECT_EQ(crc32(as_bytes("123456789")), 0xcbf43926u);
    EXPECT_EQ(crc32(as_bytes("6789"), crc32(as_bytes("12345"))), 0xcbf43926u);
}

// ------------------------------------------------------------------------------------------ ONNX, GGUF

std::string varint(std::uint64_t value) {
    std::string bytes;
    for (; value >= 128; value >>= 7) bytes += static_cast<char>(value | 128);
    return bytes + static_cast<char>(value);
}
std::string number(unsigned field, std::uint64_t value) { return varint(field << 3) + varint(value); }
std::string bytes(unsigned field, std::string const& value) { return varint(field << 3 | 2) + varint(value.size()) + value; }

TEST(Onnx, ReadsInitializersAndConstantsAndRefusesPathsOutside) {
    auto weight = number(1, 2) + number(1, 3) + number(2, 1) + bytes(8, "w") + bytes(9, std::string(24, 'x'));
    auto constant = bytes(5, bytes(1, "value") + bytes(5, number(1, 2) + number(2, 7) + bytes(8, "c") + bytes(9, std::string(16, 'y'))));
    auto model_of = [](std::string const& graph) { return number(1, 8) + bytes(7, graph); };
    auto good = model_of(bytes(5, weight) + bytes(1, constant));
    auto model = read(as_bytes(good), "m.onnx");
    EXPECT_EQ(model.verdict, ModelVerdict::verified) << reasons(model);
    ASSERT_EQ(model.tensors.size(), 2u);
    EXPECT_EQ(model.tensors[0].shape, (std::vector<std::uint64_t>{2, 3}));
    EXPECT_EQ(good.substr(model.tensors[0].offset, 24), std::string(24, 'x'));
    auto external = [&](std::string const& path) {
        return read(as_bytes(model_of(bytes(5, number(1, 2) + number(2, 1) + bytes(8, "e") + bytes(13, bytes(1, "location") + bytes(2, path)) +
                                                   number(14, 1)))), "m.onnx").verdict;
    };
    EXPECT_EQ(external("weights.bin"), ModelVerdict::not_verified);
    EXPECT_EQ(external("../../etc/passwd"), ModelVerdict::suspicious);
    EXPECT_EQ(external("a/../../b"), ModelVerdict::suspicious);
    EXPECT_EQ(external("/etc/passwd"), ModelVerdict::suspicious);
    EXPECT_EQ(external("..\\b"), ModelVerdict::suspicious);
    auto shorter = number(1, 7) + number(2, 1) + bytes(8, "w") + bytes(9, std::string(24, 'x'));
    EXPECT_EQ(read(as_bytes(model_of(bytes(5, shorter))), "m.onnx").verdict, ModelVerdict::damaged);
    auto huge = number(1, ~0ull) + number(1, 16) + number(2, 1) + bytes(9, "");
    EXPECT_EQ(read(as_bytes(model_of(bytes(5, huge))), "m.onnx").verdict, ModelVerdict::damaged);
    EXPECT_EQ(read(as_bytes(good.substr(0, good.size() - 1)), "m.onnx").verdict, ModelVerdict::damaged);
    // Graphs in graphs in graphs.
    auto nested = bytes(5, weight);
    for (int i = 0; i < 100; ++i) nested = bytes(1, bytes(5, bytes(6, nested)));
    EXPECT_EQ(read(as_bytes(model_of(nested)), "m.onnx").verdict, ModelVerdict::not_verified);
}

Bytes gguf(std::uint64_t count, std::uint64_t dimension, std::uint32_t type, std::uint64_t offset, std::size_t data) {
    ByteWriter writer;
    auto string = [&](std::string_view text) { writer.u64(text.size()), writer.raw(as_bytes(text)); };
    writer.raw(as_bytes("GGUF")), writer.u32(3), writer.u64(count), writer.u64(2);
    string("general.name"), writer.u32(8), string("test");
    string("list"), writer.u32(9), writer.u32(5), writer.u64(3), writer.u32(1), writer.u32(2), writer.u32(3);
    string("w"), writer.u32(2), writer.u64(dimension), writer.u64(2), writer.u32(type), writer.u64(offset);
    while (writer.size() % 32 != 0) writer.u8(0);
    writer.raw(Bytes(data, 1));
    return writer.take();
}
TEST(Gguf, ReadsTensorsAndChecksThem) {
    auto model = read(gguf(1, 64, 2, 0, 72), "m.gguf");
    EXPECT_EQ(model.verdict, ModelVerdict::verified) << reasons(model);
    EXPECT_EQ(model.tensors.at(0).dtype, "Q4_0");
    EXPECT_EQ(model.tensors.at(0).bytes, 72u);
    EXPECT_EQ(model.tensors.at(0).shape, (std::vector<std::uint64_t>{2, 64}));
    EXPECT_EQ(read(gguf(1, 64, 2, 0, 71), "m.gguf").verdict, ModelVerdict::damaged);
    EXPECT_EQ(read(gguf(1, 63, 2, 0, 72), "m.gguf").verdict, ModelVerdict::damaged) << "no whole blocks";
    EXPECT_EQ(read(gguf(1, 64, 2, 8, 90), "m.gguf").verdict, ModelVerdict::damaged) << "not aligned";
    EXPECT_EQ(read(gguf(1, 1ull << 63, 0, 0, 72), "m.gguf").verdict, ModelVerdict::damaged);
    EXPECT_EQ(read(gguf(1ull << 63, 64, 2, 0, 72), "m.gguf").verdict, ModelVerdict::damaged);
    EXPECT_EQ(read(gguf(1, 64, 99, 0, 72), "m.gguf").verdict, ModelVerdict::not_verified);
}

// ------------------------------------------------------------------------------------------ noise

// Every truncation and every flip of every real file: a verdict, no crash, nothing outside of the file.
TEST(Model, SurvivesTruncationAndFlips) {
    std::mt19937 random(1);
    for (auto const& entry : std::filesystem::directory_iterator(fixtures())) {
        auto name = entry.path().filename().string();
        if (name == "make") continue;
        auto const good = fixture(name);
        auto check = [&](Bytes const& bytes) {
            auto model = read(bytes, name, {.check_sums = true});
            for (auto const& tensor : model.tensors) {
                ASSERT_LE(tensor.offset, bytes.size());
                ASSERT_LE(tensor.bytes, bytes.size() - tensor.offset);
                ASSERT_LT(tensor.storage, model.storages.size());
            }
            for (auto const& storage : model.storages) {
                ASSERT_LE(storage.offset, bytes.size());
                ASSERT_LE(storage.bytes, bytes.size() - storage.offset);
            }
            ASSERT_EQ(model.verdict == ModelVerdict::verified, model.reasons.empty());
        };
        for (std::size_t size = 0; size < good.size(); ++size) {
            auto cut = Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size));
            check(cut);
            if (size > 0 && !name.starts_with("runs") && name != "objects.npy") {
                EXPECT_NE(read(cut, name).verdict, ModelVerdict::verified) << name << " cut to " << size;
            }
        }
        for (std::size_t i = 0; i < good.size(); ++i) {
            auto flipped = good;
            flipped[i] ^= static_cast<std::uint8_t>(1 + random() % 255);
            check(flipped);
        }
    }
}

}  // namespace
}  // namespace holdfast
