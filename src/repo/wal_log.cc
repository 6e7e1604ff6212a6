#include "repo/wal_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>

namespace holdfast {
namespace {

void sort(WalTimeline& timeline) {
    std::ranges::sort(timeline.ranges, [](WalRangeName const& a, WalRangeName const& b) {
        return std::tuple(a.first, b.end, a.writer) < std::tuple(b.first, a.end, b.writer);
    });
    std::ranges::sort(timeline.histories);
}

Result<std::map<StreamId, WalLog>> list(Repository& repository, std::string const& prefix, std::stop_token stop) {
    TRY(repository.ring(stop));
    std::map<StreamId, WalLog> logs;
    std::map<BundleId, std::optional<RemovedKey>> removed;
    auto is_refused = [&](std::string_view name, WalKey const& key) {
        auto const& writer = key.range ? key.range->writer : key.history->writer;
        auto [known, is_new] = removed.try_emplace(writer);
        if (is_new) known->second = repository.removed(writer);
        return known->second && !known->second->had_stored(name, key);
    };
    auto visit = [&](ObjectInfo const& info) -> Result<void> {
        auto key = parse_wal_key(info.key.text());
        if (!key || is_refused(info.key.text(), *key)) return {};
        auto& log = logs[key->stream.id];
        log.stream = key->stream;
        if (key->range) {
            auto& timeline = log.timelines[key->range->timeline];
            timeline.ranges.push_back(*key->range);
            timeline.stored += info.size;
        } else {
            auto& timeline = log.timelines[key->history->timeline];
            timeline.histories.push_back(*key->history);
            timeline.stored += info.size;
        }
        return {};
    };
    TRY(repository.store().list(prefix, visit, stop));
    for (auto& [id, log] : logs)
        for (auto& [number, timeline] : log.timelines) sort(timeline);
    return logs;
}

// A stretch that is being put together: which of its bytes are there.
class Assembly {
  public:
    Assembly(std::uint64_t first, std::uint64_t end) : first_(first), bytes_(end - first) {}

    // Where they are there already, the bytes must be the same: else the position of the first that is not.
    std::optional<std::uint64_t> add(std::uint64_t from, ByteView raw) {
        auto begin = std::max(from, first_), end = std::min(from + raw.size(), first_ + bytes_.size());
        auto source = raw.subspan(begin - from, end - begin);
        auto target = ByteSpan(bytes_).subspan(begin - first_, end - begin);
        for (auto const& span : there_) {
            auto low = std::max(span.first, begin), high = std::min(span.end, end);
            if (low >= high) continue;
            auto old = target.subspan(low - begin, high - low);
            auto mismatch = std::ranges::mismatch(old, source.subspan(low - begin, high - low));
            if (mismatch.in1 != old.end()) return low + static_cast<std::uint64_t>(mismatch.in1 - old.begin());
        }
        std::ranges::copy(source, target.begin());
        there_.push_back({begin, end});
        return std::nullopt;
    }

    Bytes take() {
        std::ranges::sort(there_, {}, &WalSpan::first);
        auto end = first_;
        for (auto const& span : there_)
            if (span.first <= end) end = std::max(end, span.end);
        bytes_.resize(end - first_);
        return std::move(bytes_);
    }

  private:
    std::uint64_t first_;
    Bytes bytes_;
    std::vector<WalSpan> there_;
};

bool is_part_damage(Error const& error) {
    return error.kind == ErrorKind::damaged || error.kind == ErrorKind::not_found;
}

}  // namespace

std::vector<WalSpan> WalTimeline::covered() const {
    std::vector<WalSpan> spans;
    for (auto const& range : ranges) {
        if (spans.empty() || range.first > spans.back().end)
            spans.push_back({range.first, range.end});
        else
            spans.back().end = std::max(spans.back().end, range.end);
    }
    return spans;
}

std::uint64_t WalTimeline::contiguous_from(std::uint64_t position) const {
    for (auto const& span : covered())
        if (span.first <= position && position < span.end) return span.end;
    return position;
}

Result<std::vector<WalLog>> list_wal(Repository& repository, std::string_view dataset, std::stop_token stop) {
    auto logs = TRY(list(repository, wal_prefix(dataset_tag(repository.keys(), dataset)), stop));
    std::vector<WalLog> result;
    for (auto& [id, log] : logs) result.push_back(std::move(log));
    return result;
}

Result<WalLog> list_wal(Repository& repository, WalStream const& stream, std::stop_token stop) {
    auto logs = TRY(list(repository, wal_prefix(stream), stop));
    WalLog log{stream, {}};
    if (auto found = logs.find(stream.id); found != logs.end()) log = std::move(found->second);
    return log;
}

Result<WalStretch> read_wal(Repository& repository, WalLog const& log, std::uint32_t timeline, std::uint64_t first,
                            std::uint64_t end, std::stop_token stop) {
    assert(first < end);
    WalStretch stretch;
    auto found = log.timelines.find(timeline);
    if (found == log.timelines.end()) return stretch;
    Assembly assembly(first, end);
    std::map<std::uint64_t, Time> known;  // by the end of the object that says it
    for (auto const& range : found->second.ranges) {
        if (range.end <= first || range.first >= end) continue;
        auto key = wal_key(log.stream, range);
        auto object = repository.store().get(ObjectKey(key), stop);
        auto opened = object ? open_wal(repository, key, *object, stop) : fail(std::move(object).error());
        if (!opened && !is_part_damage(opened.error())) return fail(std::move(opened).error());
        if (!opened) {
            stretch.damaged.push_back(std::move(opened).error());
            continue;
        }
        if (auto position = assembly.add(range.first, opened->raw))
            return fail(ErrorKind::damaged,
                        fmt::format("{}: its byte {:X}/{:X} is another one than elsewhere in the repository", key,
                                    *position >> 32, *position & 0xffffffff),
                        "two systems wrote this timeline: find out which one is the right one");
        known[range.end] = std::max(known[range.end], opened->known);
    }
    stretch.bytes = assembly.take();
    for (auto const& [range_end, time] : known)
        if (range_end <= first + stretch.bytes.size() || range_end >= end) stretch.known = std::max(stretch.known, time);
    return stretch;
}

Result<Bytes> read_wal_history(Repository& repository, WalLog const& log, std::uint32_t timeline,
                               std::stop_token stop) {
    std::optional<Bytes> content;
    std::optional<Error> damage;
    auto found = log.timelines.find(timeline);
    if (found != log.timelines.end()) {
        for (auto const& name : found->second.histories) {
            auto key = wal_key(log.stream, name);
            auto object = repository.store().get(ObjectKey(key), stop);
            auto opened = object ? open_wal(repository, key, *object, stop) : fail(std::move(object).error());
            if (!opened && !is_part_damage(opened.error())) return fail(std::move(opened).error());
            if (!opened) {
                damage = std::move(opened).error();
                continue;
            }
            if (content && *content != opened->raw)
                return fail(ErrorKind::damaged, fmt::format("timeline {} has two histories", timeline),
                            "two systems wrote it: find out which one is the right one");
            content = std::move(opened->raw);
        }
    }
    if (content) return std::move(*content);
    if (damage) return fail(std::move(*damage));
    return fail(ErrorKind::not_found, fmt::format("the history of timeline {} is not known", timeline));
}

}  // namespace holdfast
