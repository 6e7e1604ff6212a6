#include "sources/postgres/cluster_files.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include "archive/test_directory.h"

namespace holdfast::postgres {
namespace {

using Names = std::vector<std::string>;

Names walked(TestDirectory const& directory, std::stop_token stop = {}) {
    Names names;
    Fd fd(::open(directory.path().c_str(), O_RDONLY | O_DIRECTORY));
    auto visit = [&](UstarEntry const& entry, Fd const* file) -> Result<void> {
        EXPECT_EQ(file != nullptr, entry.type == UstarEntry::Type::file) << entry.path;
        names.push_back(entry.path + (file ? "" : "/"));
        return {};
    };
    auto done = walk_data_directory(fd.get(), visit, stop);
    if (!done) names.push_back(done.error().message);
    return names;
}

TEST(ClusterFiles, WhatTheServerWouldSend) {
    TestDirectory data;
    for (auto path : {"PG_VERSION", "base/5/1259", "base/5/1259_fsm", "base/5/1259_vm", "base/5/1259.1", "base/5/PG_VERSION",
                      "base/5/pg_filenode.map", "base/5/pg_internal.init", "base/5/pg_internal.init.77",
                      "base/5/t3_16384", "base/5/t3_16384_fsm.1", "base/5/t_x", "base/5/16400", "base/5/16400_init",
                      "base/5/16400_fsm", "base/5/16400.2", "base/5/16400_init.1", "base/pgsql_tmp/pgsql_tmp1.0", "base/nested/16400",
                      "base/nested/16400_init", "global/1262", "global/pg_control", "global/t3_1", "global/pg_internal.init",
                      "pg_wal/000000010000000000000001", "pg_wal/archive_status/x.done", "pg_replslot/slot/state",
                      "pg_notify/0000", "pg_subtrans/0000", "pg_xact/0000", "pg_tblspc/16384/PG_15_1/5/1", "postmaster.pid",
                      "postmaster.opts", "backup_label", "tablespace_map", "backup_manifest", "postgresql.auto.conf",
                      "postgresql.auto.conf.tmp", "current_logfiles", "current_logfiles.tmp"})
        data.file(path, "x");
    std::filesystem::create_symlink("/etc/passwd", data / "passwd");
    std::filesystem::create_symlink("5", data / "base/6");
    ::mkfifo((data / "fifo").c_str(), 0600);
    EXPECT_EQ(walked(data),
              (Names{"PG_VERSION", "base/", "base/5/", "base/5/1259", "base/5/1259.1", "base/5/1259_fsm", "base/5/1259_vm",
                     "base/5/16400_init", "base/5/16400_init.1", "base/5/PG_VERSION", "base/5/pg_filenode.map", "base/5/t_x",
                     "base/nested/", "base/nested/16400", "base/nested/16400_init", "current_logfiles", "global/",
                     "global/1262", "global/t3_1", "pg_notify/", "pg_replslot/", "pg_subtrans/", "pg_tblspc/", "pg_wal/",
                     "pg_wal/archive_status/", "pg_xact/", "pg_xact/0000", "postgresql.auto.conf", "global/pg_control"}));
}

TEST(ClusterFiles, ALogOnAnotherDiskIsADirectory) {
    TestDirectory data, log;
    data.file("global/pg_control", "x");
    std::filesystem::create_symlink(log.path(), data / "pg_wal");
    EXPECT_EQ(walked(data), (Names{"global/", "pg_wal/", "pg_wal/archive_status/", "global/pg_control"}));
}

TEST(ClusterFiles, WhatIsGoneIsPassedOverButTheControlFileIsNeeded) {
    TestDirectory data;
    data.directory("global");
    EXPECT_EQ(walked(data), (Names{"global/"}));  // the writer says that it is missing
    std::filesystem::remove(data / "global");
    auto names = walked(data);
    ASSERT_EQ(names.size(), 1u);
    EXPECT_NE(names[0].find("global"), std::string::npos);
    std::stop_source stop;
    stop.request_stop();
    data.file("global/pg_control", "x");
    EXPECT_EQ(walked(data, stop.get_token()), (Names{"stopped"}));
}

TEST(ClusterFiles, OfATablespaceTheDirectoryOfThisVersion) {
    TestDirectory location;
    for (auto path : {"PG_14_202107181/5/1", "PG_15_202209061/5/16390", "PG_15_202209061/5/t3_2", "PG_15_202209061/5/16400",
                      "PG_15_202209061/5/16400_init", "other"})
        location.file(path, "x");
    Names names;
    Fd fd(::open(location.path().c_str(), O_RDONLY | O_DIRECTORY));
    auto visit = [&](UstarEntry const& entry, Fd const*) -> Result<void> {
        names.push_back(entry.path);
        return {};
    };
    ASSERT_TRUE(walk_tablespace(fd.get(), 15, visit, {}));
    EXPECT_EQ(names, (Names{"PG_15_202209061", "PG_15_202209061/5", "PG_15_202209061/5/16390", "PG_15_202209061/5/16400_init"}));
}

}  // namespace
}  // namespace holdfast::postgres
