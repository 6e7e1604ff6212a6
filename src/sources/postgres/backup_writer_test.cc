#include "sources/postgres/backup_writer.h"

#include "archive/fake_chunks.h"
#include "os/clock.h"
#include "sources/postgres/sample_backup.h"

namespace holdfast::postgres {
namespace {

struct Written {
    FakeChunks chunks;
    Result<WrittenBackup> result;
    std::string text(std::string const& path) {
        FakeFetch fetch(chunks);
        auto entry = TreeReader(fetch, result->tree).find(path, {});
        EXPECT_TRUE(entry) << entry.error().message;
        return entry ? to_text(fetch.content(entry->content, 1 << 24, {}).value()) : "";
    }
};

Result<WrittenBackup> pass(SampleBackup const& sample, BackupWriter& writer) {
    TRY(writer.start(sample.start));
    for (auto const& tablespace : sample.start.tablespaces) {
        TRY(writer.archive_begin(tablespace));
        TRY(writer.archive_data(as_bytes(sample.archive(tablespace))));
        TRY(writer.archive_end());
    }
    TRY(writer.manifest_data(as_bytes(sample.manifest)));
    return writer.finish(sample.end);
}

std::unique_ptr<Written> write(SampleBackup const& sample) {
    auto written = std::make_unique<Written>();
    FakeIngest ingest(written->chunks);
    BackupWriterOptions options{.server_version = sample.major * 10000,
                                .system_identifier = std::stoull(sample.system_identifier),
                                .checksums = true,
                                .wal_segment_bytes = sample.wal_segment_bytes,
                                .progress = {}};
    BackupWriter writer(ingest, system_clock(), options);
    written->result = pass(sample, writer);
    return written;
}

void expect_damaged(SampleBackup const& sample, std::string_view message) {
    auto written = write(sample);
    ASSERT_FALSE(written->result) << message;
    EXPECT_EQ(written->result.error().kind, ErrorKind::damaged);
    EXPECT_NE(written->result.error().message.find(message), std::string::npos) << written->result.error().message;
}

TEST(BackupWriter, MakesTheTreeThatTheManifestNames) {
    SampleBackup sample;
    auto written = write(sample);
    ASSERT_TRUE(written->result) << written->result.error().message;
    EXPECT_EQ(written->result->files, 9u);  // with the manifest
    EXPECT_EQ(written->result->problem_count, 0u);
    EXPECT_TRUE(written->result->manifest);
    EXPECT_EQ(to_text(written->result->label.start), "0/100028");
    EXPECT_EQ(written->text("backup_manifest"), sample.manifest);
    EXPECT_EQ(written->text("global/pg_control"), sample.file("global/pg_control").content);
    EXPECT_EQ(written->text("pg_tblspc/16384/PG_15_202209061/5/16390"), std::string(8192, '\0'));
    EXPECT_EQ(written->text("pg_wal/000000010000000000000001").size(), std::size_t{1} << 20);
}

TEST(BackupWriter, WhatDiffersFromTheManifestIsDamage) {
    {
        SampleBackup sample;
        sample.file("base/5/1259").content[100] = 'x';
        expect_damaged(sample, "'base/5/1259': checksum mismatch");
    }
    {
        SampleBackup sample;
        sample.file("base/5/1259").content.resize(4096);
        expect_damaged(sample, "'base/5/1259' came with 4096 bytes");
    }
    {
        SampleBackup sample;
        sample.extra_in_manifest.push_back({"base/5/2600", ""});
        sample.seal();
        expect_damaged(sample, "'base/5/2600' is in the manifest and did not come");
    }
    {
        SampleBackup sample;
        sample.base.insert(sample.base.begin() + 3, {"base/5/2600", ""});
        expect_damaged(sample, "'base/5/2600' is not in the manifest");
    }
    {
        SampleBackup sample;
        auto again = sample.file("base/5/1259");
        sample.base.insert(sample.base.begin() + 3, again);
        expect_damaged(sample, "twice");
    }
    {
        SampleBackup sample;
        sample.base.push_back({"base/5/2600", ""});  // the server had left base/5 before
        sample.seal();
        expect_damaged(sample, "closed");
    }
    {
        SampleBackup sample;
        sample.manifest[sample.manifest.find("1259")] = '2';
        expect_damaged(sample, "checksum mismatch");
    }
    {
        SampleBackup sample;
        sample.manifest.clear();
        expect_damaged(sample, "the manifest is missing");
    }
    {
        SampleBackup sample;
        sample.base.push_back({"backup_manifest", "mine", false});
        expect_damaged(sample, "manifest's name");
    }
}

TEST(BackupWriter, WhatASoundBackupNeedsMustBeThere) {
    for (std::string path : {"PG_VERSION", "backup_label", "global/pg_control"}) {
        SampleBackup sample;
        std::erase_if(sample.base, [&](auto const& file) { return file.path == path; });
        sample.seal();
        expect_damaged(sample, "'" + path + "' is missing");
    }
    {
        SampleBackup sample;
        sample.base.pop_back();
        expect_damaged(sample, "log segment 000000010000000000000001 is missing");
    }
    {
        SampleBackup sample;
        sample.base.back().content.resize(1000);
        expect_damaged(sample, "is cut short");
    }
    {
        SampleBackup sample;
        sample.end.lsn = Lsn{0x200001};
        expect_damaged(sample, "log segment 000000010000000000000002 is missing");
    }
    {
        SampleBackup sample;
        sample.end.lsn = Lsn{0x10};
        expect_damaged(sample, "ends before it begins");
    }
    {
        SampleBackup sample;
        sample.start.lsn = Lsn{0x100029};
        expect_damaged(sample, "backup_label is of another backup");
    }
    {
        SampleBackup sample;
        sample.system_identifier = "1";
        expect_damaged(sample, "pg_control is of another system");
    }
    {
        SampleBackup sample;
        sample.file("PG_VERSION").content = "14\n";
        expect_damaged(sample, "PG_VERSION says 14");
    }
    {
        SampleBackup sample;
        sample.file("tablespace_map").content = "16384 /elsewhere\n";
        sample.seal();
        expect_damaged(sample, "tablespace 16384");
    }
    {
        SampleBackup sample;
        sample.file("global/pg_control").content[50] ^= 1;
        sample.seal();
        expect_damaged(sample, "pg_control");
    }
}

TEST(BackupWriter, EveryCutOfAnArchiveIsNoticed) {
    SampleBackup sample;
    for (std::size_t keep : {std::size_t{100}, std::size_t{512}, std::size_t{1000}, std::size_t{8192}}) {
        FakeChunks chunks;
        FakeIngest ingest(chunks);
        BackupWriter writer(ingest, system_clock(), {});
        ASSERT_TRUE(writer.start(sample.start));
        ASSERT_TRUE(writer.archive_begin(sample.start.tablespaces[0]));
        auto bytes = sample.archive(sample.start.tablespaces[0]);
        ASSERT_TRUE(writer.archive_data(as_bytes(bytes).first(keep)));
        EXPECT_EQ(writer.archive_end().error().kind, ErrorKind::damaged) << keep;
    }
}

TEST(BackupWriter, BadPagesAreProblemsAndTheBackupGoesOn) {
    SampleBackup sample;
    auto& content = sample.file("base/5/1249").content;
    content[8192 + 4] = 1;      // a position before the start: damage
    content[8192 + 14] = 1;
    content[2 * 8192] = 0x7f;   // a position far beyond the end: no torn page, damage as well
    content[2 * 8192 + 14] = 1;
    sample.file("base/5/1259").content.resize(100, 'x');
    sample.seal();
    auto written = write(sample);
    ASSERT_TRUE(written->result) << written->result.error().message;
    ASSERT_EQ(written->result->problem_count, 3u);
    EXPECT_EQ(written->result->problems[0].path, "base/5/1249");
    EXPECT_NE(written->result->problems[0].message.find("block 1:"), std::string::npos);
    EXPECT_EQ(written->result->problems[1].path, "base/5/1259");
    EXPECT_NE(written->result->problems[2].message.find("block 2:"), std::string::npos);
    ASSERT_EQ(written->result->findings.size(), 2u);
    EXPECT_EQ(written->result->findings[0].object, "relation base/5/1249 block 1");
    EXPECT_EQ(written->result->findings[0].verdict, Finding::Verdict::damaged);
}

TEST(BackupWriter, WhatTheServerFoundAloneIsAProblem) {
    SampleBackup sample;
    sample.end.checksum_failures = true;
    auto written = write(sample);
    ASSERT_TRUE(written->result);
    EXPECT_EQ(written->result->problem_count, 1u);
}

}  // namespace
}  // namespace holdfast::postgres
