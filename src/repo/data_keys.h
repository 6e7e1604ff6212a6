#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "repo/key_ring.h"

namespace holdfast {

class Repository;

// The data key pairs of a repository as one bundle has them: the one of the bundle itself (epoch 0 of
// the repository's own), then those of the key ring. Never changed once it is made.
class DataKeys {
  public:
    // Opens the grants that are this bundle's. `damaged` when one does not open.
    static Result<DataKeys> create(KeyBundle const& keys, KeyRing const& ring);

    // What new packs of the pair `name` are sealed to ("" is the repository's own). usage, with a hint,
    // when there is no pair of that name.
    Result<BoxPublicKey> newest(std::string_view name) const;
    // Every pair of that name, oldest first: a pack that is sealed to one of these is read by whoever
    // reads the newest, so a writer may rely on it.
    std::vector<DataKeyId> epochs(std::string_view name) const;
    // The private half; key_refused, naming the pair, when this bundle has it not.
    Result<BoxKey const*> find(DataKeyId const& id) const;
    bool opens(DataKeyId const& id) const;
    // Whether every epoch of the pair opens; also of a name that no ring knows, of which there is nothing to open.
    bool holds(std::string_view name) const;
    // Whether new packs are sealed to it.
    bool is_newest(DataKeyId const& id) const;
    // "epoch 2", "key pair 'escrow'", for messages; what is in no ring is named by its id.
    std::string describe(DataKeyId const& id) const;
    // Which name the pair goes by; nothing when no ring knows it.
    std::optional<std::string> name_of(DataKeyId const& id) const;
    // What in_pair() takes for chunks in packs that are sealed to it.
    Hash32 mark_of(DataKeyId const& id) const;

  private:
    struct Pair {
        std::string name;
        DataKeyId id;
        BoxPublicKey public_key{};
        std::optional<BoxKey> opened;
    };
    std::vector<Pair> pairs_;  // oldest first
};

// A chunk that is sealed to one pair is of no use to who reads another: where garbage is told from what is
// needed, they are two. Zeros for the repository's own pair.
Hash32 pair_mark(std::string_view name);
ChunkId in_pair(ChunkId id, Hash32 const& mark);

}  // namespace holdfast
