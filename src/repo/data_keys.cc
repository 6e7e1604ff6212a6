#include "repo/data_keys.h"

#include <algorithm>
#include <cassert>
#include <fmt/format.h>

#include "repo/repository.h"

namespace holdfast {

Result<DataKeys> DataKeys::create(KeyBundle const& keys, KeyRing const& ring) {
    DataKeys all;
    auto& first = all.pairs_.emplace_back();
    first.id = data_key_id(keys.data_public);
    first.public_key = keys.data_public;
    if (keys.data_private) first.opened = BoxKey{keys.data_private->clone(), keys.data_public};
    auto granted = ring.grants.find(keys.id);
    for (auto const& pair : ring.pairs) {
        auto& one = all.pairs_.emplace_back();
        one.name = pair.name;
        one.id = data_key_id(pair.public_key);
        one.public_key = pair.public_key;
        if (granted == ring.grants.end()) continue;
        auto sealed = granted->second.find(one.id);
        if (sealed == granted->second.end()) continue;
        one.opened = TRY(open_grant(keys, pair.public_key, sealed->second));
    }
    return all;
}

Result<BoxPublicKey> DataKeys::newest(std::string_view name) const {
    for (auto pair = pairs_.rbegin(); pair != pairs_.rend(); ++pair)
        if (pair->name == name) return pair->public_key;
    return fail(ErrorKind::usage, fmt::format("the repository has no key pair '{}'", name),
                fmt::format("make it, as an admin: holdfast key pair {}", name));
}

std::vector<DataKeyId> DataKeys::epochs(std::string_view name) const {
    std::vector<DataKeyId> ids;
    for (auto const& pair : pairs_)
        if (pair.name == name) ids.push_back(pair.id);
    return ids;
}

Result<BoxKey const*> DataKeys::find(DataKeyId const& id) const {
    auto pair = std::ranges::find(pairs_, id, &Pair::id);
    if (pair != pairs_.end() && pair->opened) return &*pair->opened;
    return fail(ErrorKind::key_refused, "sealed to " + describe(id) + ", which this key does not hold",
                "use a key that was given it: `holdfast key list` shows which were");
}

bool DataKeys::opens(DataKeyId const& id) const {
    auto pair = std::ranges::find(pairs_, id, &Pair::id);
    return pair != pairs_.end() && pair->opened;
}

bool DataKeys::holds(std::string_view name) const {
    return std::ranges::all_of(pairs_, [&](Pair const& pair) { return pair.name != name || pair.opened; });
}

bool DataKeys::is_newest(DataKeyId const& id) const {
    auto name = name_of(id);
    return name && epochs(*name).back() == id;
}

std::string DataKeys::describe(DataKeyId const& id) const {
    auto pair = std::ranges::find(pairs_, id, &Pair::id);
    if (pair == pairs_.end()) return "data key " + id.hex();
    if (!pair->name.empty()) return "key pair '" + pair->name + "'";
    auto epochs = this->epochs("");
    return fmt::format("epoch {} of the data key", std::ranges::find(epochs, id) - epochs.begin());
}

std::optional<std::string> DataKeys::name_of(DataKeyId const& id) const {
    auto pair = std::ranges::find(pairs_, id, &Pair::id);
    if (pair == pairs_.end()) return {};
    return pair->name;
}

Hash32 DataKeys::mark_of(DataKeyId const& id) const {
    auto name = name_of(id);
    // One that no ring knows opens for nobody: it is a pair of its own.
    return name ? pair_mark(*name) : sha256(id.view());
}

Hash32 pair_mark(std::string_view name) { return name.empty() ? Hash32{} : sha256(as_bytes(name)); }

ChunkId in_pair(ChunkId id, Hash32 const& mark) {
    for (std::size_t i = 0; i < mark.size(); ++i) id.bytes[i] ^= mark[i];
    return id;
}

std::shared_ptr<DataKeys const> Repository::data_keys() const {
    auto keys = DataKeys::create(this->keys(), {});
    assert(keys);
    return std::make_shared<DataKeys const>(std::move(*keys));
}

Result<LoadedRing> Repository::ring(std::stop_token) { return LoadedRing{}; }

}  // namespace holdfast
