#include "drill/evidence_file.h"

#include <cstdlib>
#include <fstream>
#include <sstream>

#include <gmock/gmock.h>

#include "drill/evidence_samples.h"
#include "os/process.h"
#include "runbook/journal.h"

namespace holdfast::drill {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string slurp(fs::path const& path) {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream out;
    out << in.rdbuf();
    return out.str();
}
void spill(fs::path const& path, std::string const& text) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
}

class EvidenceFile : public testing::Test {
  protected:
    EvidenceFile() {
        auto pattern = (fs::temp_directory_path() / "evidence.XXXXXX").string();
        state_ = ::mkdtemp(pattern.data());
    }
    ~EvidenceFile() override { fs::remove_all(state_); }

    SavedEvidence save(std::string_view started = "2026-11-22T10:31:07Z") {
        auto evidence = sample_evidence();
        evidence.started = sample_time(started);
        return save(evidence);
    }
    SavedEvidence save(Evidence evidence) {
        auto saved = save_evidence(evidence, {.state = state_,
                                              .key = key_,
                                              .bundle = "0d8e6c5a4b3f2e1d0d8e6c5a4b3f2e1d",
                                              .label = "test",
                                              .warn = [&](std::string const& text) { warned_ += text; }});
        EXPECT_TRUE(saved) << saved.error().message;
        return *saved;
    }
    std::vector<std::string> faults() { return verify_evidence_chain(state_)->faults; }

    fs::path state_;
    SeededRandom random_{7};
    SignKey key_ = SignKey::generate(random_);
    std::string warned_;
};

TEST_F(EvidenceFile, IsSignedAndReadsBack) {
    auto const saved = save();
    auto const verified = verify_evidence(saved.evidence_file);
    ASSERT_TRUE(verified) << verified.error().message;
    EXPECT_EQ(verified->evidence.name, "database-restore");
    EXPECT_TRUE(verified->evidence.proven);
    EXPECT_EQ(verified->sha256, saved.sha256);
    EXPECT_EQ(verified->link, ChainLink::first);
    EXPECT_EQ(saved.evidence_file.parent_path().filename(), "20261122T103107.000000000Z-database-restore");
    EXPECT_THAT(slurp(saved.report_file), HasSubstr(saved.sha256));
    EXPECT_EQ(fs::status(saved.evidence_file).permissions(), fs::perms(0600));
}

TEST_F(EvidenceFile, SeesThatAJournalLostItsEnd) {
    constexpr char run[] = "20261122T103107Z-5f0c3a";
    auto const path = runbook::run_directory(state_, run) / "journal.jsonl";
    ManualClock clock{sample_time("2026-11-22T10:31:07Z")};
    {
        auto journal = runbook::Journal::create(state_, run, plan::Value(plan::Value::Map{}), {&clock, {}});
        ASSERT_TRUE(journal) << journal.error().message;
        for (auto event : {runbook::Event::started, runbook::Event::finished}) {
            ASSERT_TRUE((*journal)->append(event, "", {}));
        }
    }
    auto const end = runbook::read_journal_end(state_, run);
    ASSERT_TRUE(end);
    auto evidence = sample_evidence();
    evidence.kind = EvidenceKind::recovery;
    evidence.journals = {{run, end->records, to_hex(end->hash)}};
    auto const saved = save(evidence);
    EXPECT_EQ(verify_evidence(saved.evidence_file)->evidence.journals.at(0).records, 3u);
    EXPECT_THAT(slurp(saved.report_file), HasSubstr(to_hex(end->hash)));
    EXPECT_THAT(faults(), IsEmpty());

    auto const whole = slurp(path);
    {
        auto journal = runbook::Journal::open(state_, run, {&clock, {}});
        ASSERT_TRUE(journal && (*journal)->append(runbook::Event::resumed, "", {}));
    }
    EXPECT_THAT(faults(), IsEmpty()) << "a run that failed may be resumed";

    spill(path, whole.substr(0, whole.rfind('\n', whole.size() - 2) + 1));
    ASSERT_TRUE(runbook::read_journal(state_, run)) << "it must be sound in itself, or the test tests nothing";
    EXPECT_THAT(faults(), ElementsAre(HasSubstr("it has 2 records and had 3")));
    {
        auto journal = runbook::Journal::open(state_, run, {&clock, {}});
        ASSERT_TRUE(journal && (*journal)->append(runbook::Event::skipped, "", {}));
    }
    EXPECT_THAT(faults(), ElementsAre(HasSubstr("is not the one that this was made from")));
    fs::remove_all(path.parent_path());
    EXPECT_THAT(faults(), ElementsAre(HasSubstr(run)));
}

TEST_F(EvidenceFile, DetectsEveryFlippedByte) {
    auto small = sample_evidence();
    small.datasets.resize(1);
    small.steps.resize(2);
    small.checks.resize(1);
    auto const saved = save(small);
    auto const whole = slurp(saved.evidence_file);
    for (std::size_t at = 0; at < whole.size(); ++at) {
        auto const flip = 1u << (at * 5 % 8);  // every byte, every bit of some
        auto changed = whole;
        changed[at] = static_cast<char>(static_cast<unsigned char>(changed[at]) ^ flip);
        spill(saved.evidence_file, changed);
        auto const verified = verify_evidence(saved.evidence_file);
        ASSERT_FALSE(verified) << "byte " << at << " ^ " << flip;
        ASSERT_TRUE(verified.error().kind == ErrorKind::damaged || verified.error().kind == ErrorKind::usage);
    }
    spill(saved.evidence_file, whole);
    EXPECT_TRUE(verify_evidence(saved.evidence_file));
}

TEST_F(EvidenceFile, DetectsTruncationAndAddition) {
    auto const saved = save();
    auto const whole = slurp(saved.evidence_file);
    for (auto const& changed : {std::string(), whole.substr(0, whole.size() - 1), whole + "\n", whole + whole}) {
        spill(saved.evidence_file, changed);
        EXPECT_EQ(verify_evidence(saved.evidence_file).error().kind, ErrorKind::damaged);
    }
    EXPECT_EQ(verify_evidence(state_ / "nothing.json").error().kind, ErrorKind::not_found);
}

TEST_F(EvidenceFile, TrustsOnlyKnownKeys) {
    auto const saved = save();
    auto const stranger = SignKey::generate(random_);
    EXPECT_TRUE(verify_evidence(saved.evidence_file, {stranger.public_key, key_.public_key}));
    EXPECT_EQ(verify_evidence(saved.evidence_file, {stranger.public_key}).error().kind, ErrorKind::key_refused);
}

TEST_F(EvidenceFile, FormsAChain) {
    auto const first = save();
    auto const second = save("2026-12-22T10:31:07Z");
    auto const third = save("2026-12-22T10:31:07Z");  // the same name at the same time
    EXPECT_EQ(third.sequence, 3u);
    EXPECT_NE(second.evidence_file, third.evidence_file);
    EXPECT_EQ(verify_evidence(second.evidence_file)->evidence.previous, first.sha256);
    EXPECT_EQ(verify_evidence(second.evidence_file)->link, ChainLink::linked);
    EXPECT_THAT(faults(), IsEmpty());
    EXPECT_EQ(verify_evidence_chain(state_)->evidence.size(), 3u);
    EXPECT_THAT(verify_evidence_chain(state_, third.sha256)->faults, IsEmpty());
    EXPECT_THAT(verify_evidence_chain(state_, second.sha256)->faults, ElementsAre(HasSubstr("catalog")));
}

TEST_F(EvidenceFile, NoticesWhatWasRemoved) {
    auto const first = save();
    auto const second = save();
    auto const third = save();
    fs::rename(second.evidence_file.parent_path(), state_ / "kept");
    EXPECT_THAT(faults(), ElementsAre(HasSubstr("does not follow")));
    EXPECT_EQ(verify_evidence(third.evidence_file)->link, ChainLink::detached);
    fs::rename(state_ / "kept", second.evidence_file.parent_path());
    fs::remove_all(third.evidence_file.parent_path());
    EXPECT_THAT(faults(), ElementsAre(HasSubstr("should be 3")));
    fs::remove_all(first.evidence_file.parent_path());
    EXPECT_THAT(verify_evidence_chain(state_)->notes, ElementsAre(HasSubstr("from evidence 2 on")));
    fs::remove_all(second.evidence_file.parent_path());
    EXPECT_THAT(faults(), ElementsAre(HasSubstr("should be 3")));
}

TEST_F(EvidenceFile, NoticesEvidenceOfAnotherKeyInItsPlace) {
    auto const first = save();
    auto const second = save();
    auto const before = slurp(first.evidence_file);
    // A forger signs a changed first one with a key of his own.
    auto const forger = SignKey::generate(random_);
    auto evidence = verify_evidence(first.evidence_file)->evidence;
    evidence.name = "nothing to see";
    EvidenceSignature signature{forger.public_key, forger.sign(as_bytes(canonical_json(evidence)))};
    spill(first.evidence_file, evidence_file_text(evidence, signature));
    EXPECT_TRUE(verify_evidence(first.evidence_file));
    EXPECT_THAT(faults(), ElementsAre(HasSubstr("does not follow")));
    EXPECT_THAT(verify_evidence_chain(state_, {}, {key_.public_key})->faults,
                testing::Contains(HasSubstr("does not know")));
    spill(first.evidence_file, before);
    EXPECT_THAT(faults(), IsEmpty());
    EXPECT_EQ(second.sequence, 2u);
}

TEST_F(EvidenceFile, GoesOnAfterACrashBeforeTheHead) {
    auto const first = save();
    auto const head = slurp(state_ / "evidence" / "head");
    auto const second = save();
    spill(state_ / "evidence" / "head", head);  // as if it had been killed there
    auto const third = save();
    EXPECT_EQ(third.sequence, 3u);
    EXPECT_EQ(verify_evidence(third.evidence_file)->evidence.previous, second.sha256);
    EXPECT_THAT(faults(), IsEmpty());
    EXPECT_EQ(first.sequence, 1u);
    EXPECT_EQ(warned_, "");
}

TEST_F(EvidenceFile, RefusesAnUnreadableHead) {
    save();
    spill(state_ / "evidence" / "head", "7 zz\n");
    auto evidence = sample_evidence();
    auto const saved = save_evidence(evidence, {.state = state_, .key = key_, .bundle = "b"});
    EXPECT_EQ(saved.error().kind, ErrorKind::damaged);
    EXPECT_THAT(faults(), ElementsAre(HasSubstr("head")));
}

TEST_F(EvidenceFile, LeavesNothingHalfWhenItCannotBeWritten) {
    auto evidence = sample_evidence();
    spill(state_ / "evidence", "a file in the way");
    EXPECT_FALSE(save_evidence(evidence, {.state = state_, .key = key_, .bundle = "b"}));
    EXPECT_EQ(slurp(state_ / "evidence"), "a file in the way");
}

// What docs/evidence.md and the report tell auditors to type.
TEST_F(EvidenceFile, VerifiesWithJqAndOpenssl) {
    auto const saved = save();
    Command const command{
        .argv = {"sh", "-ec", R"(
            jq -cSj .evidence evidence.json > signed
            jq -rj .signature.value evidence.json | xxd -r -p > signature
            (printf 302a300506032b6570032100; jq -rj .signature.key evidence.json) | xxd -r -p > key.der
            openssl pkeyutl -verify -pubin -keyform DER -inkey key.der -rawin -in signed -sigfile signature)"},
        .directory = saved.evidence_file.parent_path().string(),
    };
    if (!run(Command{.argv = {"sh", "-c", "command -v jq && command -v xxd && command -v openssl"}}, {})->success()) {
        GTEST_SKIP() << "jq, xxd or openssl is not here";
    }
    auto const result = run(command, {});
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_EQ(result->exit_code, 0) << result->out << result->err;
}

}  // namespace
}  // namespace holdfast::drill
