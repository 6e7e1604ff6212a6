#include "formats/pg_archive.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"

namespace holdfast {
namespace {

constexpr std::string_view kArchiveMagic = "PGDMP";
constexpr int kArchiveMajor = 1, kArchiveMinorMin = 14, kArchiveMinorMax = 16;
constexpr int kMinorWithAlgorithm = 15;   // the head states an algorithm instead of a level
constexpr int kMinorWithRelationKind = 16;
constexpr std::uint8_t kFormatCustom = 1;
constexpr std::uint8_t kBlockData = 1, kBlockObjects = 3;
constexpr std::size_t kIntegerBytes = 5;  // a sign, then four bytes
constexpr std::size_t kOffsetBytes = 9;   // what it is, then eight bytes
// Longer names and definitions are no such archive's: a wrong length must not make us wait for gigabytes.
constexpr std::int64_t kTextBytesMax = 256 << 20;
// Behind the last row of a table.
constexpr std::string_view kEndOfRows = "\\.\n\n\n";
constexpr std::uint64_t kEndLines = 3;

std::unexpected<Error> not_an_archive(std::string_view what) {
    return fail(ErrorKind::damaged, fmt::format("it is no archive of pg_dump: {}", what));
}
std::unexpected<Error> cut_off(std::string_view what) {
    return fail(ErrorKind::damaged, fmt::format("the archive of pg_dump is not whole: {}", what));
}

}  // namespace

// Reads the pieces of an item. What is not there yet makes short_(); what can't be makes bad().
class PgArchiveReader::Cursor {
  public:
    explicit Cursor(ByteView bytes) : bytes_(bytes) {}

    bool bad() const { return bad_; }
    bool is_short() const { return short_; }
    std::size_t at() const { return at_; }

    std::uint8_t byte() {
        auto taken = take(1);
        return taken.empty() ? 0 : taken[0];
    }
    std::int64_t integer() {
        auto taken = take(kIntegerBytes);
        if (taken.empty()) return 0;
        std::int64_t value = 0;
        for (std::size_t i = kIntegerBytes - 1; i > 0; --i) value = (value << 8) | taken[i];
        if (taken[0] > 1 || value > INT32_MAX) bad_ = true;
        return taken[0] ? -value : value;
    }
    // nullopt: there is none, which is not the same as an empty one.
    std::optional<std::string_view> text() {
        auto length = integer();
        if (bad_ || short_ || length < 0) return std::nullopt;
        if (length > kTextBytesMax) bad_ = true;
        return bad_ ? std::string_view() : as_text(take(static_cast<std::size_t>(length)));
    }
    std::string name() { return std::string(text().value_or("")); }
    void skip(std::size_t bytes) { take(bytes); }

  private:
    ByteView take(std::size_t bytes) {
        if (short_ || bad_) return {};
        if (bytes_.size() - at_ < bytes) {
            short_ = true;
            return {};
        }
        auto taken = bytes_.subspan(at_, bytes);
        at_ += bytes;
        return taken;
    }

    ByteView bytes_;
    std::size_t at_ = 0;
    bool short_ = false, bad_ = false;
};

void PgArchiveReader::consume(std::size_t bytes) {
    at_ += bytes;
    wanted_ = 0;
}

Result<void> PgArchiveReader::push(ByteView bytes) {
    archive_.bytes += bytes.size();
    // Rows, nearly everything, are looked at where they lie.
    while (!bytes.empty()) {
        if (state_ == At::payload && rest().empty()) {
            auto size = std::min<std::uint64_t>(payload_left_, bytes.size());
            take_payload(bytes.first(size));
            bytes = bytes.subspan(size);
            payload_left_ -= size;
            if (payload_left_ == 0) state_ = At::chunk;
            continue;
        }
        // Never much more than an item lies in the buffer: the rest of the piece waits.
        auto room = std::max<std::size_t>(wanted_ > rest().size() ? wanted_ - rest().size() : 0, 64);
        auto size = std::min(room, bytes.size());
        buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(at_));
        at_ = 0;
        buffer_.insert(buffer_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
        bytes = bytes.subspan(size);
        if (buffer_.size() < wanted_) continue;
        TRY(steps());
    }
    return {};
}

// Reads what is there.
Result<void> PgArchiveReader::steps() {
    for (bool more = true; more;) more = TRY(step());
    return {};
}

Result<bool> PgArchiveReader::step() {
    switch (state_) {
        case At::head: return head();
        case At::entries: return entry();
        case At::block: return block();
        case At::object: return object();
        case At::chunk: return chunk();
        case At::payload: break;
    }
    auto size = std::min<std::uint64_t>(payload_left_, rest().size());
    if (size == 0) return false;
    take_payload(rest().first(size));
    consume(size);
    payload_left_ -= size;
    if (payload_left_ == 0) state_ = At::chunk;
    return true;
}

Result<bool> PgArchiveReader::head() {
    Cursor in(rest());
    for (char expected : kArchiveMagic)
        if (in.byte() != static_cast<std::uint8_t>(expected) && !in.is_short()) return not_an_archive("it begins otherwise");
    auto major = in.byte(), minor = in.byte();
    in.byte();  // revision
    auto integers = in.byte(), offsets = in.byte(), format = in.byte();
    if (in.is_short()) return false;
    if (major != kArchiveMajor || minor < kArchiveMinorMin || minor > kArchiveMinorMax)
        return fail(ErrorKind::usage, fmt::format("version {}.{} of pg_dump's archives is not known here", major, minor));
    if (integers != 4 || offsets != 8 || format != kFormatCustom) return not_an_archive("it is of another format");
    auto compression = minor >= kMinorWithAlgorithm ? in.byte() : in.integer();
    for (int i = 0; i < 7; ++i) in.integer();  // when it was made
    archive_.database = in.name();
    archive_.server_version = in.name();
    archive_.program_version = in.name();
    entries_left_ = in.integer();
    if (in.bad() || entries_left_ < 0) return not_an_archive("its head is not as it must be");
    if (in.is_short()) return false;
    if (compression != 0) return fail(ErrorKind::usage, "the archive of pg_dump is compressed");
    archive_.major = major;
    archive_.minor = minor;
    consume(in.at());
    state_ = entries_left_ > 0 ? At::entries : At::block;
    return true;
}

Result<bool> PgArchiveReader::entry() {
    Cursor in(rest());
    PgArchive::Entry entry;
    entry.id = static_cast<std::int32_t>(in.integer());
    entry.data = in.integer() != 0;
    in.text();  // oid of the catalog
    in.text();  // oid in it
    entry.name = in.name();
    entry.kind = in.name();
    in.integer();  // section
    in.text();     // definition
    in.text();     // how to drop it
    in.text();     // COPY
    entry.schema = in.name();
    in.text();  // tablespace
    in.text();  // access method
    if (archive_.minor >= kMinorWithRelationKind) in.integer();
    entry.owner = in.name();
    in.text();  // "false": no OIDs
    while (in.text()) {
    }  // what it depends on
    in.skip(kOffsetBytes);
    if (in.bad()) return not_an_archive("its list is not as it must be");
    if (in.is_short()) {
        // A long definition is not read again for each piece of it.
        wanted_ = 2 * rest().size();
        return false;
    }
    consume(in.at());
    if (entry.data && !awaited_.emplace(entry.id, archive_.entries.size()).second)
        return not_an_archive(fmt::format("two entries have the number {}", entry.id));
    archive_.entries.push_back(std::move(entry));
    if (--entries_left_ == 0) state_ = At::block;
    return true;
}

Result<bool> PgArchiveReader::block() {
    Cursor in(rest());
    auto type = in.byte();
    auto id = in.integer();
    if (in.bad()) return not_an_archive("data begin otherwise");
    if (in.is_short()) return false;
    auto found = awaited_.find(static_cast<std::int32_t>(id));
    if (found == awaited_.end()) return not_an_archive(fmt::format("there are data of entry {}, which has none", id));
    if (type != kBlockData && type != kBlockObjects) return not_an_archive(fmt::format("data of kind {}", type));
    auto& entry = archive_.entries[found->second];
    awaited_.erase(found);
    in_objects_ = type == kBlockObjects;
    table_ = entry.kind == "TABLE DATA" ? &entry : nullptr;
    if (table_ && in_objects_) return not_an_archive("a table's data are large objects");
    lines_ = 0;
    tail_.clear();
    consume(in.at());
    state_ = in_objects_ ? At::object : At::chunk;
    return true;
}

Result<bool> PgArchiveReader::object() {
    Cursor in(rest());
    auto oid = in.byte();  // of the integer that is an oid: its sign, and all four bytes count
    std::uint32_t value = 0;
    for (int i = 0; i < 4; ++i) value |= static_cast<std::uint32_t>(in.byte()) << (8 * i);
    if (in.is_short()) return false;
    consume(in.at());
    if (value == 0 && oid == 0) {
        state_ = At::block;
        return true;
    }
    ++archive_.large_objects;
    state_ = At::chunk;
    return true;
}

Result<bool> PgArchiveReader::chunk() {
    Cursor in(rest());
    auto length = in.integer();
    if (in.bad() || length < 0) return not_an_archive("data are not as they must be");
    if (in.is_short()) return false;
    consume(in.at());
    if (length > 0) {
        payload_left_ = static_cast<std::uint64_t>(length);
        state_ = At::payload;
        return true;
    }
    TRY(end_data());
    state_ = in_objects_ ? At::object : At::block;
    return true;
}

void PgArchiveReader::take_payload(ByteView bytes) {
    if (!table_) return;
    lines_ += static_cast<std::uint64_t>(std::ranges::count(bytes, '\n'));
    tail_ += as_text(bytes.last(std::min(bytes.size(), kEndOfRows.size())));
    if (tail_.size() > kEndOfRows.size()) tail_.erase(0, tail_.size() - kEndOfRows.size());
}

Result<void> PgArchiveReader::end_data() {
    if (!table_) return {};
    if (tail_ != kEndOfRows || lines_ < kEndLines)
        return cut_off(fmt::format("the rows of {}.{} have no end", printable(table_->schema), printable(table_->name)));
    table_->rows = lines_ - kEndLines;
    return {};
}

Result<PgArchive> PgArchiveReader::finish() {
    wanted_ = 0;
    TRY(steps());
    if (state_ == At::head) return cut_off("its head is missing");
    if (state_ == At::entries) return cut_off(fmt::format("{} entries of its list are missing", entries_left_));
    if (state_ != At::block || !rest().empty()) return cut_off("it ends in the middle of data");
    if (!awaited_.empty()) {
        auto first = std::ranges::min_element(awaited_, {}, [](auto const& one) { return one.second; });
        auto const& entry = archive_.entries[first->second];
        return cut_off(fmt::format("the data of {} entries are missing, those of {} {} first", awaited_.size(),
                                   printable(entry.kind), printable(entry.name)));
    }
    return std::move(archive_);
}

}  // namespace holdfast
