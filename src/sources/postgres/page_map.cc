#include "sources/postgres/page_map.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "formats/pg_page.h"
#include "os/file.h"

namespace holdfast::postgres {
namespace {

constexpr std::string_view kMapMagic = "HFM3";
constexpr std::size_t kMapIdBytes = 16;
constexpr std::size_t kRecordHeadBytes = 4 + 8;
constexpr std::size_t kMapPathBytesMax = 4096;
// A file of more is not remembered: some 100 GiB in one piece, which no server makes that is built as usual.
constexpr std::uint64_t kMapBodyBytesMax = 256u << 20;

constexpr std::string_view kAllRead = ".";
constexpr auto kReadAllEvery = std::chrono::days(7);

void put(FileTime const& time, ByteWriter& writer) {
    writer.u64(static_cast<std::uint64_t>(time.seconds));
    writer.u32(time.nanoseconds);
}
FileTime take_file_time(ByteReader& reader) {
    FileTime time;
    time.seconds = static_cast<std::int64_t>(reader.u64());
    time.nanoseconds = reader.u32();
    return time;
}

Bytes body_of_file(MappedFile const& file) {
    ByteWriter body;
    body.varint(file.sums.size());
    for (auto const& sum : file.sums) body.raw(sum);
    body.varint(file.extents.size());
    for (auto const& extent : file.extents) {
        body.raw(extent.chunk->view());
        body.varint(extent.offset);
        body.varint(extent.length);
    }
    body.u8(!file.still ? 0 : file.twice ? 2 : 1);
    if (file.still) {
        body.u64(file.still->inode);
        body.u64(file.still->size);
        put(file.still->mtime, body);
        put(file.still->ctime, body);
    }
    body.u32(file.crc32c);
    return body.take();
}

// Nothing unless the extents are what a relation's file is made of: its sums' pages, and at most a part of
// one more.
std::optional<MappedFile> parse_body(ByteView bytes) {
    ByteReader reader(bytes);
    MappedFile file;
    file.sums.resize(reader.count(sizeof(PageSum)));
    for (auto& sum : file.sums) std::ranges::copy(reader.raw(sum.size()), sum.begin());
    auto extents = reader.count(ChunkId::kSize + 2);
    file.extents.reserve(extents);
    std::uint64_t at = 0;
    for (std::size_t i = 0; i < extents; ++i) {
        Extent extent;
        auto id = reader.raw(ChunkId::kSize);
        if (!reader.ok()) return std::nullopt;
        extent.chunk = ChunkId::from_bytes(id);
        auto offset = reader.varint();
        extent.length = reader.varint();
        if (!reader.ok() || at % kPgPageBytes != 0 || extent.length == 0 || offset > kChunkBytesMax ||
            extent.length > kChunkBytesMax - offset)
            return std::nullopt;
        extent.offset = static_cast<std::uint32_t>(offset);
        at += extent.length;
        file.extents.push_back(extent);
    }
    if (auto state = reader.u8(); state == 1 || state == 2) {
        FileStamp stamp;
        stamp.inode = reader.u64();
        stamp.size = reader.u64();
        stamp.mtime = take_file_time(reader);
        stamp.ctime = take_file_time(reader);
        if (stamp.size == at) file.still = stamp;
        file.twice = state == 2;
    }
    file.crc32c = reader.u32();
    if (!reader.done() || at / kPgPageBytes != file.sums.size()) return std::nullopt;
    return file;
}

Hash32 record_mac(HmacKey const& key, ByteView binding, ByteView id, ByteView record) {
    ByteWriter before;
    before.blob(binding);
    before.raw(id);
    return key.of(before.view(), record);
}

bool read_exactly(Fd const& fd, ByteSpan bytes, std::uint64_t offset) {
    auto size = pread_full(fd, bytes, offset);
    return size && *size == bytes.size();
}

// Removes what killed backups left of this map: a writer that lives has its file locked.
void remove_leftovers(PageMapPlace const& place) {
    std::error_code error;
    auto begin = place.file.filename().string() + ".";
    std::filesystem::directory_iterator at(place.directory, error), end;
    for (; !error && at != end; at.increment(error)) {
        auto const& path = at->path();
        if (!path.filename().string().starts_with(begin) || path == place.pending) continue;
        Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
        if (fd && ::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) ::unlink(path.c_str());
    }
}

}  // namespace

std::optional<PageMapPlace> PageMapPlace::of(Repository& repository, std::string_view dataset) {
    if (repository.world().cache.empty()) return std::nullopt;
    auto const& keys = repository.keys();
    auto tag = dataset_tag(keys, dataset);
    PageMapPlace place;
    place.directory = repository.world().cache / repository.id().hex();
    place.file = place.directory / (tag.hex() + ".pages");
    place.pending = place.directory / (tag.hex() + ".pages.pending");
    auto key = derive_from_index_key(keys, "holdfast 1 page map");
    place.key.assign(key.view().begin(), key.view().end());
    ByteWriter binding;
    binding.raw(tag.view());
    binding.raw(keys.id.view());
    place.binding = binding.take();
    return place;
}

std::unique_ptr<PageMapReader> PageMapReader::open(PageMapPlace const& place) {
    Fd fd(::open(place.file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!fd) return nullptr;
    std::unique_ptr<PageMapReader> map(new PageMapReader(std::move(fd), place));
    Bytes head(kMapMagic.size() + kMapIdBytes);
    if (!read_exactly(map->fd_, head, 0) || as_text(ByteView(head).first(kMapMagic.size())) != kMapMagic) return nullptr;
    map->id_.assign(head.begin() + kMapMagic.size(), head.end());
    std::uint64_t offset = head.size();
    for (Bytes lengths(kRecordHeadBytes); read_exactly(map->fd_, lengths, offset);) {
        ByteReader reader(lengths);
        auto path_bytes = reader.u32();
        auto body_bytes = reader.u64();
        if (path_bytes == 0 || path_bytes > kMapPathBytesMax || body_bytes > kMapBodyBytesMax) break;
        std::string path(path_bytes, '\0');
        if (!read_exactly(map->fd_, {reinterpret_cast<std::uint8_t*>(path.data()), path.size()}, offset + kRecordHeadBytes))
            break;
        map->records_[path] = {offset, body_bytes};
        offset += kRecordHeadBytes + path_bytes + body_bytes + sizeof(Hash32);
    }
    return map;
}

std::optional<Bytes> PageMapReader::body_of(std::string const& path) const {
    auto found = records_.find(path);
    if (found == records_.end()) return std::nullopt;
    auto const& record = found->second;
    Bytes bytes(kRecordHeadBytes + path.size() + record.body_bytes);
    Hash32 mac;
    if (!read_exactly(fd_, bytes, record.offset) || !read_exactly(fd_, mac, record.offset + bytes.size()) ||
        mac != record_mac(key_, binding_, id_, bytes))
        return std::nullopt;
    // What the MAC covers is what was looked up.
    if (as_text(ByteView(bytes).subspan(kRecordHeadBytes, path.size())) != path) return std::nullopt;
    return Bytes(bytes.begin() + static_cast<std::ptrdiff_t>(kRecordHeadBytes + path.size()), bytes.end());
}

std::optional<MappedFile> PageMapReader::find(std::string const& path) const {
    auto body = body_of(path);
    return body ? parse_body(*body) : std::nullopt;
}

std::optional<Time> PageMapReader::all_read() const {
    auto body = body_of(std::string(kAllRead));
    if (!body || body->size() != 8) return std::nullopt;
    return Time(std::chrono::seconds(ByteReader(*body).u64()));
}

std::unique_ptr<PageMapWriter> PageMapWriter::create(PageMapPlace const& place, Random& random) {
    std::error_code error;
    std::filesystem::create_directories(place.directory, error);
    ::unlink(place.pending.c_str());  // of a backup that was never published
    remove_leftovers(place);
    Bytes id(kMapIdBytes);
    random.fill(id);
    auto temporary = place.file;
    temporary += "." + to_hex(ByteView(id).first(4));
    Fd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!fd || ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) return nullptr;
    std::unique_ptr<PageMapWriter> map(new PageMapWriter(std::move(fd), place));
    map->temporary_ = temporary;
    map->pending_ = place.pending;
    map->id_ = id;
    map->failed_ = !write_full(map->fd_, as_bytes(kMapMagic)) || !write_full(map->fd_, id);
    return map;
}

PageMapWriter::~PageMapWriter() {
    if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void PageMapWriter::add(std::string const& path, MappedFile const& file) { add_record(path, body_of_file(file)); }

void PageMapWriter::note_all_read(Time time) {
    ByteWriter body;
    body.u64(static_cast<std::uint64_t>(std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count()));
    add_record(std::string(kAllRead), body.view());
}

void PageMapWriter::add_record(std::string const& path, ByteView body) {
    if (failed_ || path.size() > kMapPathBytesMax || body.size() > kMapBodyBytesMax) return;
    ByteWriter head;
    head.u32(static_cast<std::uint32_t>(path.size()));
    head.u64(body.size());
    head.raw(as_bytes(path));
    head.raw(body);
    auto record = head.take();
    auto mac = record_mac(key_, binding_, id_, record);
    record.insert(record.end(), mac.begin(), mac.end());
    failed_ = !write_full(fd_, record);
}

void PageMapWriter::finish() {
    // Synced, so that a crash does not cost storing what is stored.
    if (failed_ || ::fdatasync(fd_.get()) != 0) return;
    if (::rename(temporary_.c_str(), pending_.c_str()) == 0) temporary_.clear();
}

std::optional<PageMaps> PageMaps::open(Repository& repository, std::string_view dataset) {
    auto place = PageMapPlace::of(repository, dataset);
    if (!place) return std::nullopt;
    auto key = derive_from_index_key(repository.keys(), "holdfast 1 page sums", 64);
    auto& world = repository.world();
    PageMaps maps{FastMac(key.view()), PageMapReader::open(*place), PageMapWriter::create(*place, world.random)};
    auto now = world.clock.now();
    auto last = maps.before ? maps.before->all_read() : std::nullopt;
    maps.read_all = !last || *last > now || now - *last >= kReadAllEvery;
    if (maps.after) maps.after->note_all_read(maps.read_all ? now : *last);
    return maps;
}

Result<void> commit_page_map(Repository& repository, std::string_view dataset) {
    auto place = PageMapPlace::of(repository, dataset);
    if (!place) return {};
    if (::rename(place->pending.c_str(), place->file.c_str()) != 0 && errno != ENOENT)
        return fail(errno_error("publish the page map '" + place->file.string() + "'", errno));
    return {};
}

}  // namespace holdfast::postgres
