#include <algorithm>

#include "repo/index.h"
#include "repo/proven.h"
#include "repo/repository.h"

namespace holdfast {
namespace {

// So many segments lie in memory at once, before they are in the index.
constexpr std::size_t kSegmentsAtOnce = 64;

Result<std::vector<ObjectKey>> list_segments(Store& store, std::stop_token stop) {
    std::vector<ObjectKey> found;
    auto visit = [&](ObjectInfo const& info) -> Result<void> {
        found.push_back(info.key);
        return {};
    };
    TRY(store.list("index/", visit, std::move(stop)));
    return found;
}

// Brings the index up to what the store lists now. Returns whether every segment that was listed was
// still there.
Result<bool> load_listed(Repository& repository, std::shared_ptr<Index>& index, RefreshOptions options,
                         std::stop_token stop) {
    auto const found = TRY(list_segments(repository.store(), stop));
    if (index) {
        // A segment that is gone (merged, collected), or that was damaged: start afresh.
        auto known = index->segments();
        for (auto const& key : found) known.erase(key.text());
        if (!known.empty() || !index->damaged().empty() || index->is_broken()) index = nullptr;
    }
    if (!index) {
        index = std::make_shared<Index>(repository.keys().id, options.afresh ? nullptr : IndexCache::of(repository));
        std::set<std::string> listed;
        for (auto const& key : found) listed.insert(key.text());
        index->take_cached(listed);
    }

    std::vector<ObjectKey> missing;
    for (auto const& key : found) {
        if (!index->has_segment(key.text())) missing.push_back(key);
    }
    bool all_there = true;
    for (std::size_t at = 0; at < missing.size(); at += kSegmentsAtOnce) {
        std::vector<ObjectKey> const keys(missing.begin() + static_cast<std::ptrdiff_t>(at),
                                          missing.begin() + static_cast<std::ptrdiff_t>(std::min(at + kSegmentsAtOnce, missing.size())));
        auto loaded = load_segments(repository, keys, options.load, stop);
        for (std::size_t i = 0; i < loaded.size(); ++i) {
            auto const& key = keys[i].text();
            if (loaded[i]) {
                index->add_segment(key, *loaded[i]);
                continue;
            }
            auto kind = loaded[i].error().kind;
            if (kind == ErrorKind::damaged || kind == ErrorKind::io) {
                index->note_damaged(key, std::move(loaded[i].error()).within(key));
            } else if (kind == ErrorKind::not_found) {
                all_there = false;
            } else {
                return fail(std::move(loaded[i].error()).within("read " + key));
            }
        }
    }
    index->settle();
    return all_there;
}

// After the segments: a pack that a listed segment names was durable before it.
Result<void> choose_reusable(Repository& repository, Index& index, std::stop_token stop) {
    std::map<PackId, std::uint64_t> sizes;
    auto visit = [&](ObjectInfo const& info) -> Result<void> {
        if (auto id = pack_of(info.key)) sizes.emplace(*id, info.size);
        return {};
    };
    TRY(repository.store().list("packs/", visit, stop));
    // After the packs: one that is found to be damaged while we look is not reused.
    PackMarks marks;
    TRY(refresh_marks(repository, marks, stop));
    // What is known to be damaged counts as missing here: then the next backup stores it again.
    std::erase_if(sizes, [&](auto const& item) {
        auto const* mark = marks.find(item.first);
        return mark != nullptr && mark->verdict != PackVerdict::whole;
    });
    // What a reader has proven to be what the index says of it is as good as if this bundle had written it.
    return index.choose_reusable(sizes, [&](IndexPack const& pack) { return is_proven(pack, marks); });
}

}  // namespace

Result<std::shared_ptr<Index>> refresh_index(Repository& repository, RefreshOptions options,
                                             std::stop_token stop) {
    auto& slot = repository.index_slot();
    std::lock_guard lock(slot.mutex);
    auto index = options.afresh ? nullptr : slot.index;
    for (int look = 1;; ++look) {
        auto all_there = TRY(load_listed(repository, index, options, stop));
        if (!all_there && look < kLooksMax) continue;
        if (!options.check_packs) break;
        auto chosen = choose_reusable(repository, *index, stop);
        if (chosen) break;
        if (!index->is_broken() || look >= kLooksMax) return fail(std::move(chosen).error());
    }
    slot.index = index;
    return index;
}

}  // namespace holdfast
