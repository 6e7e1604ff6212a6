#include "runbook/journal.h"

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runbook/journal_format.h"

namespace holdfast::runbook {
namespace {

using ::testing::HasSubstr;

constexpr char const* kRun = "20261122T120000Z-abcdef";

class JournalTest : public ::testing::Test {
  protected:
    void SetUp() override {
        bool memory = std::filesystem::is_directory("/dev/shm");
        std::string pattern = (memory ? "/dev/shm" : ::testing::TempDir()) + "/journal-XXXXXX";
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        state = pattern;
    }
    void TearDown() override { std::filesystem::remove_all(state); }

    std::filesystem::path path() const { return run_directory(state, kRun) / "journal.jsonl"; }
    Result<std::unique_ptr<Journal>> create() {
        Value first;
        first.set("format", 1);
        return Journal::create(state, kRun, first, {&clock, {}});
    }
    Result<std::unique_ptr<Journal>> open() { return Journal::open(state, kRun, {&clock, {}}); }
    // A journal of three records, closed.
    std::string make() {
        auto journal = create();
        EXPECT_TRUE(journal.has_value()) << journal.error().message;
        for (auto name : {"a", "b"}) {
            Value details;
            details.set("name", name);
            details.set("odd", "line\nbreak \"quoted\" ä");
            EXPECT_TRUE((*journal)->append(Event::effect, "step", details).has_value());
        }
        return read();
    }
    std::string read() const {
        std::ifstream file(path(), std::ios::binary);
        return std::string(std::istreambuf_iterator<char>(file), {});
    }
    void write(std::string const& bytes) const {
        std::ofstream file(path(), std::ios::binary | std::ios::trunc);
        file << bytes;
    }

    ManualClock clock{Time(std::chrono::seconds(1'795'344'000))};
    std::filesystem::path state;
};

TEST_F(JournalTest, KeepsRecordsInOrder) {
    make();
    auto journal = open();
    ASSERT_TRUE(journal.has_value()) << journal.error().message;
    auto const& records = (*journal)->records();
    ASSERT_EQ(records.size(), 3u);
    EXPECT_EQ(records[0].event, Event::begun);
    EXPECT_EQ(records[2].event, Event::effect);
    EXPECT_EQ(records[2].sequence, 2u);
    EXPECT_EQ(records[2].step, "step");
    EXPECT_EQ(records[2].details.member_text("name"), "b");
    EXPECT_EQ(records[2].details.member_text("odd"), "line\nbreak \"quoted\" ä");
    EXPECT_EQ(records[2].time, clock.now());
    ASSERT_TRUE((*journal)->append(Event::finished, "", {}).has_value());
    EXPECT_EQ(read_journal(state, kRun)->size(), 4u);
}

TEST_F(JournalTest, IsPrivate) {
    make();
    struct stat status {};
    ASSERT_EQ(::stat(path().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u);
    for (auto directory : {path().parent_path(), path().parent_path().parent_path()}) {
        ASSERT_EQ(::stat(directory.c_str(), &status), 0);
        EXPECT_EQ(status.st_mode & 0777, 0700u);
    }
}

TEST_F(JournalTest, OneProcessPerRun) {
    auto journal = create();
    ASSERT_TRUE(journal.has_value());
    EXPECT_TRUE(run_is_locked(state, kRun));
    auto child = ::fork();
    if (child == 0) {
        auto second = open();
        ::_exit(!second.has_value() && second.error().kind == ErrorKind::unsafe ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(open().error().kind, ErrorKind::unsafe);
    EXPECT_EQ(create().error().kind, ErrorKind::exists);
    // Reading is for everybody.
    EXPECT_TRUE(read_journal(state, kRun).has_value());
    journal->reset();
    EXPECT_FALSE(run_is_locked(state, kRun));
    EXPECT_TRUE(open().has_value());
}

// Cut off anywhere, it holds the records that are whole, and goes on behind them.
TEST_F(JournalTest, CutOffAnywhereItKeepsWhatIsWhole) {
    auto const whole = make();
    for (std::size_t size = 0; size <= whole.size(); ++size) {
        auto bytes = whole.substr(0, size);
        write(bytes);
        auto lines = static_cast<std::size_t>(std::count(bytes.begin(), bytes.end(), '\n'));
        // Only its newline is missing.
        if (size < whole.size() && whole[size] == '\n')
            ++lines;
        auto journal = open();
        if (lines == 0) {
            ASSERT_FALSE(journal.has_value()) << size;
            EXPECT_EQ(journal.error().kind, ErrorKind::not_found) << size;
            EXPECT_THAT(journal.error().message, HasSubstr("never began"));
            continue;
        }
        ASSERT_TRUE(journal.has_value()) << size << ": " << journal.error().message;
        EXPECT_EQ((*journal)->records().size(), lines) << size;
        ASSERT_TRUE((*journal)->append(Event::stuck, "step", {}).has_value());
        journal->reset();
        auto records = read_journal(state, kRun);
        ASSERT_TRUE(records.has_value()) << size << ": " << records.error().message;
        EXPECT_EQ(records->size(), lines + 1) << size;
    }
}

TEST_F(JournalTest, TheEndOfAFileThatWasNeverWrittenIsCutOff) {
    auto const whole = make();
    auto half = whole.substr(0, whole.size() - 20);
    write(half + std::string(4096, '\0'));
    auto journal = open();
    ASSERT_TRUE(journal.has_value()) << journal.error().message;
    EXPECT_EQ((*journal)->records().size(), 2u);
}

TEST_F(JournalTest, EveryChangedByteIsSeen) {
    auto const whole = make();
    for (std::size_t at = 0; at < whole.size(); ++at) {
        for (char flip : {'\x01', '\x20', '\x80', '\x0a'}) {
            auto bytes = whole;
            bytes[at] = static_cast<char>(bytes[at] ^ flip);
            auto decoded = decode(bytes, kRun);
            ASSERT_FALSE(decoded.has_value()) << "byte " << at << " ^ " << int(flip);
            EXPECT_EQ(decoded.error().kind, ErrorKind::damaged);
        }
    }
}

TEST_F(JournalTest, RecordsCannotBeLeftOutOrSwapped) {
    auto const whole = make();
    auto first = whole.find('\n') + 1;
    auto second = whole.find('\n', first) + 1;
    auto a = whole.substr(0, first), b = whole.substr(first, second - first),
         c = whole.substr(second);
    for (auto const& bytes :
         {a + c, b + c, a + c + b, a + a + b + c, a + b + b + c, a + b + "\n" + c}) {
        EXPECT_EQ(decode(bytes, kRun).error().kind, ErrorKind::damaged) << bytes;
    }
    // The journal of another run does not pass for this one's.
    EXPECT_FALSE(decode(whole, "20261122T120000Z-000000").has_value());
    write(a + c);
    auto journal = open();
    EXPECT_EQ(journal.error().kind, ErrorKind::damaged);
    EXPECT_THAT(journal.error().message, HasSubstr(kRun));
    EXPECT_THAT(journal.error().message, HasSubstr("record 1"));
    EXPECT_EQ(read(), a + c);
}

TEST_F(JournalTest, ItsEndIsKnownAlsoWhenItGoesOn) {
    auto whole = make();
    auto end = read_journal_end(state, kRun);
    ASSERT_TRUE(end.has_value()) << end.error().message;
    EXPECT_EQ(end->records, 3u);
    EXPECT_THAT(whole, HasSubstr(to_hex(end->hash)));
    EXPECT_TRUE((*open())->append(Event::finished, "", {}).has_value());
    EXPECT_EQ(read_journal_end(state, kRun)->records, 4u);
    EXPECT_EQ(read_journal_end(state, kRun, 3)->hash, end->hash);
    // Cut at the end of a line, it is a journal like any other.
    write(whole.substr(0, whole.rfind('\n', whole.size() - 2) + 1));
    EXPECT_EQ(read_journal_end(state, kRun)->records, 2u);
    EXPECT_EQ(read_journal_end(state, kRun, 3).error().kind, ErrorKind::damaged);
}

TEST_F(JournalTest, AFullDiskEndsIt) {
    auto journal = create();
    ASSERT_TRUE(journal.has_value());
    auto size = std::filesystem::file_size(path());
    auto child = ::fork();
    if (child == 0) {
        ::signal(SIGXFSZ, SIG_IGN);
        rlimit limit{size + 50, size + 50};
        ::setrlimit(RLIMIT_FSIZE, &limit);
        bool good = !(*journal)->append(Event::stuck, "a", {}).has_value();
        limit = {RLIM_INFINITY, RLIM_INFINITY};
        ::setrlimit(RLIMIT_FSIZE, &limit);
        // What is on disk now is not known: it must not go on behind half a record.
        good = good && !(*journal)->append(Event::stuck, "b", {}).has_value();
        ::_exit(good ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    journal->reset();
    auto again = open();
    ASSERT_TRUE(again.has_value()) << again.error().message;
    EXPECT_EQ((*again)->records().size(), 1u);
}

TEST_F(JournalTest, RefusesRecordsThatAreTooLarge) {
    auto journal = create();
    Value details;
    details.set("name", std::string(kRecordBytesMax, 'x'));
    EXPECT_EQ((*journal)->append(Event::effect, "a", details).error().kind, ErrorKind::internal);
    EXPECT_TRUE((*journal)->append(Event::stuck, "a", {}).has_value());
    EXPECT_EQ(read_journal(state, kRun)->size(), 2u);
}

TEST_F(JournalTest, ANewerOneIsNotCalledDamaged) {
    Hash32 hash = first_hash(kRun);
    Record record{0, clock.now(), Event::begun, {}, {}};
    auto line = encode(record, hash);
    // The same, with an event of a later version and its right hash.
    auto text = line.substr(84, line.size() - 86);
    text.replace(text.find("begun"), 5, "dream");
    Sha256 sum;
    sum.update(first_hash(kRun));
    sum.update(as_bytes(text));
    auto newer = R"({"hash":")" + to_hex(sum.finish()) + R"(","record":)" + text + "}\n";
    auto decoded = decode(newer, kRun);
    ASSERT_FALSE(decoded.has_value());
    EXPECT_EQ(decoded.error().kind, ErrorKind::usage) << decoded.error().message;
    EXPECT_THAT(decoded.error().message, HasSubstr("newer"));
}

}  // namespace
}  // namespace holdfast::runbook
