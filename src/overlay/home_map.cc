#include "overlay/home_map.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>

#include "base/text.h"
#include "formats/crc32c.h"
#include "os/file.h"

namespace holdfast {
namespace {

// The format: sectors of 512 bytes, each of which stands for itself.
//   u32 CRC-32C of what follows · u32 magic · u64 its number · u64 how many were durable when it was written
//   u16 count of statements · 6 zeros · 30 × (u32 file · u32 kind · u32 a · u32 b)
// A statement's a and b: first block and count, or the low and high half of the end. Sector 0 holds in place of
// statements: 32 bytes identity · u32 version · u32 files · u64 sum of their sizes.
constexpr std::size_t kMapSectorBytes = 512;
constexpr std::uint32_t kSectorMagic = 0x31484648;  // "HFH1"
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kStatementsMax = 30;
constexpr std::size_t kPayloadAt = 32;
constexpr std::size_t kIdentityBytes = 32;
constexpr std::size_t kReadBytes = 1u << 20;

Bytes sector(std::uint64_t number, std::uint64_t durable, std::uint16_t count, ByteView payload) {
    ByteWriter body;
    body.u32(kSectorMagic);
    body.u64(number);
    body.u64(durable);
    body.u16(count);
    body.raw(Bytes(6));
    body.raw(payload);
    body.raw(Bytes(kMapSectorBytes - 4 - body.size()));
    ByteWriter whole;
    whole.u32(crc32c(body.view()));
    whole.raw(body.view());
    return whole.take();
}

Bytes header(ByteView identity, std::span<std::uint64_t const> sizes) {
    ByteWriter payload;
    payload.raw(identity);
    payload.u32(kVersion);
    payload.u32(static_cast<std::uint32_t>(sizes.size()));
    std::uint64_t sum = 0;
    for (auto size : sizes) sum += size;
    payload.u64(sum);
    return sector(0, 0, 0, payload.view());
}

void put(HomeMap::Statement const& statement, ByteWriter& writer) {
    using Kind = HomeMap::Statement::Kind;
    writer.u32(statement.file);
    writer.u32(static_cast<std::uint32_t>(statement.kind));
    bool home = statement.kind == Kind::home;
    writer.u32(static_cast<std::uint32_t>(home ? statement.run.first : statement.end));
    writer.u32(static_cast<std::uint32_t>(home ? statement.run.count : statement.end >> 32));
}

// `statements` as sectors, the first of which has the number `number`.
Bytes sectors_of(std::span<HomeMap::Statement const> statements, std::uint64_t number, std::uint64_t durable) {
    Bytes bytes;
    while (!statements.empty()) {
        auto count = std::min(statements.size(), kStatementsMax);
        ByteWriter payload;
        for (auto const& statement : statements.first(count)) put(statement, payload);
        auto one = sector(number++, durable, static_cast<std::uint16_t>(count), payload.view());
        bytes.insert(bytes.end(), one.begin(), one.end());
        statements = statements.subspan(count);
    }
    return bytes;
}

std::vector<HomeState> nothing_home(std::span<std::uint64_t const> sizes) {
    std::vector<HomeState> states;
    states.reserve(sizes.size());
    for (auto size : sizes) states.push_back({BlockSet(blocks_of(size)), size});
    return states;
}

// Reads sectors, and finds out which that had been durable are not whole.
class MapReader {
  public:
    MapReader(std::string const& path, ByteView identity, std::span<std::uint64_t const> sizes)
        : path_(path), identity_(identity), sizes_(sizes), states_(nothing_home(sizes)) {}

    Result<void> take(ByteView sector, std::uint64_t number) {
        ByteReader reader(sector);
        auto sum = reader.integer<std::uint32_t>();
        auto magic = reader.integer<std::uint32_t>();
        auto own = reader.integer<std::uint64_t>();
        auto durable = reader.integer<std::uint64_t>();
        auto count = reader.integer<std::uint16_t>();
        bool whole = sum == crc32c(sector.subspan(4)) && magic == kSectorMagic && own == number && count <= kStatementsMax;
        if (!whole) {
            torn_ = std::min(torn_, number);
            return {};
        }
        durable_ = std::max(durable_, durable);
        auto payload = sector.subspan(kPayloadAt);
        if (number == 0) return check_header(payload);
        for (std::size_t i = 0; i < count; ++i) TRY(take_statement(payload.subspan(i * 16, 16)));
        return {};
    }
    Result<std::vector<HomeState>> finish() {
        // Without the first sector it is nobody's.
        if (torn_ < durable_ || torn_ == 0) return damaged(fmt::format("sector {} is not what was written", torn_));
        return std::move(states_);
    }

  private:
    std::unexpected<Error> damaged(std::string const& what) const {
        return fail(ErrorKind::damaged, fmt::format("the map '{}': {}", printable(path_), what),
                    "which of its blocks are newer than the recovery point is not known any more: recover into a new directory");
    }
    Result<void> check_header(ByteView payload) {
        auto expected = header(identity_, sizes_);
        if (std::ranges::equal(payload, ByteView(expected).subspan(kPayloadAt))) return {};
        return damaged("it belongs to another recovery point");
    }
    Result<void> take_statement(ByteView bytes) {
        using Kind = HomeMap::Statement::Kind;
        ByteReader reader(bytes);
        auto file = reader.integer<std::uint32_t>();
        auto kind = static_cast<Kind>(reader.integer<std::uint32_t>());
        auto a = reader.integer<std::uint32_t>(), b = reader.integer<std::uint32_t>();
        if (file >= states_.size() || (kind != Kind::home && kind != Kind::end)) return damaged("it states what it can't know");
        auto& state = states_[file];
        if (kind == Kind::home) state.home.add({a, b});
        else state.end = std::min(state.end, static_cast<std::uint64_t>(b) << 32 | a);
        return {};
    }

    std::string const& path_;
    ByteView identity_;
    std::span<std::uint64_t const> sizes_;
    std::vector<HomeState> states_;
    std::uint64_t torn_ = UINT64_MAX;  // the first sector that is not whole
    std::uint64_t durable_ = 1;        // so many had been durable; the first always
};

Result<std::vector<HomeState>> read_states(FileSystem& files, std::string const& path, ByteView identity,
                                           std::span<std::uint64_t const> sizes) {
    auto file = TRY(files.open(path));
    MapReader reader(path, identity, sizes);
    Bytes buffer(kReadBytes);
    std::uint64_t number = 0;
    for (std::uint64_t at = 0;; at += kReadBytes) {
        auto got = TRY(read_full(*file, at, buffer));
        // A sector of which only a part is there is one that was never durable, unless a later one says so.
        for (std::size_t begin = 0; begin < got; begin += kMapSectorBytes, ++number) {
            Bytes padded(kMapSectorBytes);
            std::copy_n(buffer.begin() + static_cast<std::ptrdiff_t>(begin), std::min(kMapSectorBytes, got - begin), padded.begin());
            TRY(reader.take(padded, number));
        }
        if (got < kReadBytes) break;
    }
    if (number == 0) TRY(reader.take(Bytes(kMapSectorBytes), 0));  // an empty file
    return reader.finish();
}

// The states as few statements.
std::vector<HomeMap::Statement> statements_of(std::vector<HomeState> const& states, std::span<std::uint64_t const> sizes) {
    using Statement = HomeMap::Statement;
    std::vector<Statement> statements;
    for (std::uint32_t file = 0; file < states.size(); ++file) {
        auto const& state = states[file];
        if (state.end < sizes[file]) statements.push_back({file, Statement::Kind::end, {}, state.end});
        for (auto run = state.home.next_held(0, state.home.blocks()); run.count > 0;
             run = state.home.next_held(run.first + run.count, state.home.blocks())) {
            statements.push_back({file, Statement::Kind::home, run, 0});
        }
    }
    return statements;
}

struct WrittenMap {
    std::unique_ptr<NewFile> file;
    std::uint64_t sectors = 0;
};
Result<WrittenMap> write_map(FileSystem& files, std::string const& path, ByteView identity,
                             std::span<std::uint64_t const> sizes, std::span<HomeMap::Statement const> statements) {
    auto fresh = path + ".new";
    auto removed = files.remove(fresh);  // of an attempt that was cut off
    if (!removed && removed.error().kind != ErrorKind::not_found) return fail(std::move(removed.error()));
    WrittenMap written;
    written.file = TRY(files.create(fresh, 0600));
    auto first = header(identity, sizes);
    auto rest = sectors_of(statements, 1, 1);
    TRY(write_all(*written.file, first));
    TRY(write_all(*written.file, rest));
    TRY(written.file->sync());
    TRY(files.replace(fresh, path));
    TRY(files.sync_directory(parent_directory(path)));
    written.sectors = (first.size() + rest.size()) / kMapSectorBytes;
    return written;
}

}  // namespace

Result<void> HomeMap::create(FileSystem& files, std::string const& path, ByteView identity,
                             std::span<std::uint64_t const> sizes) {
    assert(identity.size() == kIdentityBytes);
    TRY(write_map(files, path, identity, sizes, {}));
    return {};
}

Result<std::unique_ptr<HomeMap>> HomeMap::open(FileSystem& files, std::string const& path, ByteView identity,
                                               std::span<std::uint64_t const> sizes) {
    assert(identity.size() == kIdentityBytes);
    auto states = TRY(read_states(files, path, identity, sizes));
    auto statements = statements_of(states, sizes);
    auto written = TRY(write_map(files, path, identity, sizes, statements));
    std::unique_ptr<HomeMap> map(new HomeMap(std::move(written.file), written.sectors));
    map->loaded_ = std::move(states);
    return map;
}

Result<void> HomeMap::state(std::span<Statement const> statements) {
    if (statements.empty()) return {};
    std::lock_guard lock(mutex_);
    if (failed_) return fail(ErrorKind::io, "the map of what is home could not be written before");
    auto bytes = sectors_of(statements, sectors_, sectors_);
    failed_ = true;
    TRY(write_all(*file_, bytes));
    TRY(file_->sync());
    failed_ = false;
    sectors_ += bytes.size() / kMapSectorBytes;
    return {};
}

}  // namespace holdfast
