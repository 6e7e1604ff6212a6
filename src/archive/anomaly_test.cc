#include "archive/anomaly.h"

#include <gmock/gmock.h>

namespace holdfast {
namespace {

using testing::HasSubstr;
using testing::Optional;

Randomness noise() { return {.blocks = 4, .random_blocks = 4, .entropy = 7.99}; }
Randomness text() { return {.blocks = 4, .random_blocks = 0, .entropy = 4.5}; }

std::string file(std::string const& directory, int number) { return directory + "/" + std::to_string(number); }

// A first capture: `texts` and `noises` files in each of the directories.
ChangeProfile first(std::vector<std::string> const& directories, int texts, int noises) {
    ChangeTracker tracker;
    std::uint64_t inode = 1;
    for (auto const& directory : directories) {
        for (int i = 0; i < texts; ++i) tracker.added(file(directory, i), inode++, text());
        for (int i = 0; i < noises; ++i) tracker.added(file(directory, texts + i), inode++, noise());
    }
    return tracker.finish();
}

struct Day {
    int kept = 0, rewritten_text = 0, rewritten_noise = 0, vanished = 0, added_text = 0, added_noise = 0;
    std::string ending = {};
};
ChangeProfile day(std::string const& directory, Day const& day) {
    ChangeTracker tracker;
    std::uint64_t inode = 1;
    int number = 0;
    auto next = [&] { return file(directory, number++) + day.ending; };
    for (int i = 0; i < day.kept; ++i) tracker.kept(next());
    for (int i = 0; i < day.rewritten_text; ++i) tracker.rewritten(next(), text());
    for (int i = 0; i < day.rewritten_noise; ++i) tracker.rewritten(next(), noise());
    for (int i = 0; i < day.vanished; ++i) tracker.vanished(next(), inode++);
    inode = 1'000'000;
    for (int i = 0; i < day.added_text; ++i) tracker.added(next(), inode++, text());
    for (int i = 0; i < day.added_noise; ++i) tracker.added(next(), inode++, noise());
    return tracker.finish();
}

std::vector<ChangeProfile> quiet(int days = 5) {
    std::vector<ChangeProfile> history = {first({"home"}, 200, 10)};
    for (int i = 0; i < days; ++i) history.push_back(day("home", {.kept = 200, .rewritten_text = 8, .added_text = 2}));
    return history;
}

TEST(Anomaly, EncryptionInPlaceIsSeen) {
    auto now = day("home", {.kept = 10, .rewritten_noise = 200});
    EXPECT_THAT(judge_changes(now, quiet()), Optional(HasSubstr("200 of 210 files were replaced by noise")));
    EXPECT_TRUE(judge_changes(now, quiet(0))) << "one point before is enough";
}

TEST(Anomaly, EncryptionBesideTheDeletedOriginalIsSeen) {
    auto now = day("home", {.kept = 10, .vanished = 200, .added_noise = 200});
    EXPECT_THAT(judge_changes(now, quiet()), Optional(HasSubstr("200 of 210")));
}

TEST(Anomaly, OneDirectoryOfManyIsSeen) {
    std::vector<ChangeProfile> history = {first({"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"}, 100, 3)};
    ChangeTracker tracker;
    for (int i = 0; i < 900; ++i) tracker.kept(file("a", i));
    for (int i = 0; i < 60; ++i) tracker.rewritten(file("j/deeper/down", i), noise());
    for (int i = 60; i < 100; ++i) tracker.kept(file("j/deeper/down", i));
    EXPECT_THAT(judge_changes(tracker.finish(), history), Optional(HasSubstr("in 'j/deeper': 60 of 100")));
}

TEST(Anomaly, AReleaseIsNot) {
    EXPECT_FALSE(judge_changes(day("home", {.kept = 210, .added_noise = 5000}), quiet())) << "many new archives";
    EXPECT_FALSE(judge_changes(day("home", {.kept = 10, .rewritten_text = 200, .added_text = 300}), quiet()))
        << "everything rewritten, as text";
    EXPECT_FALSE(judge_changes(day("home", {.kept = 110, .vanished = 100, .added_text = 90, .added_noise = 20}), quiet()))
        << "old versions out, new ones in, some of them packed";
}

TEST(Anomaly, WhatIsAlwaysNoiseIsNot) {
    // Checkpoints of a model, photos, packed logs: each night most files are other noise.
    std::vector<ChangeProfile> history = {first({"models"}, 3, 60)};
    for (int i = 0; i < 5; ++i) history.push_back(day("models", {.kept = 3, .rewritten_noise = 55}));
    EXPECT_FALSE(judge_changes(day("models", {.kept = 3, .rewritten_noise = 60}), history));
    EXPECT_FALSE(judge_changes(day("models", {.kept = 3, .vanished = 60, .added_noise = 60}), history));
}

TEST(Anomaly, FewFilesTellNothing) {
    std::vector<ChangeProfile> history = {first({"keys"}, 7, 0)};
    EXPECT_FALSE(judge_changes(day("keys", {.rewritten_noise = 7}), history));
    EXPECT_FALSE(judge_changes(day("home", {.kept = 190, .rewritten_noise = 20}), quiet())) << "a tenth of them";
}

TEST(Anomaly, WithoutAHistoryOnlyNamesTell) {
    EXPECT_FALSE(judge_changes(first({"home"}, 0, 5000), {}));
    auto named = day("home", {.kept = 10, .added_noise = 5, .ending = ".LockBit"});
    EXPECT_THAT(judge_changes(named, {}), Optional(HasSubstr("5 new files have names that ransomware gives")));
}

TEST(Anomaly, NamesOfFilesThatReadWellTellNothing) {
    EXPECT_FALSE(judge_changes(day("tcl", {.kept = 10, .added_text = 80, .ending = ".enc"}), {}));
}

TEST(Anomaly, NamesThatWereAlwaysThereTellNothing) {
    auto history = quiet();
    history.push_back(day("home", {.kept = 10, .added_noise = 4, .ending = ".enc"}));
    EXPECT_FALSE(judge_changes(day("home", {.kept = 10, .added_noise = 6, .ending = ".enc"}), history));
}

TEST(Anomaly, MassDeletionIsSeenAndTurnoverIsNot) {
    EXPECT_THAT(judge_changes(day("home", {.kept = 60, .vanished = 150}), quiet()), Optional(HasSubstr("150 of 210 files are gone")));
    EXPECT_FALSE(judge_changes(day("home", {.kept = 60, .vanished = 150, .added_text = 140}), quiet()));
    auto history = quiet();
    history.push_back(day("home", {.kept = 100, .vanished = 100}));
    EXPECT_FALSE(judge_changes(day("home", {.kept = 60, .vanished = 150}), history)) << "a dataset that is emptied at times";
}

TEST(ChangeProfile, WhatGoesInComesOut) {
    auto profile = day("home/anna \n\xff", {.kept = 3, .rewritten_text = 1, .vanished = 2, .added_noise = 4});
    auto again = decode_change_profile(encode(profile));
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(*again, profile);
    EXPECT_EQ(again->total.known, 6u);
    EXPECT_EQ(again->total.judged, 5u);
    EXPECT_EQ(again->total.entropy, 7292u);
}

TEST(ChangeProfile, RefusesWhatItDidNotWrite) {
    for (auto text : {"", "1 2 3", "1 2 3 4 5 6 7 8 9 10 name", "1 2 3 4 5 6 7 8 9 10\n1 2 3 4 5 6 7 8 9 10",
                      "-1 2 3 4 5 6 7 8 9 10", "99999999999999999999 2 3 4 5 6 7 8 9 10"}) {
        EXPECT_FALSE(decode_change_profile(text)) << text;
    }
}

TEST(ChangeProfile, IsBoundedAndKeepsTheLiveliest) {
    ChangeTracker tracker;
    for (int directory = 0; directory < 1000; ++directory) {
        tracker.kept(file(std::to_string(directory), 1));
        for (int i = 0; i < directory % 20; ++i) tracker.rewritten(file(std::to_string(directory), i), text());
    }
    auto profile = tracker.finish();
    EXPECT_EQ(profile.total.known, 1000u + 1000 / 20 * 190);
    EXPECT_EQ(profile.directories.size(), kProfileDirectoriesMax);
    for (auto const& [name, counts] : profile.directories) EXPECT_GE(counts.rewritten, 18u) << name;
    EXPECT_LT(encode(profile).size(), 2000u);
}

TEST(ChangeProfile, CountsRenamesByInode) {
    ChangeTracker tracker;
    tracker.vanished("d/a", 7);
    tracker.vanished("d/b", 8);
    tracker.added("e/a", 7, {});
    auto profile = tracker.finish();
    EXPECT_EQ(profile.directories.at("d").renamed, 1u);
    EXPECT_EQ(profile.directories.at("d").vanished, 2u);
}

TEST(ChangeProfile, KnowsRansomNames) {
    EXPECT_TRUE(is_ransom_name("report.doc.LOCKED"));
    EXPECT_TRUE(is_ransom_name("a.wncry"));
    EXPECT_FALSE(is_ransom_name(".locked"));
    EXPECT_FALSE(is_ransom_name("locked"));
    EXPECT_FALSE(is_ransom_name("a.locked.txt"));
}

}  // namespace
}  // namespace holdfast
