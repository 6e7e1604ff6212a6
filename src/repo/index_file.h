#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "repo/index_table.h"
#include "repo/sealed_blocks.h"

namespace holdfast {

// A table of the index in a local file, which stays there: a look-up reads what it needs through a bounded
// cache. In memory are two bytes for a hundred chunks, and after load_for_reuse() 1.3 bytes a chunk and 144 a
// pack. docs/decisions/0080-index-on-disk.md says why it is not mapped.
//
// The file: sealed blocks. The first has the counts; then follow, each beginning a block, the packs, frames,
// chunks, the order of the chunks' ids and the one of the packs', the filter (lines of 64 bytes: a Bloom filter
// whose bits for one id lie in one line), the first prefix of each block of the two orders, and the names of
// the segments that the table was made of. It is read by the kind of machine that wrote it.
class FileTable : public IndexTable {
  public:
    // `damaged` when it is not whole or not the owner's. Of what it says it is believed to be what this client
    // wrote: it is sealed.
    static Result<std::shared_ptr<FileTable>> open(std::string path, SealedBlocksOwner const& owner,
                                                   std::shared_ptr<BlockCache> cache);

    // Reads what is asked for again and again when chunks are to be reused: the packs and the filter.
    Result<void> load_for_reuse();
    // Names of the segments whose content this is, sorted.
    std::vector<Hash32> const& segments() const { return segments_; }
    std::string const& path() const { return file_.path(); }

    std::uint32_t packs() const override { return counts_.packs; }
    std::uint32_t frames() const override { return counts_.frames; }
    std::uint32_t chunks() const override { return counts_.chunks; }
    Result<IndexPack> pack(std::uint32_t number) const override;
    Result<IndexFrame> frame(std::uint32_t number) const override;
    Result<IndexChunk> chunk(std::uint32_t number) const override;
    Result<void> each_chunk(ChunkId const& id, Visit const& visit) const override;
    Result<void> each_pack(PackId const& id, Visit const& visit) const override;
    bool may_hold(ChunkId const& id) const override;
    Result<IdPlace> chunk_order(std::uint32_t place) const override;
    Result<IdPlace> pack_order(std::uint32_t place) const override;

    struct Counts {
        std::uint32_t packs = 0, frames = 0, chunks = 0, segments = 0;
    };

  private:
    // Records of one size: which block each is in.
    struct Section {
        std::uint64_t first_block = 0;
        std::uint64_t records = 0;
        std::size_t record_bytes = 1;
        std::uint64_t blocks() const;
    };
    // In the order in which they lie in the file.
    struct Sections {
        Section packs, frames, chunks, chunk_order, pack_order, filter, chunk_fences, pack_fences, segments;
        std::uint64_t blocks = 0;  // of all, and the one with the counts
        explicit Sections(Counts const& counts);
        Sections() = default;
    };

    FileTable(SealedBlocks file, std::shared_ptr<BlockCache> cache)
        : file_(std::move(file)), cache_(std::move(cache)) {}

    template <typename Record>
    Result<Record> record(Section const& section, std::uint64_t number) const;
    template <typename Record>
    Result<std::vector<Record>> all(Section const& section) const;
    template <typename SomeId, typename Fetch>
    Result<void> each(SomeId const& id, Section const& order, std::vector<std::uint32_t> const& fences,
                      Fetch const& fetch, Visit const& visit) const;

    SealedBlocks file_;
    std::shared_ptr<BlockCache> cache_;
    Counts counts_;
    Sections sections_;
    std::vector<std::uint32_t> chunk_fences_, pack_fences_;
    std::vector<Hash32> segments_;
    std::vector<IndexPack> packs_;  // when they are loaded
    struct FilterLine {
        std::array<std::uint64_t, 8> bits{};
    };
    std::vector<FilterLine> filter_;  // when it is loaded

    friend Result<void> write_index_file(std::string, SealedBlocksOwner const&, Random&,
                                         std::span<IndexTable const* const>, std::vector<Hash32>);
};

// Writes one table of what `tables` hold, in their order: packs keep their numbers, counted on from table to
// table. Fewer than 2^32 - 1 chunks together (asserted). A failure leaves no file.
Result<void> write_index_file(std::string path, SealedBlocksOwner const& owner, Random& random,
                              std::span<IndexTable const* const> tables, std::vector<Hash32> segments);

}  // namespace holdfast
