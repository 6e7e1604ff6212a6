#include "repo/live_set.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"

namespace holdfast {
namespace {

bool is_missing(ErrorKind kind) { return kind == ErrorKind::not_found || kind == ErrorKind::damaged; }

// Walks a content's lists level by level, holding one chunk and the cut-off end of one entry for each.
class Marker {
  public:
    Marker(Fetch& fetch, DigestSet& live, Hash32 const& pair, std::stop_token stop)
        : fetch_(fetch), live_(live), pair_(pair), stop_(std::move(stop)) {}

    // `extent` is one of the content at `depth`.
    Result<void> mark(std::size_t depth, Extent const& extent) {
        if (!extent.chunk) return {};
        live_.insert(in_pair(*extent.chunk, pair_));
        if (depth == 0) return {};
        auto bytes = TRY(fetch_.chunk(*extent.chunk, stop_));
        if (extent.offset > bytes.size() || extent.length > bytes.size() - extent.offset) {
            return fail(ErrorKind::damaged, "content: an extent beyond chunk " + extent.chunk->brief() + "'s end");
        }
        auto& rest = rests_[depth - 1];
        auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(extent.offset);
        rest.insert(rest.end(), begin, begin + static_cast<std::ptrdiff_t>(extent.length));
        return parse(depth);
    }

    Result<void> finish() const {
        for (auto const& rest : rests_) {
            if (!rest.empty()) return fail(ErrorKind::damaged, "content: a list ends within an entry");
        }
        return {};
    }

  private:
    Result<void> parse(std::size_t depth) {
        auto bytes = std::exchange(rests_[depth - 1], {});
        ByteReader reader(bytes);
        std::size_t used = 0;
        while (reader.remaining() > 0) {
            auto whole = reader.remaining() >= kExtentBytesMax;
            auto extent = decode_extent(reader);
            if (!extent && whole) return fail(std::move(extent.error()));
            if (!extent) break;
            used = bytes.size() - reader.remaining();
            TRY(mark(depth - 1, *extent));
        }
        rests_[depth - 1].assign(bytes.begin() + static_cast<std::ptrdiff_t>(used), bytes.end());
        return {};
    }

    Fetch& fetch_;
    DigestSet& live_;
    Hash32 const pair_;
    std::stop_token stop_;
    std::array<Bytes, kContentDepthMax> rests_;  // of the list whose entries lie at depth i
};

class Walk {
  public:
    Walk(Fetch& fetch, DigestSet& live, WalkTree const& walk, std::stop_token stop)
        : fetch_(fetch), live_(live), walk_(walk), stop_(std::move(stop)) {}

    Result<void> point(PointInfo const& info) {
        pair_ = pair_mark(pair_of(info.point));
        auto content = [&](std::string const& path, Content const& what) -> Result<bool> {
            return mark(what).within(path);
        };
        auto damaged = [](std::string const& path, Error const& error) -> Result<void> {
            return fail(Error(error).within(path));
        };
        auto root = TRY(mark(info.point.tree));
        if (!root) return {};
        return walk_(fetch_, info.point, {.content = content, .damaged = damaged}, stop_);
    }

    // After a walk that was broken off: what is below some contents was not marked.
    void forget_contents() { seen_ = {}; }

  private:
    // Whether it was not seen before: what is below one that was seen is marked, or will be.
    Result<bool> mark(Content const& content) {
        if (content.extents.empty()) return true;
        ByteWriter writer;
        encode(content, writer);
        if (!seen_.insert(in_pair(ChunkId{sha256(writer.view())}, pair_))) return false;
        TRY(mark_content(fetch_, content, live_, pair_, stop_));
        return true;
    }

    Fetch& fetch_;
    DigestSet& live_;
    WalkTree const& walk_;
    std::stop_token stop_;
    Hash32 pair_{};   // of the point that is walked
    DigestSet seen_;  // contents
};

}  // namespace

std::size_t DigestSet::place(std::vector<ChunkId> const& slots, ChunkId const& id) {
    auto mask = slots.size() - 1;
    auto at = std::hash<ChunkId>{}(id)&mask;
    while (slots[at] != ChunkId{} && slots[at] != id) at = (at + 1) & mask;
    return at;
}

bool DigestSet::insert(ChunkId const& id) {
    if (id == ChunkId{}) return !std::exchange(has_zero_, true);
    if (4 * (size_ + 1) > 3 * slots_.size()) {
        std::vector<ChunkId> larger(std::max<std::size_t>(1024, 2 * slots_.size()));
        for (auto const& one : slots_) {
            if (one != ChunkId{}) larger[place(larger, one)] = one;
        }
        slots_ = std::move(larger);
    }
    auto& slot = slots_[place(slots_, id)];
    if (slot == id) return false;
    slot = id;
    ++size_;
    return true;
}

bool DigestSet::contains(ChunkId const& id) const {
    if (id == ChunkId{}) return has_zero_;
    return !slots_.empty() && slots_[place(slots_, id)] == id;
}

Result<void> mark_content(Fetch& fetch, Content const& content, DigestSet& live, Hash32 const& pair,
                          std::stop_token stop) {
    if (content.depth > kContentDepthMax) return fail(ErrorKind::damaged, "content: lists nested too deep");
    Marker marker(fetch, live, pair, std::move(stop));
    for (auto const& extent : content.extents) TRY(marker.mark(content.depth, extent));
    return marker.finish();
}

Result<LiveReport> collect_live(Fetch& fetch, DataKeys const& data_keys, std::vector<PointInfo> points, KnownLive known,
                                WalkTree const& walk, StillThere const& still_there, LiveCallback const& progress,
                                std::stop_token stop) {
    // Confirmed ones first: what an unconfirmed one could not read does not hide what they need.
    std::ranges::stable_partition(points, [](PointInfo const& info) { return info.confirmed; });
    LiveReport report{.live = std::move(known), .sealed = 0, .given_up = {}};
    auto is_sealed = [&](PointInfo const& info) { return !data_keys.holds(pair_of(info.point)); };
    report.sealed = std::erase_if(points, is_sealed);
    // What only points needed that are gone is not needed, and may be gone as well.
    auto is_known = [&](PointInfo const& info) { return report.live.points.contains(info.id); };
    if (static_cast<std::size_t>(std::ranges::count_if(points, is_known)) < report.live.points.size()) report.live = {};
    std::erase_if(points, is_known);
    Walk walker(fetch, report.live.chunks, walk, stop);
    std::uint64_t done = 0;
    for (auto const& info : points) {
        auto walked = walker.point(info);
        auto missing = !walked && is_missing(walked.error().kind);
        auto stands = missing ? still_there(info.id) : Result<bool>(true);
        if (!stands) return fail(std::move(stands).error());
        if (!*stands) {
            walker.forget_contents();
        } else if (!walked && !info.confirmed && walked.error().kind == ErrorKind::not_found) {
            report.given_up.push_back(info.id);
            walker.forget_contents();
        } else if (missing) {
            auto error = std::move(walked).error().within(
                fmt::format("point {} of '{}'", info.id.brief(), printable(info.point.dataset)));
            error.kind = ErrorKind::damaged;
            error.hint = "nothing is deleted while it cannot be told what a point needs: mend it (holdfast "
                         "replicate, from the other copy) or forget it";
            return fail(std::move(error));
        } else if (!walked) {
            return fail(std::move(walked).error());
        } else {
            report.live.points.insert(info.id);
        }
        if (progress) progress(++done, points.size());
        if (stop.stop_requested()) return fail(ErrorKind::cancelled, "stopped");
    }
    return report;
}

}  // namespace holdfast
