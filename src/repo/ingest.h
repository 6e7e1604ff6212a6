#pragma once

#include <memory>
#include <set>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "os/executor.h"
#include "repo/content.h"
#include "repo/layout.h"
#include "repo/pack_trailer.h"

namespace holdfast {

struct IngestLimits {
    std::size_t pack_bytes = 32u << 20;        // a pack is closed when it holds this much
    std::size_t packs_in_flight_max = 2;       // closed and not yet stored
    std::size_t frames_in_flight_bytes = 32u << 20;  // raw bytes between chunker and pack
    int zstd_level = 3;
    unsigned parity_percent = kParityPercentDefault;  // of each pack; 0 to kParityPercentMax
    // The key pair that frames are sealed to; empty: the repository's own. `usage` from begin_ingest()
    // when there is none of that name.
    std::string pair = {};
};

struct IngestStatistics {
    std::uint64_t bytes_in = 0;       // raw, holes not counted
    std::uint64_t chunks_new = 0, chunks_known = 0;
    std::uint64_t bytes_new = 0;      // raw bytes of new chunks
    std::uint64_t bytes_stored = 0;   // sealed bytes put into packs, directories included
    std::uint64_t packs = 0;
};

// The way in: streams → chunks → keyed id → already stored? → frame → codec → seal → pack → store →
// index. One direction; memory is bounded by IngestLimits whatever the size of the data.
//
// open_stream/append/finish are called from one thread (the producer); the stages behind run on the
// executor. The first error of any stage is returned by every later call.
class Ingest {
  public:
    class Stream {
      public:
        virtual ~Stream() = default;
        virtual Result<void> append(ByteView bytes) = 0;
        // append() without its copy: write into room() (some kilobytes at least, good until the next
        // call of anything else), then say how many bytes are there.
        virtual ByteSpan room() = 0;
        virtual Result<void> filled(std::size_t bytes) = 0;
        // `length` zeros that take no room. Long runs of zeros in append() become holes, too: no.
        // A hole is what the source says is one.
        virtual Result<void> hole(std::uint64_t length) = 0;
        // The content, its extent lists stored. The chunks are durable only after flush().
        virtual Result<Content> finish() = 0;
        // After finish(): every chunk that the content needs, its extent lists' own included, each at
        // least once, in any order; valid while the stream lives. A capture cache keeps them, because
        // a writer can't read the lists of a large file, and knows() must be asked about all of them.
        // Empty (the default) for a content at depth > 0 means "can't say": it is read again next time.
        virtual std::span<ChunkId const> chunks() const { return {}; }
    };

    virtual ~Ingest() = default;
    // Dropping the stream without finish() forgets it; its chunks may stay and be garbage. Several
    // streams may be open at once (a directory's while its files are read).
    virtual std::unique_ptr<Stream> open_stream(ChunkKind kind, Layout layout) = 0;
    // Whether all chunks of `content` (its lists too) are stored where this writer may rely on them.
    // Used before a file is taken over from the cache unread. Lists themselves can be read only by a
    // reader; a writer keeps what it wrote in its own authenticated cache.
    virtual bool knows(ChunkId const& chunk) const = 0;
    // Stores everything that is pending: packs, then the index that names them. After success every
    // content returned so far is durable.
    virtual Result<void> flush() = 0;
    // Beside garbage collection: makes sure that every pack which the contents returned so far need
    // still stands and is not doomed. What a doomed pack holds is stored again, where this bundle may
    // read it. `unsafe` when that cannot be: the whole capture has to be done again. Called by
    // publish(), between the point and its log entry.
    virtual Result<void> secure(std::stop_token) { return {}; }
    virtual IngestStatistics statistics() const = 0;
    // The key pair that it seals to: IngestLimits::pair.
    virtual std::string pair() const { return {}; }
    // The packs in which lies what was stored or known so far: what locks a new point's content locks these.
    virtual std::set<PackId> relied_on() const { return {}; }
};

}  // namespace holdfast
