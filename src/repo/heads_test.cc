#include "repo/heads.h"

#include <fstream>
#include <gtest/gtest.h>
#include <thread>

#include "os/random.h"

namespace holdfast {
namespace {

struct HeadsTest : testing::Test {
    std::filesystem::path state = make_directory();
    RepositoryId repository{{1, 2, 3}};
    HeadsFile file{state, repository};
    std::filesystem::path path = state / repository.hex() / "heads.json";
    BundleId writer{{9}};

    static std::filesystem::path make_directory() {
        auto pattern = (std::filesystem::temp_directory_path() / "heads-XXXXXX").string();
        return mkdtemp(pattern.data());
    }
    ~HeadsTest() override { std::filesystem::remove_all(state); }

    std::string read() const {
        std::ifstream in(path, std::ios::binary);
        return {std::istreambuf_iterator<char>(in), {}};
    }
    void write(std::string const& text) const {
        std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
    }
};

TEST_F(HeadsTest, RemembersAndAdvances) {
    EXPECT_TRUE(file.load()->heads.empty());
    LogHead head{7, sha256(as_bytes("seven"))};
    ASSERT_TRUE(file.update([&](auto& mine) { mine.advance({{writer, head}}); }, {}));
    EXPECT_EQ(file.load()->heads, (LogHeads{{writer, head}}));
    // Older news changes nothing.
    ASSERT_TRUE(file.update([&](auto& mine) { mine.advance({{writer, {6, {}}}}); }, {}));
    EXPECT_EQ(file.load()->heads, (LogHeads{{writer, head}}));
    LogClaim claim{writer, {9, sha256(as_bytes("nine"))}};
    ASSERT_TRUE(file.update([&](auto& mine) { mine.accepted.insert(claim); }, {}));
    EXPECT_EQ(file.load()->accepted, std::set{claim});
    EXPECT_EQ(file.load()->heads, (LogHeads{{writer, head}}));
}

TEST_F(HeadsTest, DamageIsSeenAndReplacedOnlyWhenAsked) {
    LogHead head{7, sha256(as_bytes("seven"))};
    auto advance = [&](auto& mine) { mine.advance({{writer, head}}); };
    ASSERT_TRUE(file.update(advance, {}));
    auto const text = read();
    for (std::size_t i = 0; i < text.size(); ++i) {
        auto flipped = text;
        flipped[i] = static_cast<char>(flipped[i] ^ 1);
        write(flipped);
        ASSERT_EQ(file.load().error().kind, ErrorKind::damaged) << i;
        write(text.substr(0, i));
        ASSERT_EQ(file.load().error().kind, ErrorKind::damaged) << i;
    }
    EXPECT_EQ(file.update(advance, {}).error().kind, ErrorKind::damaged);
    ASSERT_TRUE(file.update(advance, {.replace_damaged = true}));
    EXPECT_EQ(read(), text);
    // What another repository's file says is not ours.
    HeadsFile other(state, RepositoryId{{4}});
    EXPECT_TRUE(other.load()->heads.empty());
}

TEST_F(HeadsTest, ProcessesTakeTurns) {
    auto work = [&](std::uint8_t who) {
        HeadsFile mine(state, repository);
        for (std::uint64_t n = 1; n <= 20; ++n)
            if (!mine.update([&](auto& all) { all.advance({{BundleId{{who}}, {n, {}}}}); }, {}))
                return false;
        return true;
    };
    bool a = false, b = false;
    {
        std::jthread first([&] { a = work(1); });
        std::jthread second([&] { b = work(2); });
    }
    EXPECT_TRUE(a && b);
    auto remembered = file.load();
    EXPECT_EQ(remembered->heads[BundleId{{1}}].n, 20u);
    EXPECT_EQ(remembered->heads[BundleId{{2}}].n, 20u);
}

TEST_F(HeadsTest, WithoutAStateDirectoryNothingIsRemembered) {
    HeadsFile none({}, repository);
    ASSERT_TRUE(none.update([&](auto& mine) { mine.advance({{writer, {1, {}}}}); }, {}));
    EXPECT_TRUE(none.load()->heads.empty());
}

}  // namespace
}  // namespace holdfast
