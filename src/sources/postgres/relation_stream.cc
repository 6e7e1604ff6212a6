#include "sources/postgres/relation_stream.h"

#include <algorithm>
#include <cassert>

#include "formats/pg_page.h"

namespace holdfast::postgres {
namespace {

// A content of these extents; many become a list, as a stream of the ingest would have made it.
Result<Content> content_of(Ingest& ingest, std::vector<Extent> const& extents, std::uint64_t size) {
    if (extents.size() <= kInlineExtentsMax) return Content{.size = size, .depth = 0, .extents = extents};
    auto list = ingest.open_stream(ChunkKind::extents, {});
    for (auto const& extent : extents) {
        ByteWriter writer;
        encode(extent, writer);
        TRY(list->append(writer.view()));
    }
    auto content = TRY(list->finish());
    content.size = size;
    ++content.depth;
    return content;
}

}  // namespace

RelationStream::RelationStream(Ingest& ingest, FastMac& sums, std::optional<MappedFile> before)
    : ingest_(ingest), sums_(sums), before_(std::move(before).value_or(MappedFile())) {}

Result<bool> RelationStream::carry_over(FileStamp const& stamp) {
    bool whole = before_.twice && before_.still == stamp &&
                 std::ranges::all_of(before_.extents, [&](auto const& extent) { return ingest_.knows(*extent.chunk); });
    if (!whole) return false;
    TRY(stay());
    size_ = stamp.size;
    map_ = std::exchange(before_, {});
    return true;
}

Result<void> RelationStream::append(ByteView bytes) {
    size_ += bytes.size();
    while (!bytes.empty()) {
        if (group_.empty() && bytes.size() >= kGroupBytes) {
            TRY(take_group(bytes.first(kGroupBytes)));
            bytes = bytes.subspan(kGroupBytes);
            continue;
        }
        auto take = std::min(bytes.size(), kGroupBytes - group_.size());
        group_.insert(group_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(take));
        bytes = bytes.subspan(take);
        if (group_.size() < kGroupBytes) return {};
        TRY(take_group(group_));
        group_.clear();
    }
    return {};
}

std::optional<Extent> RelationStream::stored_page(std::size_t number, PageSum const& sum) {
    if (number >= before_.sums.size() || before_.sums[number] != sum) return std::nullopt;
    std::uint64_t at = std::uint64_t{number} * kPgPageBytes;
    while (before_begin_ + before_.extents[before_extent_].length <= at)
        before_begin_ += before_.extents[before_extent_++].length;
    auto const& extent = before_.extents[before_extent_];
    if (!known_ || known_->first != *extent.chunk) known_ = {*extent.chunk, ingest_.knows(*extent.chunk)};
    if (!known_->second) return std::nullopt;
    return Extent{extent.chunk, extent.offset + static_cast<std::uint32_t>(at - before_begin_), kPgPageBytes};
}

std::vector<RelationStream::Run> RelationStream::plan(ByteView group) {
    std::vector<Run> runs;
    for (std::size_t at = 0; at < group.size(); at += kPgPageBytes) {
        auto page = group.subspan(at, std::min(kPgPageBytes, group.size() - at));
        std::optional<Extent> stored;
        if (page.size() == kPgPageBytes) {  // a part of one, at the file's end, is always stored
            auto sum = sums_.of(page);
            stored = stored_page(map_.sums.size(), sum);
            map_.sums.push_back(sum);
        }
        auto* last = runs.empty() ? nullptr : &runs.back();
        if (last && !last->stored && !stored) {
            last->bytes += page.size();
        } else if (last && last->stored && stored && last->stored->chunk == stored->chunk &&
                   last->stored->offset + last->stored->length == stored->offset) {
            last->bytes += page.size();
            last->stored->length += page.size();
        } else {
            runs.push_back({.begin = at, .bytes = page.size(), .stored = stored});
        }
    }
    if (runs.size() > kRunsMax) return {{.begin = 0, .bytes = group.size()}};
    return runs;
}

Result<void> RelationStream::take_group(ByteView group) {
    TRY(stay());
    for (auto const& run : plan(group)) {
        if (run.stored)
            map_.extents.push_back(*run.stored);
        else
            TRY(store(group.subspan(run.begin, run.bytes)));
    }
    return {};
}

// An ingest that only waits, because nothing has to be stored, would lose its lease.
Result<void> RelationStream::stay() {
    if (!idle_) idle_ = ingest_.open_stream(ChunkKind::data, {Layout::Cut::pages, {}});
    return idle_->append({});
}

Result<void> RelationStream::store(ByteView bytes) {
    places_.push_back(map_.extents.size());
    map_.extents.push_back({});
    waiting_.insert(waiting_.end(), bytes.begin(), bytes.end());
    ends_.push_back(waiting_.size());
    return places_.size() == kTogether ? store_waiting() : Result<void>();
}

// Cut where each run ends; one chunk for each.
Result<void> RelationStream::store_waiting() {
    if (places_.empty()) return {};
    auto size = waiting_.size();
    auto stream = ingest_.open_stream(ChunkKind::data, {Layout::Cut::stated, std::exchange(ends_, {})});
    TRY(stream->append(waiting_));
    auto content = TRY(stream->finish());
    assert(content.depth == 0 && content.size == size && content.extents.size() == places_.size());
    for (std::size_t i = 0; i < places_.size(); ++i) map_.extents[places_[i]] = content.extents[i];
    places_.clear();
    waiting_.clear();
    return {};
}

Result<Content> RelationStream::finish() {
    if (!group_.empty()) TRY(take_group(group_));
    group_.clear();
    TRY(store_waiting());
    return content_of(ingest_, map_.extents, size_);
}

}  // namespace holdfast::postgres
