#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "formats/pg_page.h"

namespace holdfast::postgres {

// A page that is not what it should be.
struct BadPage {
    std::uint32_t block = 0;  // of the relation's fork, over all segments
    PgPageState state = PgPageState::bad_checksum;
    Lsn lsn;  // as the page states it
    // True: PostgreSQL's own recovery rewrites the page from the log in any case, because it was being
    // written while it was read.
    bool torn = false;
    std::string detail;  // "stored 1a2b, computed 3c4d"
};

struct PageVerifierOptions {
    bool checksums = true;
    // Where the backup began: pages with a later position were written while the backup ran. Nothing:
    // the cluster stood still, every page must be right. A position after the backup's end, where that
    // is known already, is no position but damage.
    std::optional<Lsn> backup_start = {}, backup_end = {};
    std::uint32_t first_block = 0;
};

// Checks the pages of one file of a relation as its bytes pass by, in pieces of any size.
//
// During a live backup a page can be read half old and half new. Two kinds of it are told from damage:
// the new half came first, then its position is later than the backup's start; or the page was being
// added to the file, then its first 4 KiB are still zero (the kernel copies files by its own pages of
// 4 KiB). Either way the log that belongs to the backup has the page in full. What is left, an old
// first half, has to be read again: by the server, which verifies pages while it sends them, or by update().
class PageVerifier {
  public:
    using Report = std::function<void(BadPage const&)>;
    PageVerifier(PageVerifierOptions options, Report report);
    void update(ByteView bytes);
    // Reads page `number` of the file again, into `page`; false when it is not there any more.
    using Again = std::function<bool(std::uint64_t number, ByteSpan page)>;
    // The same for a file that somebody writes to while we read it: a page that is not right, and for which no
    // position tells why, is read again into `bytes` before it is judged.
    void update(ByteSpan bytes, Again const& again);
    // True when the file ended on a border of pages.
    bool whole() const { return partial_.empty(); }
    std::uint64_t pages() const { return block_ - options_.first_block; }

  private:
    PgPageState check(ByteView page) const;
    bool explained(ByteView page) const;
    void page(ByteView page) { judge(page, check(page)); }
    void judge(ByteView page, PgPageState state);

    PageVerifierOptions options_;
    Report report_;
    std::uint32_t block_;
    Bytes partial_;
};

}  // namespace holdfast::postgres
