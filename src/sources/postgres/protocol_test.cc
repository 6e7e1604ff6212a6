#include <gtest/gtest.h>

#include "sources/postgres/base_backup_protocol.h"
#include "sources/postgres/connection_errors.h"
#include "sources/postgres/conninfo.h"

namespace holdfast::postgres {
namespace {

TEST(BaseBackupCommand, IsWhatEachVersionTakes) {
    BackupOptions options{.label = "it's"};
    EXPECT_EQ(base_backup_command(120022, options), "BASE_BACKUP LABEL 'it''s' PROGRESS FAST WAL NOWAIT TABLESPACE_MAP");
    EXPECT_EQ(base_backup_command(140001, options),
              "BASE_BACKUP LABEL 'it''s' PROGRESS FAST WAL NOWAIT TABLESPACE_MAP MANIFEST 'yes' MANIFEST_CHECKSUMS 'CRC32C'");
    EXPECT_EQ(base_backup_command(150001, options),
              "BASE_BACKUP (LABEL 'it''s', PROGRESS, CHECKPOINT 'fast', WAL, WAIT false, TABLESPACE_MAP, MANIFEST 'yes', "
              "MANIFEST_CHECKSUMS 'CRC32C')");
    EXPECT_EQ(create_slot_command(140001, "s"), "CREATE_REPLICATION_SLOT \"s\" TEMPORARY PHYSICAL RESERVE_WAL");
    EXPECT_EQ(create_slot_command(170001, "s"), "CREATE_REPLICATION_SLOT \"s\" TEMPORARY PHYSICAL (RESERVE_WAL)");
}

TEST(Conninfo, SaysWhatItLeadsTo) {
    EXPECT_EQ(describe_conninfo("service=spikeformer user=x").value(), "service=spikeformer");
    EXPECT_EQ(describe_conninfo("host=db1").value(), "db1:5432");
    EXPECT_EQ(describe_conninfo("host=db1,db2 port=5433").value(), "db1:5433,db2:5433");
    EXPECT_EQ(describe_conninfo("host=db1,db2 port=1,").value(), "db1:1,db2:5432");
    EXPECT_EQ(describe_conninfo("postgresql://u@db1:7/x").value(), "db1:7");
    EXPECT_EQ(describe_conninfo("user=x").value(), "local:5432");
}

constexpr std::string_view kTooMany =
    "connection to server on socket \"/run/.s.PGSQL.5432\" failed: FATAL:  53300: number of requested standby "
    "connections exceeds max_wal_senders (currently 1)\nLOCATION:  InitWalSnd, walsender.c:2300\n";

TEST(ConnectError, ReadsTheStateAndTellsWhatToDo) {
    EXPECT_EQ(sqlstate_in(kTooMany), "53300");
    EXPECT_EQ(plain_message(kTooMany), "connection to server on socket \"/run/.s.PGSQL.5432\" failed: FATAL: number of "
                                       "requested standby connections exceeds max_wal_senders (currently 1)");
    EXPECT_EQ(sqlstate_in("connection refused: is it running?"), "");
    auto error = connect_error({"db1:5432", "clerk", std::string(kTooMany), true});
    EXPECT_EQ(error.kind, ErrorKind::unreachable);
    EXPECT_NE(error.hint.find("max_wal_senders"), std::string::npos);
    error = connect_error({"db1:5432", "clerk", "x: FATAL:  28000: no pg_hba.conf entry for …", true});
    EXPECT_NE(error.hint.find("hostssl replication clerk ADDRESS/32"), std::string::npos) << error.hint;
    error = connect_error({"/run:5432", "clerk", "x: FATAL:  3D000: database \"x\" does not exist", false});
    EXPECT_EQ(error.kind, ErrorKind::not_found);
}

}  // namespace
}  // namespace holdfast::postgres
