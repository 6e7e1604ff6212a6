#include "sources/models/models_source.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <random>

#include "archive/test_directory.h"
#include "archive/test_repository.h"

namespace holdfast {
namespace {

// Through the real way in and out: chunks, frames, packs, index.
class ModelsSourceTest : public testing::Test {
  protected:
    TestDirectory home, target, cache;
    ManualClock clock{Time(std::chrono::seconds(4'000'000'000))};
    SeededRandom random{1};
    CachingRepository repository{clock, random, cache.path()};

    Capture capture(Source& source) {
        auto ingest = make_ingest(repository, {}, {});
        EXPECT_TRUE(ingest);
        CaptureContext context{repository, **ingest, "d", {}, {}, {}};
        auto captured = source.capture(context);
        EXPECT_TRUE(captured) << captured.error().message;
        EXPECT_TRUE((*ingest)->flush());
        EXPECT_TRUE(source.committed(repository));
        return captured ? std::move(*captured) : Capture{};
    }
    RestoreResult restore(Source& source, RecoveryPoint const& point, ProgressCallback progress = {}) {
        auto fetch = make_fetch(repository, {}, {});
        EXPECT_TRUE(fetch);
        RestoreContext context{**fetch, point, "",  target.path(), {.delete_extra = true, .durable = false},
                               {},      std::move(progress), {}};
        auto result = source.restore(context);
        EXPECT_TRUE(result) << result.error().message;
        return result ? std::move(*result) : RestoreResult{};
    }
};

TEST_F(ModelsSourceTest, WhatTheCapturePassedOverIsNotForeign) {
    home.file("vit/weights.bin", "1");
    home.file("vit/x.tmp", "2");
    home.file("cache/y", "3");
    auto source = make_models_source({.paths = {home.path().string()}, .exclude = {"*.tmp", home / "cache"}});
    auto captured = capture(*source);
    EXPECT_EQ(captured.point.files, 1u);
    EXPECT_EQ(captured.point.attributes["paths"], home.path().string());
    target.file("vit/x.tmp", "mine");
    target.file("cache/y", "mine");
    target.file("foreign", "");
    auto result = restore(*source, captured.point);
    EXPECT_EQ(result.deleted, 1u);
    EXPECT_EQ(target.read("vit/x.tmp"), "mine");
    EXPECT_EQ(target.read("cache/y"), "mine");
    EXPECT_EQ(target.read("vit/weights.bin"), "1");
    EXPECT_FALSE(target.has("foreign"));
}

TEST_F(ModelsSourceTest, ProgressKnowsTheWhole) {
    home.file("weights.bin", std::string(1 << 20, 'w'));
    auto source = make_models_source({.paths = {home.path().string()}});
    auto captured = capture(*source);
    Progress last;
    restore(*source, captured.point, [&](Progress const& at) { last = at; });
    EXPECT_EQ(last.files_total, 1u);
    EXPECT_EQ(last.bytes_total, captured.point.bytes);
}

std::string fixture(std::string const& name) {
    std::ifstream file(std::string(HOLDFAST_FIXTURES) + "/models/" + name, std::ios::binary);
    EXPECT_TRUE(file) << name;
    return std::string(std::istreambuf_iterator<char>(file), {});
}

// Weights of `count` numbers, other ones for each seed, as bytes.
std::string weights(std::size_t count, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0, 0.02f);
    std::vector<float> numbers(count);
    for (auto& number : numbers) number = normal(random);
    return std::string(reinterpret_cast<char const*>(numbers.data()), count * sizeof(float));
}
// A safetensors file and a PyTorch file of the same three tensors.
std::string safetensors_of(std::vector<std::string> const& tensors) {
    std::string header = "{", data;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
        header += (i ? "," : "") + std::string("\"t") + std::to_string(i) + "\":{\"dtype\":\"F32\",\"shape\":[" +
                  std::to_string(tensors[i].size() / 4) + "],\"data_offsets\":[" + std::to_string(data.size()) + "," +
                  std::to_string(data.size() + tensors[i].size()) + "]}";
        data += tensors[i];
    }
    header += "}";
    std::uint64_t size = header.size();
    return std::string(reinterpret_cast<char const*>(&size), 8) + header + data;
}
std::string torch_of(std::vector<std::string> const& tensors) {
    auto integer = [](std::uint32_t value) { return "J" + std::string(reinterpret_cast<char const*>(&value), 4); };
    auto text = [](std::string const& value) { return "U" + std::string(1, static_cast<char>(value.size())) + value; };
    std::string pickle = "\x80\x02}";
    std::vector<std::pair<std::string, std::string>> entries(1);
    for (std::size_t i = 0; i < tensors.size(); ++i) {
        auto count = integer(static_cast<std::uint32_t>(tensors[i].size() / 4));
        pickle += text("t" + std::to_string(i)) + "ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + "ctorch\nFloatStorage\n" +
                  text(std::to_string(i)) + text("cpu") + count + "tQK" + std::string(1, '\0') + count + "\x85" + "K\x01\x85\x89}tRs";
        entries.emplace_back("m/data/" + std::to_string(i), tensors[i]);
    }
    entries[0] = {"m/data.pkl", pickle + "."};
    ByteWriter file, directory;
    for (auto const& [name, data] : entries) {
        auto common = [&](ByteWriter& to) {
            to.u16(0), to.u16(0), to.u32(0), to.u32(0), to.u32(static_cast<std::uint32_t>(data.size())), to.u32(static_cast<std::uint32_t>(data.size()));
            to.u16(static_cast<std::uint16_t>(name.size())), to.u16(0);
        };
        directory.u32(0x02014b50), directory.u32(0);
        common(directory);
        directory.u16(0), directory.u32(0), directory.u32(0), directory.u32(static_cast<std::uint32_t>(file.size()));
        directory.raw(as_bytes(name));
        file.u32(0x04034b50), file.u16(0);
        common(file);
        file.raw(as_bytes(name)), file.raw(as_bytes(data));
    }
    auto start = static_cast<std::uint32_t>(file.size());
    file.raw(directory.view());
    file.u32(0x06054b50), file.u32(0);
    file.u16(static_cast<std::uint16_t>(entries.size())), file.u16(static_cast<std::uint16_t>(entries.size()));
    file.u32(static_cast<std::uint32_t>(directory.size())), file.u32(start), file.u16(0);
    return to_text(file.view());
}

TEST_F(ModelsSourceTest, OneTensorIsStoredOnceWhateverFileItSitsIn) {
    std::vector<std::string> tensors = {weights(700'000, 1), weights(30'000, 2), weights(300, 3)};
    home.file("a.safetensors", safetensors_of(tensors));
    auto source = make_models_source({.paths = {home.path().string()}});
    {
        auto ingest = make_ingest(repository, {}, {});
        ASSERT_TRUE(ingest);
        CaptureContext context{repository, **ingest, "d", {}, {}, {}};
        ASSERT_TRUE(source->capture(context));
        ASSERT_TRUE((*ingest)->flush());
        auto first = (*ingest)->statistics();
        // Coded in planes: 32-bit weights take 83 %, and the parity of their packs 5 % of that. zstd would reach 97 %.
        EXPECT_LT(first.bytes_stored, first.bytes_new * 89 / 100);
    }
    std::reverse(tensors.begin(), tensors.end());
    home.file("b.pth", torch_of(tensors));
    auto ingest = make_ingest(repository, {}, {});
    ASSERT_TRUE(ingest);
    CaptureContext context{repository, **ingest, "d", {}, {}, {}};
    auto captured = source->capture(context);
    ASSERT_TRUE(captured);
    ASSERT_TRUE((*ingest)->flush());
    ASSERT_EQ(captured->findings.size(), 2u);
    for (auto const& finding : captured->findings) {
        EXPECT_EQ(finding.verdict, Finding::Verdict::verified) << finding.object << ": " << finding.detail;
    }
    // Of the second file there is only the skeleton: names, headers, the directory, and the tree's own.
    EXPECT_LT((*ingest)->statistics().bytes_new, 4096u);
    restore(*source, captured->point);
    EXPECT_EQ(target.read("b.pth"), home.read("b.pth"));
    EXPECT_EQ(target.read("a.safetensors"), home.read("a.safetensors"));
}

TEST_F(ModelsSourceTest, ASetOfFilesIsWholeOrItsIndexSaysWhatIsMissing) {
    home.file("m-1.safetensors", safetensors_of({weights(100, 1), weights(100, 2)}));
    home.file("m-2.safetensors", safetensors_of({weights(100, 3)}));
    auto index = [&](std::string const& map) { home.file("m.safetensors.index.json", R"({"weight_map":{)" + map + "}}"); };
    auto source = make_models_source({.paths = {home.path().string()}});
    auto finding = [&]() -> Finding {
        auto findings = source->validate(home.path(), {});
        EXPECT_TRUE(findings);
        for (auto& one : *findings) {
            if (one.object == "m.safetensors.index.json") return one;
        }
        ADD_FAILURE() << "no finding";
        return {};
    };
    index(R"("t1":"m-1.safetensors","t0":"m-2.safetensors")");
    EXPECT_EQ(finding().verdict, Finding::Verdict::verified) << finding().detail;
    index(R"("t1":"m-1.safetensors","t0":"m-3.safetensors")");
    EXPECT_EQ(finding().verdict, Finding::Verdict::damaged);
    EXPECT_EQ(finding().detail, "'m-3.safetensors' is missing");
    index(R"("t1":"m-2.safetensors")");
    EXPECT_EQ(finding().detail, "'m-2.safetensors' does not hold 't1'");
    index(R"("t1":"../m-1.safetensors")");
    EXPECT_EQ(finding().verdict, Finding::Verdict::suspicious);
    home.file("m-2.safetensors", "cut");
    index(R"("t0":"m-2.safetensors")");
    EXPECT_EQ(finding().verdict, Finding::Verdict::damaged);
}

TEST_F(ModelsSourceTest, EveryFileComesBackWhateverItIs) {
    std::vector<std::string> names;
    for (auto const& entry : std::filesystem::directory_iterator(std::string(HOLDFAST_FIXTURES) + "/models")) {
        names.push_back(entry.path().filename().string());
        home.file(names.back(), fixture(names.back()));
        home.file("cut-" + names.back(), fixture(names.back()).substr(0, fixture(names.back()).size() / 2));
    }
    auto source = make_models_source({.paths = {home.path().string()}});
    auto captured = capture(*source);
    auto verdict = [&](std::string const& name) {
        for (auto const& finding : captured.findings) {
            if (finding.object.ends_with("/" + name)) return finding.verdict;
        }
        ADD_FAILURE() << name;
        return Finding::Verdict::verified;
    };
    EXPECT_EQ(verdict("state.pt"), Finding::Verdict::verified);
    EXPECT_EQ(verdict("runs.pt"), Finding::Verdict::suspicious);
    EXPECT_EQ(verdict("cut-state.safetensors"), Finding::Verdict::damaged);
    EXPECT_EQ(verdict("make"), Finding::Verdict::not_verified);
    restore(*source, captured.point);
    for (auto const& name : names) {
        EXPECT_EQ(target.read(name), home.read(name)) << name;
        EXPECT_EQ(target.read("cut-" + name), home.read("cut-" + name)) << name;
    }
    auto after = source->validate(target.path(), {});
    ASSERT_TRUE(after);
    EXPECT_EQ(after->size(), captured.findings.size());
}

// The files of one step, as a training leaves them.
class CheckpointSetTest : public ModelsSourceTest {
  protected:
    CheckpointSetTest() { write("old"); }
    void write(std::string const& content) {
        for (auto const* name : {"step-1/a.safetensors", "step-1/optimizer.bin", "step-1/z.json"}) home.file(name, content);
    }
    std::unique_ptr<Source> source(CheckpointRules rules = {}) {
        return make_models_source({.paths = {home.path().string()}, .exclude = {"*.tmp"}, .checkpoints = std::move(rules)});
    }
    // As if the file had been written to so long before now.
    void age(std::string const& name, Duration before_now) {
        auto const seconds = std::chrono::floor<std::chrono::seconds>(clock.now() - before_now).time_since_epoch().count();
        timespec const times[2] = {{.tv_sec = seconds, .tv_nsec = 0}, {.tv_sec = seconds, .tv_nsec = 0}};
        ASSERT_EQ(::utimensat(AT_FDCWD, (home / name).c_str(), times, 0), 0);
    }
    // Captures; `meddle` is called each time the optimizer's turn has come.
    Capture capture_while(std::function<void()> const& meddle) {
        auto ingest = make_ingest(repository, {}, {});
        EXPECT_TRUE(ingest);
        auto meddling = [&](Progress const& at) {
            if (at.current.ends_with("optimizer.bin")) meddle();
        };
        CaptureContext context{repository, **ingest, "d", {}, meddling, {}};
        auto captured = source()->capture(context);
        EXPECT_TRUE(captured) << captured.error().message;
        EXPECT_TRUE((*ingest)->flush());
        return captured ? std::move(*captured) : Capture{};
    }
    std::string step() { return home / "step-1"; }
};

TEST_F(CheckpointSetTest, ItsFilesAreOfOneMoment) {
    int times = 0;
    auto captured = capture_while([&] {
        if (++times == 1) write("fresh");  // the first file has been read by now
    });
    EXPECT_EQ(captured.problem_count, 0u) << captured.problems[0].message;
    auto source = this->source();
    restore(*source, captured.point);
    for (auto const* name : {"step-1/a.safetensors", "step-1/optimizer.bin", "step-1/z.json"}) EXPECT_EQ(target.read(name), "fresh") << name;
}

TEST_F(CheckpointSetTest, OneThatNeverHoldsStillIsSaidNotToBeWhole) {
    int times = 0;
    auto captured = capture_while([&] { home.file("step-1/a.safetensors", "state " + std::to_string(++times)); });
    ASSERT_EQ(captured.problem_count, 1u);
    EXPECT_EQ(captured.point.unreadable, 1u) << "the point is partial";
    EXPECT_EQ(captured.problems[0].path, step());
    EXPECT_THAT(captured.problems[0].message, testing::HasSubstr("changed while it was captured"));
    // What there was is kept all the same, and the restore says what it is.
    auto source = this->source();
    auto result = restore(*source, captured.point);
    EXPECT_TRUE(target.has("step-1/optimizer.bin"));
    ASSERT_EQ(result.problem_count, 1u);
    EXPECT_EQ(result.problems[0].path, "step-1");
}

TEST_F(CheckpointSetTest, WhatIsWrittenToIsWaitedFor) {
    auto touch = [&](Duration before_now) { age("step-1/optimizer.bin", before_now); };
    auto source = this->source();
    auto const begun = clock.elapsed();
    touch(std::chrono::seconds(-100));  // a clock that is ahead is none to wait for
    EXPECT_EQ(capture(*source).problem_count, 0u);
    EXPECT_EQ(clock.elapsed(), begun);
    touch(std::chrono::seconds(0));
    EXPECT_EQ(capture(*source).problem_count, 0u);
    EXPECT_GE(clock.elapsed() - begun, Duration(std::chrono::seconds(2)));
}

TEST_F(CheckpointSetTest, AFileUnderATemporaryNameKeepsItFromBeingWhole) {
    auto source = this->source();
    home.file("step-1/b.safetensors.tmp", "…");
    home.file("elsewhere/download.tmp", "…");  // no checkpoint is there
    EXPECT_EQ(capture(*source).problem_count, 0u) << "written to long ago: left behind";
    for (auto const* name : {"step-1/b.safetensors.tmp", "elsewhere/download.tmp"}) age(name, std::chrono::minutes(1));
    auto captured = capture(*source);
    ASSERT_EQ(captured.problem_count, 1u);
    EXPECT_THAT(captured.problems[0].message, testing::HasSubstr("'b.safetensors.tmp' is being written"));
    std::filesystem::rename(home / "step-1/b.safetensors.tmp", home / "step-1/b.safetensors");
    EXPECT_EQ(capture(*source).problem_count, 0u);
}

TEST_F(CheckpointSetTest, AnIndexThatNamesWhatIsMissingKeepsItFromBeingWhole) {
    auto source = this->source();
    home.file("step-1/m.safetensors.index.json", R"({"weight_map":{"t":"a.safetensors","u":"b.safetensors"}})");
    auto captured = capture(*source);
    ASSERT_EQ(captured.problem_count, 1u);
    EXPECT_THAT(captured.problems[0].message, testing::HasSubstr("names 'b.safetensors', which is missing"));
    EXPECT_EQ(captured.point.unreadable, 1u);
    auto result = restore(*source, captured.point);
    EXPECT_EQ(result.problem_count, 1u);
    EXPECT_EQ(target.read("step-1/a.safetensors"), "old") << "what is there may be all that is left";
    home.file("step-1/b.safetensors", "there");
    EXPECT_EQ(capture(*source).problem_count, 0u);
}

TEST_F(CheckpointSetTest, ThePlanSaysHowLongItSettles) {
    auto source = this->source({.settle = std::chrono::minutes(5)});
    auto const begun = clock.elapsed();
    age("step-1/optimizer.bin", std::chrono::minutes(1));
    EXPECT_EQ(capture(*source).problem_count, 0u);
    EXPECT_EQ(clock.elapsed() - begun, Duration(std::chrono::minutes(4)));
}

TEST_F(CheckpointSetTest, OneThatNeverSettlesIsCapturedAndSaidNotToBeWhole) {
    // Whenever somebody sleeps, the training writes.
    class Training : public ManualClock {
      public:
        using ManualClock::ManualClock;
        bool sleep(Duration duration, std::stop_token stop) override {
            bool slept = ManualClock::sleep(duration, std::move(stop));
            write();
            return slept;
        }
        std::function<void()> write;
    } training{clock.now()};
    training.write = [&] { age("step-1/optimizer.bin", clock.now() - training.now()); };
    training.write();
    CachingRepository repository{training, random, cache.path()};
    auto ingest = make_ingest(repository, {}, {});
    ASSERT_TRUE(ingest);
    CaptureContext context{repository, **ingest, "d", {}, {}, {}};
    auto const begun = training.elapsed();
    auto captured = source({.settle = std::chrono::seconds(45)})->capture(context);
    ASSERT_TRUE(captured) << captured.error().message;
    EXPECT_EQ(training.elapsed() - begun, Duration(std::chrono::seconds(90))) << "twice as long as it would take";
    ASSERT_EQ(captured->problem_count, 1u);
    EXPECT_EQ(captured->problems[0].path, step());
    EXPECT_THAT(captured->problems[0].message, testing::HasSubstr("written to less than 45.0 s ago"));
}

TEST_F(CheckpointSetTest, AFileSaysThatItIsDone) {
    // Excluded: it says so all the same.
    auto source = make_models_source({.paths = {home.path().string()}, .exclude = {"*.done"}, .checkpoints = {.settle = Duration(0), .done = "*.done"}});
    auto begun = clock.elapsed();
    auto captured = capture(*source);
    ASSERT_EQ(captured.problem_count, 1u);
    EXPECT_THAT(captured.problems[0].message, testing::HasSubstr("no '*.done' says that it is done"));
    EXPECT_EQ(clock.elapsed(), begun) << "it was written long ago: its mark will not come now";

    home.file("step-1/1.done", "");
    EXPECT_EQ(capture(*source).problem_count, 0u);
    age("step-1/optimizer.bin", Duration(0));
    begun = clock.elapsed();
    captured = capture(*source);
    ASSERT_EQ(captured.problem_count, 1u) << "that was the mark of what was there before";
    EXPECT_THAT(captured.problems[0].message, testing::HasSubstr("'optimizer.bin' was written after '*.done'"));
    EXPECT_EQ(clock.elapsed() - begun, Duration(std::chrono::minutes(1))) << "it may yet have come";

    age("step-1/1.done", Duration(0));
    begun = clock.elapsed();
    EXPECT_EQ(capture(*source).problem_count, 0u);
    EXPECT_EQ(clock.elapsed(), begun) << "nothing has to settle";
}

}  // namespace
}  // namespace holdfast
