#pragma once

#include <memory>
#include <optional>

#include "repo/ingest.h"
#include "sources/postgres/page_map.h"

namespace holdfast::postgres {

// A relation's file on its way into the repository, page by page: what the page map says is stored already is
// carried over by reference, and only pages that differ are stored, as chunks of their own.
//
// Files are cut into groups of 128 KiB. A group of which nothing is known is one chunk, as if it were cut by
// the layout `pages`. A group that would fall into more than kRunsMax runs is stored anew as one chunk: so
// neither the list of a file's extents nor the number of places from which a restore gathers it grows with the
// number of backups.
class RelationStream {
  public:
    static constexpr std::size_t kGroupBytes = 128u << 10;
    static constexpr std::size_t kRunsMax = 12;  // of 16 at most

    // `ingest` and `sums` outlive it. `before`: the file in the map of an earlier backup.
    RelationStream(Ingest& ingest, FastMac& sums, std::optional<MappedFile> before);
    // Instead of any append(): all of the file as it was when the map was made, unread, because it is still what it was
    // when it was read twice; true then. False when it is not, or what it is made of can't be relied on any more.
    Result<bool> carry_over(FileStamp const& stamp);
    // The file in the map of an earlier backup.
    MappedFile const& before() const { return before_; }
    Result<void> append(ByteView bytes);
    // The content; its chunks are durable only after the ingest's flush().
    Result<Content> finish();
    // After finish(): the file as it is stored now.
    MappedFile& map() { return map_; }

  private:
    // Pages behind each other that come from one place.
    struct Run {
        std::size_t begin = 0, bytes = 0;    // within the group
        std::optional<Extent> stored = {};   // nothing: has to be stored
    };
    Result<void> take_group(ByteView group);
    std::vector<Run> plan(ByteView group);
    // Where page `number` of the file is stored, if it has this sum and can be relied on.
    std::optional<Extent> stored_page(std::size_t number, PageSum const& sum);
    Result<void> store(ByteView bytes);
    Result<void> store_waiting();
    Result<void> stay();

    Ingest& ingest_;
    FastMac& sums_;
    MappedFile before_;
    std::size_t before_extent_ = 0;     // that with the page which was asked for last
    std::uint64_t before_begin_ = 0;    // where it begins in the file
    std::optional<std::pair<ChunkId, bool>> known_;  // the last answer of Ingest::knows()
    Bytes group_;                       // a part of one
    // Runs that have to be stored, behind each other: a stream takes many at once, because ids are computed side by side.
    static constexpr std::size_t kTogether = 16;
    Bytes waiting_;
    std::vector<std::uint64_t> ends_;   // of each
    std::vector<std::size_t> places_;   // of each in map_.extents
    std::unique_ptr<Ingest::Stream> idle_;
    std::uint64_t size_ = 0;
    MappedFile map_;
};

}  // namespace holdfast::postgres
