#pragma once

#include <functional>
#include <optional>

#include "formats/pg_wal_page.h"
#include "formats/pg_wal_record.h"

namespace holdfast {

// Walks through the records of a stretch of PostgreSQL's log as it comes in, of versions 12 to 17, and
// checks each: its place, its CRC, its link to the record before.
//
// It begins at the first record that starts in the stretch. It ends where the log does: a server that
// stopped leaves zeros, or the rest of older log, behind its last record; that is no error of a reader who
// does not know where the log ends, and is told by `end_reason`.
class WalDecoder {
  public:
    // Returns false when it has seen enough.
    using Visit = std::function<Result<bool>(WalRecord const& record)>;

    // `from`: a multiple of a page. `segment_bytes` is a power of two from 1 MiB to 1 GiB.
    WalDecoder(Lsn from, std::uint32_t segment_bytes);

    // Takes the next bytes. An error is the visitor's; nothing happens after the end.
    Result<void> feed(ByteView bytes, Visit const& visit);
    // There are no more: takes the part of the last page that was given.
    Result<void> finish(Visit const& visit);

    // How far the records went: one behind the last whole one.
    Lsn end() const { return end_; }
    // Whether what was fed held something else than log before its own end, and what. Empty: no.
    std::string const& end_reason() const { return end_reason_; }
    bool ended() const { return ended_; }

  private:
    Result<void> page(ByteView bytes, Visit const& visit);
    Result<void> records(ByteView bytes, std::size_t at, Visit const& visit);
    Result<void> whole_record(ByteView record, Lsn start, Lsn end, Visit const& visit);
    void stop(std::string reason);

    std::uint32_t segment_bytes_;
    Lsn page_;                  // where the page that comes next begins
    Bytes buffer_;              // a part of it
    Lsn end_;
    bool ended_ = false;
    std::string end_reason_;
    Lsn skip_until_;            // after a switch: the next segment
    std::uint16_t magic_ = 0;
    std::optional<Lsn> last_;   // start of the last record
    // A record that goes on on the next page.
    Bytes pending_;
    std::size_t pending_bytes_ = 0;
    Lsn pending_start_;
};

}  // namespace holdfast
