#include "formats/pg_wal_decoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cstring>

namespace holdfast {
namespace {

constexpr std::size_t kAlignment = 8;
// XLogRecordMaxSize of 16 and later; older ones write none that comes near.
constexpr std::uint32_t kRecordBytesMax = 1020u << 20;

std::uint32_t u32_at(ByteView bytes, std::size_t at) {
    std::uint32_t value;
    std::memcpy(&value, bytes.data() + at, sizeof value);
    return value;
}

std::size_t aligned(std::size_t value) { return (value + kAlignment - 1) & ~(kAlignment - 1); }

}  // namespace

WalDecoder::WalDecoder(Lsn from, std::uint32_t segment_bytes)
    : segment_bytes_(segment_bytes), page_(from), end_(from) {
    assert(from.value % kWalPageBytes == 0);
}

void WalDecoder::stop(std::string reason) {
    ended_ = true;
    end_reason_ = std::move(reason);
}

Result<void> WalDecoder::feed(ByteView bytes, Visit const& visit) {
    while (!ended_ && !bytes.empty()) {
        if (buffer_.empty() && bytes.size() >= kWalPageBytes) {
            TRY(page(bytes.first(kWalPageBytes), visit));
            bytes = bytes.subspan(kWalPageBytes);
            continue;
        }
        auto take = std::min(bytes.size(), kWalPageBytes - buffer_.size());
        buffer_.insert(buffer_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(take));
        bytes = bytes.subspan(take);
        if (buffer_.size() < kWalPageBytes) return {};
        auto whole = std::move(buffer_);
        buffer_.clear();
        TRY(page(whole, visit));
    }
    return {};
}

Result<void> WalDecoder::finish(Visit const& visit) {
    auto rest = std::move(buffer_);
    buffer_.clear();
    if (ended_ || rest.size() < 24) return {};
    return page(rest, visit);
}

// `bytes`: a page, or the beginning of the last one.
Result<void> WalDecoder::page(ByteView bytes, Visit const& visit) {
    auto at = page_;
    page_.value += bytes.size();
    if (at < skip_until_) return {};
    auto parsed = parse_wal_page_header(bytes);
    if (!parsed) {
        stop(fmt::format("{}: {}", to_text(at), parsed.error().message));
        return {};
    }
    auto const& header = *parsed;
    bool first_of_segment = at.value % segment_bytes_ == 0;
    bool fits = header.position == at && header.has(WalPageHeader::kLong) == first_of_segment &&
                (magic_ == 0 || header.magic == magic_) && (!first_of_segment || header.segment_bytes == segment_bytes_);
    if (!fits) {
        stop(fmt::format("{}: the page is another one's ({})", to_text(at), to_text(header.position)));
        return {};
    }
    magic_ = header.magic;
    auto offset = header.size();
    bool continues = header.has(WalPageHeader::kContinues);
    if (header.has(WalPageHeader::kOverwrites)) {
        pending_bytes_ = 0;
        last_.reset();
    }
    if (pending_bytes_ > 0) {
        auto rest = pending_bytes_ - pending_.size();
        if (!continues || header.remaining != rest) {
            stop(fmt::format("{}: the record at {} does not go on", to_text(at), to_text(pending_start_)));
            return {};
        }
        auto take = std::min(rest, bytes.size() - offset);
        auto part = bytes.subspan(offset, take);
        pending_.insert(pending_.end(), part.begin(), part.end());
        offset += take;
        if (take < rest) return {};
        pending_bytes_ = 0;
        auto record = std::move(pending_);
        pending_.clear();
        TRY(whole_record(record, pending_start_, Lsn{at.value + offset}, visit));
        if (ended_ || page_ <= skip_until_) return {};
        return records(bytes, aligned(offset), visit);
    }
    if (continues) {
        // Of a record that began before us.
        if (offset + header.remaining >= bytes.size()) return {};
        offset += header.remaining;
    }
    return records(bytes, aligned(offset), visit);
}

// The records that begin on this page.
Result<void> WalDecoder::records(ByteView bytes, std::size_t at, Visit const& visit) {
    auto const base = page_.value - bytes.size();
    while (!ended_ && at + 4 <= bytes.size()) {
        Lsn start{base + at};
        auto length = u32_at(bytes, at);
        if (length == 0) {
            stop(fmt::format("{}: empty", to_text(start)));
            return {};
        }
        if (length < WalRecord::kHeaderBytes || length > kRecordBytesMax) {
            stop(fmt::format("{}: no record has {} bytes", to_text(start), length));
            return {};
        }
        auto here = std::min<std::size_t>(length, bytes.size() - at);
        auto part = bytes.subspan(at, here);
        if (here < length) {
            pending_.assign(part.begin(), part.end());
            pending_bytes_ = length;
            pending_start_ = start;
            return {};
        }
        TRY(whole_record(part, start, Lsn{base + at + length}, visit));
        if (base + at + length < skip_until_.value) return {};
        at = aligned(at + length);
    }
    return {};
}

Result<void> WalDecoder::whole_record(ByteView bytes, Lsn start, Lsn end, Visit const& visit) {
    auto record = parse_wal_record(bytes, start, *wal_major(magic_));
    if (!record || (last_ && record->previous != *last_)) {
        stop(record ? fmt::format("{}: the record does not follow the one before", to_text(start)) : record.error().message);
        return {};
    }
    record->end = end_ = end;
    last_ = start;
    if (is_wal_switch(*record))
        skip_until_.value = (end_.value + segment_bytes_ - 1) / segment_bytes_ * segment_bytes_;
    auto more = TRY(visit(*record));
    if (!more) stop("");
    return {};
}

}  // namespace holdfast
