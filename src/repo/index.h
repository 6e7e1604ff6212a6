#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <shared_mutex>
#include <span>
#include <stop_token>
#include <vector>

#include "repo/index_cache.h"
#include "repo/index_table.h"

namespace holdfast {

// Where a chunk lies, all that is needed to read it.
struct ChunkLocation {
    PackId pack;
    PackHeader header;
    std::uint64_t pack_bytes = 0;    // of the object
    std::uint32_t pack_number = 0;   // in this index: the same for all chunks of one pack
    std::uint32_t frame_number = 0;  // in the pack
    PackFrame frame;
    std::uint64_t frame_offset = 0;  // in the pack
    std::uint32_t offset = 0;        // of the chunk in the raw frame
    std::uint32_t length = 0;
    BundleId writer;                 // who named it
};

// Which chunks lie where. Thread-safe. With a cache it lies in this client's local files (see IndexCache), and
// in memory are only the segments that came last; without one all of it is in memory, 48 bytes a chunk.
//
// It keeps who said so. A writer deduplicates only against what it wrote itself, or what is proven (a
// compromised one may store garbage under another's chunk id); a reader tries every location, whoever
// named it.
class Index {
  public:
    // Without a cache nothing that returns a Result fails.
    explicit Index(BundleId const& own, std::shared_ptr<IndexCache> cache = nullptr);

    // ---- what is in it

    // Takes over the tables of the cache that say what some of these segments say.
    void take_cached(std::set<std::string> const& listed);
    // Takes over what a segment says. A pack that its writer named before, alike, is passed over.
    void add_segment(std::string const& key, std::span<SegmentGroup const> groups);
    void add(BundleId const& writer, std::span<PackSummary const> packs);
    // Segments that were loaded; and those that could not be read as what they should be.
    struct DamagedSegment {
        std::string key;
        Error error;
    };
    bool has_segment(std::string const& key) const;
    std::set<std::string> segments() const;
    void note_damaged(std::string const& key, Error error);
    std::vector<DamagedSegment> damaged() const;
    // Whether a file of the cache could not be read: then another index has to be made, which does without.
    bool is_broken() const { return broken_; }
    // Puts what is worth it into the cache, and its small tables into one.
    void settle();

    // ---- for readers

    // Every location, the ones that this bundle wrote first.
    Result<std::vector<ChunkLocation>> find(ChunkId const& id) const;
    // The packs, each as often as different writers named it or one writer did differently.
    Result<std::vector<IndexPack>> packs() const;
    // Of what packs()[number] says.
    Result<PackDirectory> directory(std::size_t number) const;
    std::size_t chunks() const;

    // ---- for writers

    // Decides which packs are reused from now on, until the next call: those that this bundle may rely on (its
    // own, proven ones, and those for which `proven` says so), and that the store holds in the right size. Before
    // the first call: all that it may rely on.
    Result<void> choose_reusable(std::map<PackId, std::uint64_t> const& sizes,
                                 std::function<bool(IndexPack const&)> const& proven);
    // These are not reused from now on, until choose_reusable() is called again.
    void exclude(std::set<PackId> const& packs);
    // A pack with the chunk that this bundle may rely on, that is sealed to one of `keys`, and that is not known to
    // be gone or about to go. What cannot be read is not there: it is stored again.
    std::optional<PackId> reusable_pack(ChunkId const& id, std::span<DataKeyId const> keys) const;
    bool may_reuse(ChunkId const& id, std::span<DataKeyId const> keys) const {
        return reusable_pack(id, keys).has_value();
    }
    // Whether the pack, as this names it, is one that this bundle may rely on.
    Result<bool> relies_on(PackSummary const& pack) const;

  private:
    struct Part {
        std::shared_ptr<IndexTable> table;
        std::shared_ptr<FileTable> file;    // the same; nothing when it is in memory
        std::uint32_t first_pack = 0;       // its packs' numbers in the index begin here
    };
    struct Trust {
        bool believed = false;  // this bundle may rely on what was said of the pack
        bool usable = true;     // nothing speaks against reusing it
    };

    bool may_rely_on(BundleId const& writer) const { return writer == own_ || writer == kProven; }
    MemoryTable& tail();
    Part const& part_of(std::size_t number) const;
    std::uint32_t pack_count() const;
    std::size_t chunk_count() const;
    bool is_known(BundleId const& writer, PackSummary const& pack, Hash32 const& record) const;
    void add_locked(BundleId const& writer, std::span<PackSummary const> packs);
    bool is_believed(Part const& part, std::uint32_t pack) const;
    void append(std::shared_ptr<FileTable> file);
    // Puts these parts into one file, when it can be written.
    void store_parts(std::size_t first, std::size_t end);
    std::unexpected<Error> lost(Part const& part, Error error) const;

    mutable std::shared_mutex mutex_;
    BundleId own_;
    std::shared_ptr<IndexCache> cache_;
    std::vector<Part> parts_;  // the last one is in memory, when any is
    std::vector<std::string> tail_segments_;   // whose content is in memory
    std::optional<std::vector<Trust>> trust_;  // of packs, by number, once they were chosen; else by their writers
    std::set<std::string> segments_;
    std::vector<DamagedSegment> damaged_;
    mutable std::atomic<bool> broken_ = false;
};

// Keeps a repository's index between uses, so that only new segments are read.
struct IndexSlot {
    std::mutex mutex;
    std::shared_ptr<Index> index;
};

struct RefreshOptions {
    // Also list the packs, for choose_reusable(): before deduplicating.
    bool check_packs = false;
    LoadSegments load = LoadSegments::on_executor;
    // Read everything from the store: what is kept of it here, in memory or in files, is not believed, nor used
    // by later refreshes.
    bool afresh = false;
};
// The index as the store has it now, read in parallel on the executor; segments that are in the slot or in the
// cache are not read again. A segment that is damaged is noted in the index, not an error: its chunks are
// missing, the others are there. Not from an executor's task, but with LoadSegments::on_this_thread.
Result<std::shared_ptr<Index>> refresh_index(Repository& repository, RefreshOptions options,
                                             std::stop_token stop);

}  // namespace holdfast
