#include "sources/postgres/capture.h"

#include "archive/fake_chunks.h"
#include "archive/test_repository.h"
#include "os/clock.h"
#include "sources/postgres/fake_server.h"

namespace holdfast::postgres {
namespace {

struct Captured {
    ManualClock clock{*parse_rfc3339("2026-11-22T10:31:07Z")};
    SeededRandom random{1};
    CachingRepository repository{clock, random, {}};
    FakeChunks chunks;
    FakeIngest ingest{chunks};
    Result<Capture> result;
    std::vector<std::string> commands;

    explicit Captured(SampleBackup const& sample, FakeServer::Behaviour behaviour = {}) {
        FakeServer server(sample, std::move(behaviour));
        result = capture_base_backup(server.conninfo(), {}, {repository, ingest, "database", {}, {}, {}});
        commands = server.commands;
    }
    bool has(std::string const& path) {
        FakeFetch fetch(chunks);
        return TreeReader(fetch, result->point.tree).find(path, {}).has_value();
    }
};

void expect_error(Result<Capture> const& result, ErrorKind kind, std::string_view message) {
    ASSERT_FALSE(result) << message;
    EXPECT_EQ(name(result.error().kind), name(kind)) << result.error().message;
    EXPECT_NE(result.error().message.find(message), std::string::npos) << result.error().message;
}

class EveryVersion : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Capture, EveryVersion, ::testing::Values(12, 13, 14, 15, 16, 17));

TEST_P(EveryVersion, IsCaptured) {
    SampleBackup sample(GetParam());
    if (GetParam() == 12) sample.manifest.clear();
    Captured captured(sample);
    ASSERT_TRUE(captured.result) << captured.result.error().message;
    auto const& point = captured.result->point;
    EXPECT_EQ(point.attributes.at("server_version"), fmt::format("{}.9", GetParam()));
    EXPECT_EQ(point.attributes.at("lsn_start"), "0/100028");
    EXPECT_EQ(point.attributes.at("lsn"), "0/1000F0");
    EXPECT_EQ(point.attributes.at("tablespace.16384"), "/srv/space");
    EXPECT_EQ(point.attributes.at("system_identifier"), sample.system_identifier);
    EXPECT_EQ(point.time, captured.clock.now());
    EXPECT_EQ(captured.result->problem_count, 0u);
    EXPECT_TRUE(captured.has("pg_tblspc/16384/PG_15_202209061/5/16390"));
    EXPECT_EQ(captured.has("backup_manifest"), GetParam() > 12);
    // Without a manifest it says that files were not compared.
    EXPECT_EQ(captured.result->findings.size(), GetParam() == 12 ? 1u : 0u);
    // The slot comes before the backup.
    ASSERT_GE(captured.commands.size(), 2u);
    EXPECT_TRUE(captured.commands[captured.commands.size() - 2].starts_with("CREATE_REPLICATION_SLOT \"holdfast_"));
    EXPECT_EQ(captured.commands.back(), base_backup_command(GetParam() * 10000, {.label = "holdfast database"}));
}

TEST_P(EveryVersion, AMissingArchiveIsDamage) {
    Captured captured(SampleBackup(GetParam()), {.archives_max = 1});
    ASSERT_FALSE(captured.result);
    EXPECT_EQ(captured.result.error().kind, ErrorKind::damaged) << captured.result.error().message;
}

TEST_P(EveryVersion, AServerThatVanishesIsUnreachable) {
    for (std::size_t pieces : {1, 2, 10, 50}) {
        Captured captured(SampleBackup(GetParam()), {.vanish_after = pieces});
        expect_error(captured.result, ErrorKind::unreachable, "connection lost");
    }
}

TEST_P(EveryVersion, AServerThatGivesUpSaysWhy) {
    Captured captured(SampleBackup(GetParam()), {.error_after_archives = "58P01"});
    expect_error(captured.result, ErrorKind::unreachable, "the server gives up");
}

TEST_P(EveryVersion, AnEndWithoutItsPositionIsDamage) {
    Captured captured(SampleBackup(GetParam()), {.end_position = false});
    ASSERT_FALSE(captured.result);
    EXPECT_EQ(captured.result.error().kind, ErrorKind::damaged) << captured.result.error().message;
}

TEST_P(EveryVersion, ChecksumFailuresOfTheServerAreProblems) {
    SampleBackup sample(GetParam());
    sample.end.checksum_failures = true;
    if (GetParam() == 12) sample.manifest.clear();
    Captured captured(sample);
    ASSERT_TRUE(captured.result) << captured.result.error().message;
    EXPECT_EQ(captured.result->problem_count, 1u);
    EXPECT_EQ(captured.result->point.unreadable, 1u);
}

TEST(CaptureVersions, OthersAreRefused) {
    for (auto version : {"11.22", "9.6.24", "18.1"}) {
        Captured captured(SampleBackup(), {.version_text = version});
        expect_error(captured.result, ErrorKind::usage, "not supported");
        EXPECT_TRUE(captured.commands.empty());
    }
}

TEST(CaptureProtocol, AnUnknownMessageIsDamage) {
    Captured captured(SampleBackup(), {.stray_message = true});
    expect_error(captured.result, ErrorKind::damaged, "unknown message");
}

TEST(CaptureProtocol, AnySizeOfMessageDoes) {
    for (std::size_t size : {511, 512, 100000}) {
        Captured captured(SampleBackup(), {.message_bytes = size});
        ASSERT_TRUE(captured.result) << captured.result.error().message;
    }
}

}  // namespace
}  // namespace holdfast::postgres
