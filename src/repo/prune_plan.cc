#include "repo/prune_plan.h"

#include <algorithm>

namespace holdfast {

Keepers::Keepers(Index const& index, DigestSet const& live, ListedPacks const& packs, DataKeys const& data_keys)
    : named_(index.packs().value()), index_(index), live_(live) {
    std::vector<std::uint32_t> order, others;
    std::vector<bool> is_newest;
    for (std::uint32_t i = 0; i < named_.size(); ++i) {
        auto const& data_key = named_[i].header.data_key;
        marks_.push_back(data_keys.mark_of(data_key));
        is_newest.push_back(data_keys.is_newest(data_key));
        if (!data_keys.opens(data_key)) {
            sealed_.insert(named_[i].id);
            continue;
        }
        auto listed = packs.find(named_[i].id);
        auto stands = listed != packs.end() && listed->second.bytes == named_[i].bytes &&
                      !listed->second.doomed && !listed->second.damaged && !listed->second.suspect;
        (stands ? order : others).push_back(i);
    }
    // Proven ones first, and of these the newest epoch. Else the one with the smaller name: two collectors
    // choose alike.
    std::ranges::sort(order, {}, [&](std::uint32_t i) {
        return std::tuple(named_[i].writer != kProven, !is_newest[i], named_[i].id, named_[i].writer);
    });
    for (auto number : order) {
        auto const& pack = named_[number];
        Use use{.live = 0, .total = 0, .named = true};
        for (auto const& chunk : directory(number).chunks) {
            use.total += chunk.length;
            auto id = in_pair(chunk.id, marks_[number]);
            if (!live_.contains(id)) continue;
            auto [first, is_new] = first_.emplace(id, number);
            auto const& kept = named_[first->second];
            auto stays = is_new || kept.id == pack.id;
            if (!stays && kept.writer != kProven && kept.writer != pack.writer) {
                more_.emplace(id, number);
                stays = true;
            }
            if (stays) use.live += chunk.length;
        }
        // A pack that several segments name counts as the one that needs it most says.
        auto& known = uses_[pack.id];
        if (!known.named || use.share() > known.share()) known = use;
    }
    DigestSet only_there;
    for (auto number : others) {
        auto const& pack = named_[number];
        auto listed = packs.find(pack.id);
        uses_[pack.id].named = true;
        bool needed = false;
        for (auto const& chunk : directory(number).chunks) {
            auto id = in_pair(chunk.id, marks_[number]);
            if (!live_.contains(id) || first_.contains(id)) continue;
            only_there.insert(id);
            needed = true;
        }
        if (!needed) continue;
        if (listed == packs.end()) {
            missed_.insert(pack.id);
        } else if (listed->second.doomed) {
            stranded_.insert(pack.id);
        } else if (listed->second.suspect) {
            irreplaceable_.insert(pack.id);
        }
    }
    unfound_ = live_.size() - first_.size() - only_there.size();
}

bool Keepers::is_live(std::size_t pack_number, ChunkId const& chunk) const {
    return live_.contains(in_pair(chunk, marks_[pack_number]));
}

bool Keepers::keeps(std::size_t pack_number, ChunkId const& chunk) const {
    auto id = in_pair(chunk, marks_[pack_number]);
    auto first = first_.find(id);
    if (first == first_.end()) return false;
    auto const& pack = named_[pack_number];
    if (named_[first->second].id == pack.id) return true;
    auto [begin, end] = more_.equal_range(id);
    return std::any_of(begin, end, [&](auto const& one) { return named_[one.second].id == pack.id; });
}

std::optional<PackId> Keepers::keeper(std::size_t pack_number, ChunkId const& chunk) const {
    auto first = first_.find(in_pair(chunk, marks_[pack_number]));
    if (first == first_.end()) return {};
    return named_[first->second].id;
}

Keepers::Use Keepers::use(PackId const& pack) const {
    auto found = uses_.find(pack);
    return found == uses_.end() ? Use{} : found->second;
}

std::set<PackId> Keepers::depended_on(std::set<PackId> const& doomed) const {
    std::set<PackId> packs;
    for (std::size_t number = 0; number < named_.size(); ++number) {
        if (!doomed.contains(named_[number].id)) continue;
        for (auto const& chunk : directory(number).chunks) {
            if (!is_live(number, chunk.id)) continue;
            if (auto kept = keeper(number, chunk.id)) packs.insert(*kept);
        }
    }
    return packs;
}

PrunePlan make_plan(Keepers const& keepers, ListedPacks const& packs, PrunePlanLimits const& limits) {
    PrunePlan plan;
    struct Candidate {
        PackId id;
        double share;
        std::uint64_t bytes, dead;
    };
    std::vector<Candidate> candidates;
    std::uint64_t standing = 0, dead = 0;
    auto budget = limits.repack_bytes_max;
    for (auto const& [id, pack] : packs) {
        if (keepers.sealed().contains(id)) {
            ++plan.sealed;
            continue;
        }
        auto use = keepers.use(id);
        if (!use.named && keepers.unfound() > 0) {
            ++plan.unnamed;
            continue;
        }
        if (pack.doomed) {
            if (keepers.stranded().contains(id)) {
                if (pack.bytes <= budget) {
                    budget -= pack.bytes;
                    plan.rescue.push_back(id);
                } else {
                    plan.postponed_bytes += pack.bytes;
                }
            } else if (pack.due) {
                plan.remove.push_back(id);
            } else {
                ++plan.waiting;
            }
            continue;
        }
        // Of a damaged pack nobody can say what another reader, or another copy, still gets from it.
        if (pack.damaged || keepers.irreplaceable().contains(id)) {
            standing += pack.bytes;
            continue;
        }
        if (use.live == 0) {
            if (pack.young) {
                ++plan.young;
            } else {
                plan.doom.push_back(id);
            }
            continue;
        }
        auto unused = static_cast<std::uint64_t>(static_cast<double>(pack.bytes) * (1 - use.share()));
        standing += pack.bytes;
        dead += unused;
        if (use.live < use.total && !pack.young) candidates.push_back({id, use.share(), pack.bytes, unused});
    }
    std::ranges::sort(candidates, {}, [](Candidate const& one) { return std::tuple(one.share, one.id); });
    plan.unused_bytes = dead;
    for (auto const& one : candidates) {
        if (static_cast<double>(dead) <= limits.unused_max * static_cast<double>(standing)) break;
        dead -= one.dead;
        standing -= one.dead;
        if (one.bytes > budget) {
            plan.postponed_bytes += one.bytes;
            continue;
        }
        budget -= one.bytes;
        plan.repack.push_back(one.id);
        plan.unused_bytes -= one.dead;
    }
    return plan;
}

}  // namespace holdfast
