#pragma once

#include <bitset>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "formats/pg_path.h"
#include "formats/pg_wal_record.h"

namespace holdfast {

// What a stretch of PostgreSQL's log changed in the files of relations: whoever has the files as they were
// when it began, and reads what is named here when it has ended, has them as they are.
//
// The records that matter are those of PostgreSQL 17's summariser (src/backend/postmaster/walsummarizer.c),
// in the forms that they have in each version:
//
// | record                          | manager | info                    | says                                       |
// |---------------------------------|--------:|-------------------------|--------------------------------------------|
// | any that names blocks           |     any | any                     | these blocks                               |
// | relation created                |       2 | 0x10                    | the fork begins anew                       |
// | relation truncated              |       2 | 0x20                    | its blocks from there on may be others     |
// | end of a transaction            |       1 | 0x00 0x20 0x30 0x40     | relations that it drops                    |
// | database created, dropped       |       4 | to 14: 0x00, 0x10; from | all of it in these tablespaces             |
// |                                 |         | 15: 0x00, 0x10, 0x20    |                                            |
// | parameters changed              |       0 | 0x60                    | whether the log tells all (wal_level)      |
//
// Trusted are the main forks alone. Free space maps are not logged; bits of a visibility map are cleared by
// records that do not name its block; init forks are small. So these are always to be read whole, and so is
// everything that is no relation's (SLRUs, pg_control, relation maps). What no log names: pages that
// were added to a file and never written (the file is longer than it was: read them), hint bits in a cluster
// without checksums and wal_log_hints (the old ones mean the same), unlogged relations (their main forks are not
// in base backups), and what was written past the server (pg_checksums, a restored file). Resource managers of
// extensions are believed what they name.
//
// 12 to 15 and 17 differ as the table says; 15 is tested against a server, the others by records made here.
class WalChanges {
  public:
    struct Relation {
        std::uint32_t tablespace = 0, database = 0, relation = 0;
        auto operator<=>(Relation const&) const = default;
    };
    // As records name what lies at a path: base/ is tablespace 1663, global/ is 1664.
    static Relation relation_of(PgRelationFile const& file);

    // Takes the next record. `damaged` when it is malformed: nothing is known then of what it changed, and
    // the whole of the changes is of no use.
    Result<void> add(WalRecord const& record);

    // Why files must be read whole in any case; empty: they need not.
    std::string const& unreliable() const { return unreliable_; }
    // Whether the block (counted over all segments) may differ from what it was. True for each fork that is
    // not a main one.
    bool changed(Relation const& relation, PgRelationFile::Fork fork, std::uint32_t block) const;
    // Whether nothing of the main fork may differ.
    bool untouched(Relation const& relation) const;
    // How many blocks are named, each once.
    std::uint64_t blocks() const { return blocks_; }

  private:
    static constexpr std::uint32_t kGroup = 4096;  // blocks whose bits lie together: 512 bytes for 32 MiB
    struct Fork {
        std::uint32_t limit = UINT32_MAX;          // blocks from here on were cut off at some time
        std::map<std::uint32_t, std::bitset<kGroup>> named;
    };
    Result<void> add_storage(WalRecord const& record, ByteView main);
    Result<void> add_transaction_end(WalRecord const& record, ByteView main);
    Result<void> add_database(WalRecord const& record, ByteView main);
    void cut(Relation const& relation, std::uint32_t limit);
    bool begins_anew(Relation const& relation) const;

    std::map<Relation, Fork> forks_;
    std::set<std::pair<std::uint32_t, std::uint32_t>> databases_;  // tablespace, database: begin anew
    std::uint64_t blocks_ = 0;
    std::string unreliable_;
};

}  // namespace holdfast
