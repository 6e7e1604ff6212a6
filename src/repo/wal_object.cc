#include "repo/wal_object.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cstring>

#include "codec/codec.h"
#include "repo/frame.h"

namespace holdfast {
namespace {

// | 4 | magic | 4 | bytes of the head | n | head: an envelope | 44 | pack header | … | frames | 32 | SHA-256 |
constexpr std::string_view kWalMagic = "HFW1";
constexpr std::size_t kPrefixBytes = 8;
constexpr std::size_t kHeadBytesMax = 4096;
constexpr std::size_t kFrameRawBytes = 1u << 20;
constexpr std::size_t kFramesMax = kWalObjectRawMax / kFrameRawBytes;
// Bursts are short, and the server waits for them; what stays is the whole segment.
constexpr int kBurstLevel = 1, kSegmentLevel = 3;
constexpr std::size_t kBurstBytesMax = 4u << 20;

enum class WalKind : std::uint8_t { range = 1, history = 2 };
// As the kind of their frames, beside the kinds of chunks.
std::uint8_t frame_kind(WalKind kind) { return static_cast<std::uint8_t>(0x10 + static_cast<std::uint8_t>(kind)); }

struct Frame {
    Codec codec = Codec::raw;
    std::uint32_t raw = 0;
    std::uint32_t stored = 0;  // with its tag
};

struct Head {
    WalKind kind = WalKind::range;
    WalStream stream = {};
    std::uint32_t timeline = 0;
    std::uint64_t first = 0, end = 0;
    Time known = {};
    std::vector<Frame> frames = {};
    Hash32 sum{};  // SHA-256 of all behind the head
};

Bytes encode(Head const& head) {
    ByteWriter writer;
    writer.u8(static_cast<std::uint8_t>(head.kind));
    writer.raw(head.stream.dataset.view());
    writer.raw(head.stream.id.view());
    writer.u32(head.timeline);
    writer.u64(head.first);
    writer.u64(head.end);
    writer.i64(head.known.time_since_epoch().count());
    writer.u32(static_cast<std::uint32_t>(head.frames.size()));
    for (auto const& frame : head.frames) {
        writer.u8(static_cast<std::uint8_t>(frame.codec));
        writer.u32(frame.raw);
        writer.u32(frame.stored);
    }
    writer.raw(head.sum);
    return writer.take();
}

Result<Head> decode(ByteView bytes) {
    ByteReader reader(bytes);
    Head head;
    head.kind = static_cast<WalKind>(reader.u8());
    if (auto tag = reader.raw(DatasetTag::kSize); reader.ok()) head.stream.dataset = DatasetTag::from_bytes(tag);
    if (auto id = reader.raw(StreamId::kSize); reader.ok()) head.stream.id = StreamId::from_bytes(id);
    head.timeline = reader.u32();
    head.first = reader.u64();
    head.end = reader.u64();
    head.known = Time(Duration(reader.i64()));
    auto frames = reader.u32();
    if (!reader.ok() || frames == 0 || frames > kFramesMax) return fail(ErrorKind::damaged, "its head is malformed");
    std::uint64_t raw = 0;
    for (std::uint32_t i = 0; i < frames; ++i) {
        Frame frame;
        frame.codec = static_cast<Codec>(reader.u8());
        frame.raw = reader.u32();
        frame.stored = reader.u32();
        raw += frame.raw;
        bool possible = frame.raw > 0 && frame.raw <= kFrameRawBytes && frame.stored >= kGcmTagBytes &&
                        frame.stored <= frame.raw + kGcmTagBytes;
        if (!possible) return fail(ErrorKind::damaged, "its head is malformed");
        head.frames.push_back(frame);
    }
    if (auto sum = reader.raw(head.sum.size()); reader.ok()) std::ranges::copy(sum, head.sum.begin());
    bool kind_known = head.kind == WalKind::range || head.kind == WalKind::history;
    if (!reader.done() || !kind_known || head.end < head.first || head.end - head.first != raw)
        return fail(ErrorKind::damaged, "its head is malformed");
    return head;
}

// Seals one frame at the end of `content`, and looks whether what it wrote opens again.
Result<Frame> add_frame(PackKey const& key, std::uint32_t number, std::uint8_t kind, int level, ByteView raw,
                        Bytes& content, Bytes& scratch, Bytes& check) {
    auto encoded = TRY(encode_frame(raw, {.zstd_level = level}, scratch));
    Frame frame{encoded.codec, static_cast<std::uint32_t>(raw.size()),
                static_cast<std::uint32_t>(encoded.bytes.size() + kGcmTagBytes)};
    PackKey::Slot slot{number, kind, frame.raw};
    auto at = content.size();
    content.resize(at + frame.stored);
    auto sealed = ByteSpan(content).subspan(at);
    key.seal(slot, encoded.bytes, sealed);

    check.resize(encoded.bytes.size() + raw.size());
    auto stored = ByteSpan(check).first(encoded.bytes.size());
    auto decoded = ByteSpan(check).last(raw.size());
    auto opened = key.open(slot, sealed, stored);
    if (opened) opened = decode_frame(frame.codec, stored, decoded);
    if (!opened || !std::ranges::equal(decoded, raw))
        return fail(ErrorKind::internal, "a frame of the log does not open again: memory or a codec is broken");
    return frame;
}

Result<SealedWal> seal(Repository& repository, std::string_view pair, Head head, std::string key, ByteView raw) {
    auto const& keys = repository.keys();
    if ((keys.roles & roles_that_sign(kWalDocument)) == 0)
        return fail(ErrorKind::key_refused, "a " + to_text(keys.roles) + "'s key cannot store a log",
                    "use a writer's key or the password");
    assert(!raw.empty() && raw.size() <= kWalObjectRawMax);
    // A receiver runs for months.
    TRY(repository.keep_up_with_keys({}));
    SealedWal sealed;
    sealed.key = std::move(key);
    PackHeader header;
    auto data_public = TRY(repository.data_keys()->newest(pair));
    auto pack_key = TRY(PackKey::create(keys.repository, data_public, repository.world().random, header));
    sealed.content.reserve(kPackHeaderBytes + raw.size() + (raw.size() / kFrameRawBytes + 1) * kGcmTagBytes + sizeof(Hash32));
    auto begin = encode(header);
    sealed.content.insert(sealed.content.end(), begin.begin(), begin.end());
    auto level = raw.size() <= kBurstBytesMax ? kBurstLevel : kSegmentLevel;
    Bytes scratch, check;
    for (std::size_t at = 0; at < raw.size(); at += kFrameRawBytes) {
        auto part = raw.subspan(at, std::min(kFrameRawBytes, raw.size() - at));
        auto number = static_cast<std::uint32_t>(head.frames.size());
        auto frame = TRY(add_frame(pack_key, number, frame_kind(head.kind), level, part, sealed.content, scratch, check));
        head.frames.push_back(frame);
    }
    head.sum = sha256(sealed.content);
    auto envelope = repository.seal(kWalDocument, encode(head));
    ByteWriter writer;
    writer.raw(as_bytes(kWalMagic));
    writer.u32(static_cast<std::uint32_t>(envelope.size()));
    writer.raw(envelope);
    sealed.head = writer.take();
    Sha256 whole;
    whole.update(sealed.head);
    whole.update(sealed.content);
    auto tail = whole.finish();
    sealed.content.insert(sealed.content.end(), tail.begin(), tail.end());
    return sealed;
}

Result<std::size_t> head_bytes(ByteView object) {
    ByteReader reader(object);
    auto magic = reader.raw(kWalMagic.size());
    auto size = reader.u32();
    if (!reader.ok() || as_text(magic) != kWalMagic) return fail(ErrorKind::damaged, "does not begin as a part of a log");
    if (size > kHeadBytesMax) return fail(ErrorKind::damaged, "its head is malformed");
    return size;
}

// Checks the signature, and that the object is the one that its name says.
Result<Head> open_head(Repository& repository, std::string_view key, ByteView envelope, std::stop_token stop) {
    auto document = TRY(repository.open(kWalDocument, envelope, stop));
    auto head = TRY(decode(document.plain));
    auto name = parse_wal_key(key);
    bool fits = name && name->stream == head.stream;
    if (fits && head.kind == WalKind::range)
        fits = name->range == WalRangeName{head.timeline, head.first, head.end, document.signer.id};
    else if (fits)
        fits = name->history && name->history->timeline == head.timeline && name->history->writer == document.signer.id;
    if (!fits) return fail(ErrorKind::damaged, "is stored under a name of another one");
    if (auto removed = repository.removed(document.signer.id); removed && !removed->had_stored(key, *name))
        return fail(ErrorKind::damaged, "refused: signed by key " + document.signer.id.brief() + " after it was removed");
    return head;
}

struct Checked {
    Head head;
    ByteView content;
};
Result<Checked> check(Repository& repository, std::string_view key, ByteView object, std::stop_token stop) {
    TRY(check_bare_wal(object));
    object = object.first(object.size() - sizeof(Hash32));
    auto size = TRY(head_bytes(object));
    if (size > object.size() - kPrefixBytes) return fail(ErrorKind::damaged, "ends too early");
    auto head = TRY(open_head(repository, key, object.subspan(kPrefixBytes, size), stop));
    auto content = object.subspan(kPrefixBytes + size);
    if (sha256(content) != head.sum) return fail(ErrorKind::damaged, "its content is not what was signed");
    return Checked{std::move(head), content};
}

Result<Bytes> open_frames(PackKey const& key, Head const& head, ByteView content) {
    Bytes raw(head.end - head.first), scratch;
    std::size_t at = 0;
    for (std::uint32_t number = 0; number < head.frames.size(); ++number) {
        auto const& frame = head.frames[number];
        if (frame.stored > content.size()) return fail(ErrorKind::damaged, "ends too early");
        scratch.resize(frame.stored - kGcmTagBytes);
        TRY(key.open({number, frame_kind(head.kind), frame.raw}, content.first(frame.stored), scratch));
        TRY(decode_frame(frame.codec, scratch, ByteSpan(raw).subspan(at, frame.raw)));
        content = content.subspan(frame.stored);
        at += frame.raw;
    }
    if (!content.empty()) return fail(ErrorKind::damaged, "something follows its end");
    return raw;
}

}  // namespace

Result<void> check_bare_wal(ByteView object) {
    if (object.size() < kPrefixBytes + sizeof(Hash32)) return fail(ErrorKind::damaged, "ends too early");
    TRY(head_bytes(object));
    auto sum = sha256(object.first(object.size() - sizeof(Hash32)));
    if (!std::ranges::equal(object.last(sizeof(Hash32)), sum)) return fail(ErrorKind::damaged, "does not fit its checksum");
    return {};
}

Result<SealedWal> seal_wal_range(Repository& repository, WalStream const& stream, std::uint32_t timeline,
                                 std::uint64_t first, ByteView raw, Time known, std::string_view pair) {
    WalRangeName name{timeline, first, first + raw.size(), repository.keys().id};
    Head head{.kind = WalKind::range, .stream = stream, .timeline = timeline, .first = first, .end = name.end,
              .known = known};
    return seal(repository, pair, std::move(head), wal_key(stream, name), raw);
}

Result<SealedWal> seal_wal_history(Repository& repository, WalStream const& stream, std::uint32_t timeline,
                                   ByteView content, std::string_view pair) {
    auto name = wal_history_name(repository.keys(), timeline, content);
    Head head{.kind = WalKind::history, .stream = stream, .timeline = timeline, .first = 0, .end = content.size(),
              .known = repository.world().clock.now()};
    return seal(repository, pair, std::move(head), wal_key(stream, name), content);
}

Result<OpenWal> open_wal(Repository& repository, std::string_view key, ByteView object, std::stop_token stop) {
    auto const& keys = repository.keys();
    if (!keys.data_private)
        return fail(ErrorKind::key_refused, "a " + to_text(keys.roles) + "'s key cannot read",
                    "use a reader's key or the password");
    auto checked = TRY(check(repository, key, object, stop).within(key));
    if (checked.content.size() < kPackHeaderBytes) return fail(ErrorKind::damaged, std::string(key) + ": ends too early");
    auto header = TRY(decode_pack_header(checked.content.first(kPackHeaderBytes)).within(key));
    auto data_keys = repository.data_keys();
    auto const* data = TRY(data_keys->find(header.data_key).within(key));
    auto pack_key = TRY(PackKey::derive(keys.repository, *data, header).within(key));
    OpenWal opened{*parse_wal_key(key), checked.head.known, {}};
    opened.raw = TRY(open_frames(pack_key, checked.head, checked.content.subspan(kPackHeaderBytes)).within(key));
    if (opened.key.history &&
        wal_history_name(keys, opened.key.history->timeline, opened.raw).content != opened.key.history->content)
        return fail(ErrorKind::damaged, std::string(key) + ": is stored under a name of another one");
    return opened;
}

Result<Time> wal_known_time(Repository& repository, std::string_view key, std::stop_token stop) {
    auto& store = repository.store();
    ObjectKey name{std::string(key)};
    auto prefix = TRY(store.get_range(name, 0, kPrefixBytes, stop).within(key));
    auto size = TRY(head_bytes(prefix).within(key));
    auto envelope = TRY(store.get_range(name, kPrefixBytes, size, stop).within(key));
    auto head = TRY(open_head(repository, key, envelope, stop).within(key));
    return head.known;
}

Result<void> check_wal(Repository& repository, std::string_view key, ByteView object, std::stop_token stop) {
    TRY(check(repository, key, object, stop).within(key));
    return {};
}

}  // namespace holdfast
