#include "archive/capture_cache.h"

#include <algorithm>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

#include "archive/back_up.h"
#include "crypto/crypto.h"

namespace holdfast {
namespace {

constexpr std::string_view kCacheMagic = "HFC1";
constexpr std::size_t kIdBytes = 16;
constexpr std::size_t kBlockBytes = 256u << 10;  // a block is closed when it holds this much
constexpr std::size_t kHeadBytes = kCacheMagic.size() + kIdBytes;
// A file of more chunks is not remembered; it bounds a record, and so a block.
constexpr std::size_t kChunksMax = 2u << 20;
constexpr std::size_t kBlockBytesMax = kBlockBytes + kChunksMax * ChunkId::kSize + kEntryBytesMax + (1u << 20);

Hash32 block_mac(HmacKey const& key, ByteView binding, ByteView id, std::uint64_t number, bool last,
                 ByteView bytes) {
    ByteWriter writer;
    writer.blob(binding);
    writer.raw(id);
    writer.u64(number);
    writer.u8(last ? 1 : 0);
    writer.raw(bytes);
    return key.of(writer.view());
}

bool write_all(int fd, ByteView bytes) {
    while (!bytes.empty()) {
        auto size = ::write(fd, bytes.data(), bytes.size());
        if (size < 0 && errno == EINTR) continue;
        if (size <= 0) return false;
        bytes = bytes.subspan(static_cast<std::size_t>(size));
    }
    return true;
}

void put_time(FileTime const& time, ByteWriter& writer) {
    writer.i64(time.seconds);
    writer.u32(time.nanoseconds);
}

FileTime take_time(ByteReader& reader) {
    FileTime time;
    time.seconds = reader.i64();
    time.nanoseconds = reader.u32();
    return time;
}

std::size_t shared_prefix(std::string_view a, std::string_view b) {
    return static_cast<std::size_t>(
        std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
}

}  // namespace

int compare_paths(std::string_view a, std::string_view b) {
    auto at = shared_prefix(a, b);
    if (at == a.size() || at == b.size()) return a.size() == b.size() ? 0 : a.size() < b.size() ? -1 : 1;
    // A name ends at '/', so '/' is less than every byte that can stand there instead.
    if (a[at] == '/') return -1;
    if (b[at] == '/') return 1;
    return static_cast<unsigned char>(a[at]) < static_cast<unsigned char>(b[at]) ? -1 : 1;
}

std::optional<CaptureCachePlace> CaptureCachePlace::of(Repository& repository, std::string_view dataset,
                                                       std::string_view root) {
    if (repository.world().cache.empty()) return std::nullopt;
    auto const& keys = repository.keys();
    auto tag = dataset_tag(keys, dataset);
    CaptureCachePlace place;
    place.directory = repository.world().cache / repository.id().hex();
    place.file = place.directory / tag.hex();
    place.pending = place.directory / (tag.hex() + ".pending");
    auto key = derive_from_index_key(keys, "holdfast 1 capture cache");
    place.key.assign(key.view().begin(), key.view().end());
    ByteWriter binding;
    binding.raw(tag.view());
    binding.raw(keys.id.view());
    binding.blob(root);
    place.binding = binding.take();
    return place;
}

struct CaptureCacheReader::State {
    Fd fd;
    HmacKey key;
    Bytes binding;
    Bytes id;
    std::uint64_t offset = kHeadBytes;
    std::uint64_t number = 0;
    bool last = false;     // the block at hand is the last one
    Bytes block;
    ByteReader records{ByteView{}};
    std::string previous;  // path of the last record in this block
    std::optional<CachedFile> current;
    bool found = false;    // somebody asked for the current one

    State(Fd file, CaptureCachePlace const& place)
        : fd(std::move(file)), key(place.key), binding(place.binding) {}

    bool read_exactly(ByteSpan bytes) {
        auto size = read_at(fd.get(), bytes, offset);
        offset += bytes.size();
        return size && *size == bytes.size();
    }

    // Reads and checks the next block; false at the end, or when it is not what was written.
    bool next_block() {
        if (last) return false;
        Bytes head(5);
        if (!read_exactly(head)) return false;
        ByteReader reader(head);
        auto length = reader.u32();
        auto mark = reader.u8();
        if (length > kBlockBytesMax || mark > 1) return false;
        block.resize(length);
        Hash32 mac;
        if (!read_exactly(block) || !read_exactly(mac)) return false;
        if (mac != block_mac(key, binding, id, number, mark == 1, block)) return false;
        last = mark == 1;
        ++number;
        records = ByteReader(block);
        previous.clear();
        return true;
    }

    void rewind() {
        offset = kHeadBytes;
        number = 0;
        last = false;
        block.clear();
        records = ByteReader(ByteView{});
    }

    // All blocks, up to the last one, which ends the file.
    bool check() {
        Bytes head(kHeadBytes);
        offset = 0;
        if (!read_exactly(head) || as_text(ByteView(head).first(kCacheMagic.size())) != kCacheMagic) return false;
        id.assign(head.begin() + kCacheMagic.size(), head.end());
        while (next_block()) {
        }
        if (!last) return false;
        std::uint8_t more;
        auto tail = read_at(fd.get(), ByteSpan(&more, 1), offset);
        return tail && *tail == 0;
    }

    bool next_record() {
        current.reset();
        found = false;
        while (records.remaining() == 0) {
            if (!next_block()) return false;
        }
        CachedFile file;
        auto shared = records.varint();
        auto suffix = records.blob();
        if (!records.ok() || shared > previous.size()) return false;
        file.path = previous.substr(0, shared) + to_text(suffix);
        file.stamp.inode = records.u64();
        file.stamp.size = records.varint();
        file.stamp.mtime = take_time(records);
        file.stamp.ctime = take_time(records);
        auto body = records.blob();
        auto count = records.count(ChunkId::kSize);
        file.chunks.reserve(count);
        for (std::size_t i = 0; i < count; ++i) file.chunks.push_back(ChunkId::from_bytes(records.raw(ChunkId::kSize)));
        if (!records.ok()) return false;
        auto entry = decode_entry(body);
        if (!entry) return false;
        file.entry = std::move(*entry);
        previous = file.path;
        current = std::move(file);
        return true;
    }
};

CaptureCacheReader::CaptureCacheReader(std::unique_ptr<State> state) : state_(std::move(state)) {}
CaptureCacheReader::~CaptureCacheReader() = default;

std::unique_ptr<CaptureCacheReader> CaptureCacheReader::open(CaptureCachePlace const& place) {
    Fd fd(::open(place.file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!fd) return nullptr;
    auto state = std::make_unique<State>(std::move(fd), place);
    if (!state->check()) return nullptr;
    state->rewind();
    state->next_record();
    return std::unique_ptr<CaptureCacheReader>(new CaptureCacheReader(std::move(state)));
}

CachedFile const* CaptureCacheReader::find(std::string_view path) {
    auto& current = state_->current;
    while (current) {
        auto order = compare_paths(current->path, path);
        if (order == 0) {
            state_->found = true;
            return &*current;
        }
        if (order > 0) return nullptr;
        pass();
    }
    return nullptr;
}

void CaptureCacheReader::pass() {
    if (!state_->found && on_passed) on_passed(*state_->current);
    state_->next_record();
}

void CaptureCacheReader::pass_rest() {
    while (state_->current) pass();
}

struct CaptureCacheWriter::State {
    Fd fd;
    std::filesystem::path temporary, pending;
    HmacKey key;
    Bytes binding;
    Bytes id;
    std::uint64_t number = 0;
    ByteWriter block;
    std::string previous;
    bool failed = false;

    State(Fd file, CaptureCachePlace const& place) : fd(std::move(file)), key(place.key), binding(place.binding) {}

    void put_block(bool last) {
        auto bytes = block.take();
        block = ByteWriter();
        previous.clear();
        ByteWriter head;
        head.u32(static_cast<std::uint32_t>(bytes.size()));
        head.u8(last ? 1 : 0);
        auto mac = block_mac(key, binding, id, number++, last, bytes);
        failed = failed || !write_all(fd.get(), head.view()) || !write_all(fd.get(), bytes) ||
                 !write_all(fd.get(), mac);
    }
};

CaptureCacheWriter::CaptureCacheWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}

std::unique_ptr<CaptureCacheWriter> CaptureCacheWriter::create(CaptureCachePlace const& place, Random& random) {
    std::error_code error;
    std::filesystem::create_directories(place.directory, error);
    ::unlink(place.pending.c_str());  // of a capture that was never published
    Bytes id(kIdBytes);
    random.fill(id);
    auto temporary = place.file;
    temporary += "." + to_hex(ByteView(id).first(4));
    Fd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!fd) return nullptr;
    auto state = std::make_unique<State>(std::move(fd), place);
    state->temporary = temporary;
    state->pending = place.pending;
    state->id = id;
    state->failed = !write_all(state->fd.get(), as_bytes(kCacheMagic)) || !write_all(state->fd.get(), id);
    return std::unique_ptr<CaptureCacheWriter>(new CaptureCacheWriter(std::move(state)));
}

CaptureCacheWriter::~CaptureCacheWriter() {
    if (!state_->temporary.empty()) ::unlink(state_->temporary.c_str());
}

void CaptureCacheWriter::add(CachedFile const& file) {
    if (state_->failed || file.chunks.size() > kChunksMax) return;
    auto& block = state_->block;
    auto shared = shared_prefix(state_->previous, file.path);
    block.varint(shared);
    block.blob(std::string_view(file.path).substr(shared));
    block.u64(file.stamp.inode);
    block.varint(file.stamp.size);
    put_time(file.stamp.mtime, block);
    put_time(file.stamp.ctime, block);
    ByteWriter body;
    encode(file.entry, body);
    block.blob(body.view());
    block.varint(file.chunks.size());
    for (auto const& chunk : file.chunks) block.raw(chunk.view());
    state_->previous = file.path;
    if (block.size() >= kBlockBytes) state_->put_block(false);
}

void CaptureCacheWriter::finish() {
    state_->put_block(true);
    // Synced, so that a crash does not cost a full re-read.
    if (state_->failed || ::fdatasync(state_->fd.get()) != 0) return;
    if (::rename(state_->temporary.c_str(), state_->pending.c_str()) == 0) state_->temporary.clear();
}

Result<void> commit_capture_cache(Repository& repository, std::string_view dataset) {
    auto place = CaptureCachePlace::of(repository, dataset, "");
    if (!place) return {};
    if (::rename(place->pending.c_str(), place->file.c_str()) != 0 && errno != ENOENT) {
        return fail(errno_error("publish the capture cache '" + place->file.string() + "'", errno));
    }
    return {};
}

}  // namespace holdfast
