#pragma once

#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/time.h"
#include "crypto/crypto.h"
#include "repo/index_table.h"

namespace holdfast {

// What a reader found when it opened a pack and recomputed the id of every chunk. Sealed and signed as a
// document of kind `proven`, under proven/<SHA-256 of the object>. Writers deduplicate against packs of others
// only where such a mark covers them, and never against one that is known to be damaged.

enum class PackVerdict : std::uint8_t {
    whole = 1,    // every byte is as it was written, every chunk what its id says
    damaged = 2,  // something in it is lost: what it holds is stored again by whoever still has it
    given_up = 3, // it was damaged or is gone, and all that it held lies elsewhere
};

struct PackMark {
    PackId pack;
    // Of whole packs: pack_record_hash() of what the pack said of itself. An index that claims another content
    // of the pack is not covered.
    Hash32 record{};
    PackVerdict verdict = PackVerdict::whole;
    Time time{};  // of the reading, by the reader's clock
    bool operator==(PackMark const&) const = default;
};

inline constexpr std::string_view kProvenPrefix = "proven/";

Bytes encode_marks(Time time, std::span<PackMark const> marks);
// Checks every length and verdict; all marks have the document's time.
Result<std::vector<PackMark>> decode_marks(ByteView plain);
// Opens the object that was found under `key`. `damaged` when it is not what was written there. Of a key that
// was removed: no marks.
Result<std::vector<PackMark>> open_marks(Repository& repository, std::string const& key, ByteView object,
                                         std::stop_token stop);

// The newest mark of each pack.
class PackMarks {
  public:
    // Takes over a document's marks: of two for one pack the younger one counts, of two of one time the worse.
    void add(std::string const& key, std::span<PackMark const> marks);
    PackMark const* find(PackId const& pack) const;
    std::map<PackId, PackMark> const& all() const { return marks_; }
    bool has_document(std::string const& key) const { return documents_.contains(key); }
    // Documents of whose marks none counts any more.
    std::vector<std::string> superseded() const;
    // Forgets documents that are not among `keys` any more; returns whether there were any.
    bool forget_others(std::set<std::string> const& keys);
    std::vector<std::pair<std::string, Error>> damaged;  // documents that do not open

  private:
    std::map<std::string, std::vector<PackMark>> documents_;
    std::map<PackId, PackMark> marks_;
};

// Brings `marks` up to what the store has. A document that does not open is noted, and its packs count as
// unproven.
Result<void> refresh_marks(Repository& repository, PackMarks& marks, std::stop_token stop);

// Whether a reader opened the pack and found in it what the index says of it.
bool is_proven(IndexPack const& pack, PackMarks const& marks);

// Stores marks (all of this moment: their times are set to now, but later than any older mark of their pack),
// then removes documents that none of the newest marks is in. Durable when it returns. Needs a reader's key
// (asserted).
Result<void> store_marks(Repository& repository, std::vector<PackMark> marks, PackMarks& known, std::stop_token stop);

}  // namespace holdfast
