#include "sources/models/tensor_export.h"

#include <gmock/gmock.h>

#include <fstream>
#include <numeric>

#include "formats/tensor_rows.h"
#include "os/simulated_file_system.h"

namespace holdfast {
namespace {

// Files by name, in memory.
class Files {
  public:
    std::string& operator[](std::string const& name) { return files_[name]; }
    void take_fixture(std::string const& name) {
        std::ifstream file(std::string(HOLDFAST_FIXTURES) + "/models/" + name, std::ios::binary);
        EXPECT_TRUE(file) << name;
        files_[name] = std::string(std::istreambuf_iterator<char>(file), {});
    }
    TensorSet::Open open() {
        return [this](std::string const& path) -> Result<std::unique_ptr<RandomAccess>> {
            auto at = files_.find(path);
            if (at == files_.end()) return fail(ErrorKind::not_found, "it is not there");
            return std::unique_ptr<RandomAccess>(std::make_unique<MemoryAccess>(as_bytes(at->second)));
        };
    }

  private:
    std::map<std::string, std::string> files_;
};

class TensorExportTest : public testing::Test {
  protected:
    Result<TensorSet> select(std::string const& path, std::vector<std::string> const& patterns, TensorSet::Options options = {}) {
        return TensorSet::open(path, patterns, files.open(), options);
    }
    Result<std::vector<ExportedFile>> write(TensorSet const& set, TensorForm form = TensorForm::safetensors) {
        ExportOptions options{.form = form, .directory = "/out", .name = "out.safetensors"};
        return export_tensors(set, options, disk, random, {}, {});
    }
    std::string read(std::string const& path) {
        auto file = disk.open(path);
        EXPECT_TRUE(file) << path;
        if (!file) return {};
        Bytes bytes((*file)->size().value());
        EXPECT_TRUE(read_full(**file, 0, bytes));
        return to_text(bytes);
    }
    std::vector<std::string> names() {
        std::vector<std::string> found;
        auto const entries = disk.list("/out").value();
        for (auto const& entry : entries) found.push_back(entry.name);
        return found;
    }
    // What stands in the file, tensor by tensor.
    std::map<std::string, std::string> rows(std::string const& file, std::string const& name) {
        MemoryAccess access(as_bytes(file));
        auto model = read_model(access, name);
        EXPECT_TRUE(model);
        EXPECT_EQ(model->verdict, ModelVerdict::verified) << testing::PrintToString(model->reasons);
        std::map<std::string, std::string> found;
        for (auto const& tensor : model->tensors) {
            auto& content = found[tensor.dtype + " " + tensor.name];
            auto sink = [&](ByteView bytes) -> Result<void> { return content += as_text(bytes), Result<void>(); };
            EXPECT_TRUE(read_rows(access, tensor, sink));
        }
        return found;
    }

    void SetUp() override {
        ASSERT_TRUE(disk.make_directory("/out", 0755));
        ASSERT_TRUE(disk.sync_directory("/"));
    }
    Files files;
    SeededRandom random{1};
    SimulatedFileSystem disk{1};
};

TEST_F(TensorExportTest, TheSameTensorsComeOutOfEachFormat) {
    files.take_fixture("state.pt");
    files.take_fixture("legacy.pt");
    files.take_fixture("state.safetensors");
    auto expected = rows(files["state.safetensors"], "state.safetensors");
    ASSERT_EQ(expected.size(), 6u);
    for (auto const* name : {"state.pt", "legacy.pt", "state.safetensors"}) {
        auto set = select(name, {"embed.weight", "half", "brain", "scalar", "empty", "mask"});
        ASSERT_TRUE(set) << set.error().message;
        auto made = write(*set);
        ASSERT_TRUE(made) << made.error().message;
        auto content = read("/out/out.safetensors");
        EXPECT_EQ((*made)[0].bytes, content.size());
        EXPECT_EQ(rows(content, "out.safetensors"), expected) << name;
        EXPECT_THAT(names(), testing::ElementsAre("out.safetensors"));
    }
}

// PyTorch wrote both views of one storage; the file that is made has the numbers of each, in order.
TEST_F(TensorExportTest, ViewsBecomeTensorsOfTheirOwn) {
    files.take_fixture("state.pt");
    auto set = select("state.pt", {"**"});
    ASSERT_TRUE(set);
    ASSERT_TRUE(write(*set));
    auto found = rows(read("/out/out.safetensors"), "out.safetensors");
    EXPECT_EQ(found.size(), 8u);
    auto const &whole = found.at("F32 embed.weight"), &transposed = found.at("F32 transposed");
    std::string expected;
    for (std::size_t column = 0; column < 16; ++column) {
        for (std::size_t row = 0; row < 8; ++row) expected += whole.substr((row * 16 + column) * 4, 4);
    }
    EXPECT_EQ(transposed, expected);
    EXPECT_EQ(found.at("F32 row"), whole.substr(3 * 16 * 4, 16 * 4));
}

TEST_F(TensorExportTest, OnlyWhatWasAskedForIsTaken) {
    files.take_fixture("state.pt");
    auto set = select("state.pt", {"embed.*"});
    ASSERT_TRUE(set);
    ASSERT_TRUE(write(*set));
    auto found = rows(read("/out/out.safetensors"), "out.safetensors");
    ASSERT_EQ(found.size(), 1u);
    EXPECT_TRUE(found.begin()->first.ends_with(" embed.weight"));
    auto missed = select("state.pt", {"embed.*", "embed.wieght"});
    ASSERT_FALSE(missed);
    EXPECT_EQ(missed.error().kind, ErrorKind::not_found);
    EXPECT_THAT(missed.error().message, testing::HasSubstr("'state.pt': no tensor matches 'embed.wieght'"));
    EXPECT_THAT(missed.error().hint, testing::HasSubstr("embed.weight"));
}

TEST_F(TensorExportTest, ADamagedFileIsRefusedUnlessItIsAskedFor) {
    files.take_fixture("state.safetensors");
    auto& file = files["state.safetensors"];
    file.resize(file.size() - 1);
    auto set = select("state.safetensors", {"**"});
    ASSERT_FALSE(set);
    EXPECT_EQ(set.error().kind, ErrorKind::check_failed);
    EXPECT_THAT(set.error().message, testing::HasSubstr("'state.safetensors': it is damaged"));
    files.take_fixture("legacy.pt");
    auto& legacy = files["legacy.pt"];
    legacy.resize(legacy.size() - 1);
    EXPECT_FALSE(select("legacy.pt", {"**"}));
    auto rest = select("legacy.pt", {"**"}, {.skip_damaged = true});
    ASSERT_TRUE(rest) << rest.error().message;
    EXPECT_GE(rest->tensors().size(), 1u);
    EXPECT_LT(rest->tensors().size(), 8u);
    EXPECT_EQ(rest->findings()[0].verdict, Finding::Verdict::damaged);
}

std::string one_tensor(std::string const& name, std::string const& numbers) {
    std::string header = R"({")" + name + R"(":{"dtype":"BF16","shape":[)" + std::to_string(numbers.size() / 2) + R"(],"data_offsets":[0,)" +
                         std::to_string(numbers.size()) + "]}}";
    std::uint64_t size = header.size();
    return std::string(reinterpret_cast<char const*>(&size), 8) + header + numbers;
}

TEST_F(TensorExportTest, AShardedModelIsOne) {
    files["d/m.safetensors.index.json"] = R"({"weight_map":{"a":"1.safetensors","b":"2.safetensors","c":"3.safetensors"}})";
    files["d/1.safetensors"] = one_tensor("a", "1234");
    files["d/2.safetensors"] = one_tensor("b", "56");
    auto set = select("d/m.safetensors.index.json", {"[ab]"});
    ASSERT_TRUE(set) << set.error().message;
    EXPECT_EQ(set->findings().size(), 2u) << "the third is not needed";
    ASSERT_TRUE(write(*set));
    EXPECT_THAT(rows(read("/out/out.safetensors"), "x.safetensors"),
                testing::ElementsAre(testing::Pair("BF16 a", "1234"), testing::Pair("BF16 b", "56")));
    auto missing = select("d/m.safetensors.index.json", {"*"});
    ASSERT_FALSE(missing);
    EXPECT_THAT(missing.error().message, testing::HasSubstr("'3.safetensors'"));
}

TEST_F(TensorExportTest, NumPyFilesAreOneATensor) {
    files.take_fixture("state.pt");
    auto all = select("state.pt", {"**"});
    ASSERT_TRUE(all);
    auto refused = write(*all, TensorForm::npy);
    ASSERT_FALSE(refused) << "there is a bfloat16 tensor";
    EXPECT_THAT(refused.error().message, testing::HasSubstr("NumPy has no elements of type BF16"));
    EXPECT_THAT(names(), testing::IsEmpty());
    auto set = select("state.pt", {"embed.*"});
    ASSERT_TRUE(write(*set, TensorForm::npy));
    EXPECT_THAT(names(), testing::ElementsAre("embed.weight.npy"));
    EXPECT_EQ(rows(read("/out/embed.weight.npy"), "x.npy").begin()->second, rows(files["state.pt"], "state.pt").at("F32 embed.weight"));
    EXPECT_EQ(npy_name("/encoder/w%"), "%2Fencoder%2Fw%25.npy");
}

// Whatever fails, there is the old file or the new one, and nothing beside it.
TEST_F(TensorExportTest, AFileIsThereWholeOrNotAtAll) {
    files.take_fixture("state.pt");
    auto set = select("state.pt", {"embed.*"});
    ASSERT_TRUE(write(*set));
    auto const old = read("/out/out.safetensors");
    auto all = select("state.pt", {"**"});
    auto const before = disk.operations();
    ASSERT_TRUE(write(*all));
    auto const count = disk.operations() - before;
    auto const fresh = read("/out/out.safetensors");
    ASSERT_NE(old, fresh);
    for (std::uint64_t i = 0; i < count; ++i) {
        ASSERT_TRUE(write(*set));
        disk.fail_operation(disk.operations() + i, i % 2 ? ErrorKind::io : ErrorKind::no_space);
        auto failed = write(*all);
        ASSERT_FALSE(failed) << i;
        EXPECT_THAT(failed.error().message, testing::HasSubstr("write '/out/out.safetensors'"));
        auto content = read("/out/out.safetensors");
        EXPECT_TRUE(content == old || content == fresh) << i;
        EXPECT_THAT(names(), testing::ElementsAre("out.safetensors")) << i;
    }
    for (std::uint64_t i = 0; i < count; ++i) {
        ASSERT_TRUE(write(*set));
        disk.crash_at(disk.operations() + i);
        ASSERT_FALSE(write(*all)) << i;
        disk.lose_power({});
        auto content = read("/out/out.safetensors");
        EXPECT_TRUE(content == old || content == fresh) << i;
    }
}

}  // namespace
}  // namespace holdfast
