#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <shared_mutex>
#include <span>
#include <stop_token>
#include <vector>

#include "repo/pack.h"

namespace holdfast {

class Repository;

// A segment of the index: what a writer put, pack by pack. Sealed and signed as a document of kind
// `index`, stored under index/<SHA-256 of the object>.
Bytes encode_segment(std::span<PackSummary const> packs);
Result<std::vector<PackSummary>> decode_segment(ByteView plain);
ObjectKey segment_key(ByteView object);

// Packs, and who vouches for what lies in them: the bundle that wrote them, or kProven.
struct SegmentGroup {
    BundleId writer;
    std::vector<PackSummary> packs;
};
// For a writer: an admin opened every chunk of the pack and recomputed its id when it was written.
// Everybody may rely on it.
inline constexpr BundleId kProven{};

// What several writers' segments said, in one: what garbage collection leaves. A document of kind
// `merged`, which only an admin signs, under index/ as the others.
Bytes encode_merged(std::span<SegmentGroup const> groups);
Result<std::vector<SegmentGroup>> decode_merged(ByteView plain);
// Reads either kind. `damaged` when it is not what was written under this name.
Result<std::vector<SegmentGroup>> load_segment(Repository& repository, ObjectKey const& key,
                                               std::stop_token stop);

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
};

// Which chunks lie where, in memory: about 48 bytes a chunk and 28 a frame. Thread-safe.
//
// It keeps who said so. A writer deduplicates only against what it wrote itself, or what is proven (a
// compromised one may store garbage under another's chunk id); a reader tries every location, whoever
// named it.
class Index {
  public:
    explicit Index(BundleId const& own) : own_(own) {}

    // Takes over what a segment of `writer` says. A pack that it said before is passed over.
    void add(BundleId const& writer, std::span<PackSummary const> packs);
    // A pack with the chunk that this bundle may rely on: its own or proven, and not known to be gone
    // or about to go.
    std::optional<PackId> reusable_pack(ChunkId const& id) const;
    bool may_reuse(ChunkId const& id) const { return reusable_pack(id).has_value(); }
    bool contains(ChunkId const& id) const;
    // Every location, the ones that this bundle wrote first.
    std::vector<ChunkLocation> find(ChunkId const& id) const;

    // What the store holds: packs that are missing or of another size are not reused from now on, so
    // the next backup heals what was lost.
    void set_present(std::map<PackId, std::uint64_t> const& sizes);
    // These are not reused from now on, until set_present() is called again.
    void exclude(std::set<PackId> const& packs);
    // Whether `writer` names this very pack.
    bool names(BundleId const& writer, PackSummary const& pack) const;

    struct Pack {
        PackId id;
        PackHeader header;
        std::uint64_t bytes = 0;
        BundleId writer;
        std::uint32_t frames = 0;
        std::uint32_t chunks = 0;
    };
    std::vector<Pack> packs() const;
    // The directory as the index has it: `number` is an index in packs().
    PackDirectory directory(std::size_t number) const;
    std::size_t chunks() const;

    // Segments that were loaded; and those that could not be read as what they should be.
    struct DamagedSegment {
        std::string key;
        Error error;
    };
    bool has_segment(std::string const& key) const;
    void note_segment(std::string const& key);
    std::set<std::string> segments() const;
    void note_damaged(std::string const& key, Error error);
    std::vector<DamagedSegment> damaged() const;

  private:
    static constexpr std::uint32_t kEmpty = 0xffffffff;
    struct PackEntry {
        Pack pack;
        std::uint32_t first_frame = 0;
        bool reusable = false;
    };
    struct FrameEntry {
        std::uint32_t pack;
        std::uint32_t offset;  // in the pack: packs are smaller than 4 GiB
        std::uint32_t stored;
        std::uint32_t raw;
        std::uint32_t first_chunk;
        std::uint32_t chunks;
        Codec codec;
        ChunkKind kind;
    };
    struct ChunkEntry {
        ChunkId id;
        std::uint32_t frame;
        std::uint32_t offset;  // in the raw frame
    };

    bool may_rely_on(BundleId const& writer) const { return writer == own_ || writer == kProven; }
    void insert(std::uint32_t entry);
    void grow(std::size_t entries);
    bool is_known(BundleId const& writer, PackSummary const& pack) const;
    PackDirectory directory_locked(PackEntry const& entry) const;
    // Calls visit(entry) for each entry of the id until it returns true; returns whether it did.
    template <typename Visit>
    bool each(ChunkId const& id, Visit const& visit) const;

    mutable std::shared_mutex mutex_;
    BundleId own_;
    std::vector<PackEntry> packs_;
    std::vector<FrameEntry> frames_;
    std::vector<ChunkEntry> chunks_;
    std::vector<std::uint32_t> slots_;  // open addressing over chunks_, a power of two
    std::multimap<PackId, std::uint32_t> by_pack_;
    std::set<std::string> segments_;
    std::vector<DamagedSegment> damaged_;
};

// Keeps a repository's index between uses, so that only new segments are read.
struct IndexSlot {
    std::mutex mutex;
    std::shared_ptr<Index> index;
};

struct RefreshOptions {
    // Also list the packs, for set_present(): before deduplicating.
    bool check_packs = false;
    // Read the segments one after the other, without the executor: then a task may call it.
    bool on_this_thread = false;
};
using LoadedSegment = Result<std::vector<SegmentGroup>>;
// Loads `keys` on the executor, a few at a time; the results are in the order of keys.
std::vector<LoadedSegment> load_segments(Repository& repository, std::vector<ObjectKey> const& keys,
                                         RefreshOptions options, std::stop_token stop);

// The index as the store has it now, read in parallel on the executor; segments that are in the slot
// are not read again. A segment that is damaged is noted in the index, not an error: its chunks are
// missing, the others are there. Not from an executor's task, but see `on_this_thread`.
Result<std::shared_ptr<Index>> refresh_index(Repository& repository, RefreshOptions options,
                                             std::stop_token stop);

}  // namespace holdfast
