#include <cassert>

#include "archive/tree.h"

namespace holdfast {
namespace {

constexpr std::string_view kDirectoryMagic = "HFT1";
constexpr std::uint8_t kFlagIncomplete = 1;
// A directory is kept whole in memory up to this size, then streamed.
constexpr std::size_t kDrainBytes = 1u << 20;
// A varint of kEntryBytesMax.
constexpr std::size_t kLengthBytesMax = 4;

std::unexpected<Error> directory_malformed(char const* what) {
    return fail(ErrorKind::damaged, std::string("directory: ") + what);
}

void put_record(Entry const& entry, ByteWriter& writer) {
    ByteWriter body;
    encode(entry, body);
    assert(body.size() <= kEntryBytesMax);
    writer.blob(body.view());
}

void put_end(bool incomplete, ByteWriter& writer) {
    writer.u8(0);
    writer.u8(incomplete ? kFlagIncomplete : 0);
}

char const* self_fault(Entry const& self) {
    if (self.type != EntryType::directory || !self.name.empty()) return "its own entry is no directory";
    if (self.content != Content{}) return "its own entry has content";
    return nullptr;
}

// Checks that a name stands where it may: behind `last`.
char const* order_fault(std::string_view last, std::string_view name) {
    if (name.empty()) return "an entry without a name";
    if (name <= last) return "names out of order or repeated";
    return nullptr;
}

}  // namespace

Bytes encode_directory(std::vector<Entry> const& entries, DirectoryTraits const& traits) {
    ByteWriter writer;
    writer.raw(as_bytes(kDirectoryMagic));
    if (traits.self) {
        assert(self_fault(*traits.self) == nullptr);
        put_record(*traits.self, writer);
    }
    std::string_view last;
    for (auto const& entry : entries) {
        assert(order_fault(last, entry.name) == nullptr);
        put_record(entry, writer);
        last = entry.name;
    }
    put_end(traits.incomplete, writer);
    return writer.take();
}

Result<std::vector<Entry>> decode_directory(ByteView bytes, DirectoryTraits* traits) {
    ByteReader reader(bytes);
    if (as_text(reader.raw(kDirectoryMagic.size())) != kDirectoryMagic) return directory_malformed("not a directory");
    std::vector<Entry> entries;
    DirectoryTraits found;
    std::string last;
    for (bool first = true;; first = false) {
        auto body = reader.blob();
        if (!reader.ok()) return directory_malformed("ends early");
        if (body.empty()) break;
        if (body.size() > kEntryBytesMax) return directory_malformed("an entry is too long");
        auto entry = TRY(decode_entry(body));
        if (first && entry.name.empty()) {
            if (auto fault = self_fault(entry)) return directory_malformed(fault);
            found.self = std::move(entry);
            continue;
        }
        if (auto fault = order_fault(last, entry.name)) return directory_malformed(fault);
        last = entry.name;
        entries.push_back(std::move(entry));
    }
    auto flags = reader.u8();
    if (!reader.done() || flags > kFlagIncomplete) return directory_malformed("does not end where it should");
    found.incomplete = flags == kFlagIncomplete;
    if (traits) *traits = std::move(found);
    return entries;
}

Result<void> DirectoryWriter::self(Entry const& entry) {
    assert(self_fault(entry) == nullptr && last_name_.empty() && buffer_.size() == 0);
    return put(entry);
}

Result<void> DirectoryWriter::add(Entry const& entry) {
    assert(order_fault(last_name_, entry.name) == nullptr);
    last_name_ = entry.name;
    return put(entry);
}

Result<void> DirectoryWriter::put(Entry const& entry) {
    if (!stream_ && buffer_.size() == 0) buffer_.raw(as_bytes(kDirectoryMagic));
    put_record(entry, buffer_);
    if (buffer_.size() >= kDrainBytes) return drain();
    return {};
}

Result<void> DirectoryWriter::drain() {
    if (!stream_) stream_ = ingest_->open_stream(ChunkKind::tree, {});
    auto bytes = buffer_.take();
    buffer_ = ByteWriter();
    return stream_->append(bytes);
}

Result<Content> DirectoryWriter::finish(bool incomplete) {
    if (!stream_ && buffer_.size() == 0) buffer_.raw(as_bytes(kDirectoryMagic));
    put_end(incomplete, buffer_);
    TRY(drain());
    auto content = TRY(stream_->finish());
    stream_.reset();
    return content;
}

Result<DirectoryReader> DirectoryReader::open(Fetch& fetch, Content const& content, std::stop_token stop) {
    DirectoryReader reader(fetch);
    auto collect = [&](std::span<Extent const> extents) -> Result<void> {
        for (auto const& extent : extents) {
            if (!extent.chunk) return directory_malformed("it has holes");
            reader.extents_.push_back(extent);
        }
        return {};
    };
    TRY(fetch.extents(content, collect, stop));
    auto enough = TRY(reader.fill(kDirectoryMagic.size(), stop));
    if (!enough || as_text(ByteView(reader.buffer_).first(kDirectoryMagic.size())) != kDirectoryMagic) {
        return directory_malformed("not a directory");
    }
    reader.at_ = kDirectoryMagic.size();
    auto body = TRY(reader.record(stop));
    if (!body) {
        TRY(reader.take_end(stop));
        return reader;
    }
    auto entry = TRY(decode_entry(*body));
    if (!entry.name.empty()) {
        reader.first_ = std::move(entry);
        return reader;
    }
    if (auto fault = self_fault(entry)) return directory_malformed(fault);
    reader.self_ = std::move(entry);
    return reader;
}

// Makes `bytes` available from at_, as far as the content goes: false when it ends before.
Result<bool> DirectoryReader::fill(std::size_t bytes, std::stop_token stop) {
    while (buffer_.size() - at_ < bytes) {
        if (next_extent_ == extents_.size()) return false;
        buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(at_));
        at_ = 0;
        auto const& extent = extents_[next_extent_++];
        auto chunk = TRY(fetch_->chunk(*extent.chunk, stop));
        if (extent.offset > chunk.size() || extent.length > chunk.size() - extent.offset) {
            return directory_malformed("an extent beyond its chunk");
        }
        auto from = chunk.begin() + extent.offset;
        buffer_.insert(buffer_.end(), from, from + static_cast<std::ptrdiff_t>(extent.length));
    }
    return true;
}

// The body of the next entry (valid until the next fill), nothing at the end mark.
Result<std::optional<ByteView>> DirectoryReader::record(std::stop_token stop) {
    TRY(fill(kLengthBytesMax, stop));  // the end may be nearer
    auto window = ByteView(buffer_).subspan(at_);
    ByteReader reader(window.first(std::min(window.size(), kLengthBytesMax)));
    auto length = reader.varint();
    if (!reader.ok()) return directory_malformed("ends early, or an entry is too long");
    if (length > kEntryBytesMax) return directory_malformed("an entry is too long");
    at_ += std::min(window.size(), kLengthBytesMax) - reader.remaining();
    if (length == 0) return std::optional<ByteView>();
    auto enough = TRY(fill(length, stop));
    if (!enough) return directory_malformed("ends early");
    auto body = ByteView(buffer_).subspan(at_, length);
    at_ += length;
    return std::optional(body);
}

Result<void> DirectoryReader::take_end(std::stop_token stop) {
    auto enough = TRY(fill(1, stop));
    if (!enough) return directory_malformed("ends early");
    auto flags = buffer_[at_++];
    auto more = TRY(fill(1, stop));
    if (more || flags > kFlagIncomplete) return directory_malformed("does not end where it should");
    incomplete_ = flags == kFlagIncomplete;
    ended_ = true;
    return {};
}

Result<std::optional<Entry>> DirectoryReader::next(std::stop_token stop) {
    if (ended_) return std::optional<Entry>();
    std::optional<Entry> entry = std::exchange(first_, std::nullopt);
    if (!entry) {
        auto body = TRY(record(stop));
        if (!body) {
            TRY(take_end(stop));
            return std::optional<Entry>();
        }
        entry = TRY(decode_entry(*body));
    }
    if (auto fault = order_fault(last_name_, entry->name)) return directory_malformed(fault);
    last_name_ = entry->name;
    return entry;
}

}  // namespace holdfast
