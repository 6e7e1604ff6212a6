// What PostgreSQL writes. The first byte chooses what the rest is.
#include <array>
#include <cstdlib>

#include "formats/pg_archive.h"
#include "formats/pg_backup_label.h"
#include "formats/pg_backup_manifest.h"
#include "formats/pg_control.h"
#include "formats/pg_page.h"
#include "formats/pg_path.h"
#include "formats/pg_timeline_history.h"
#include "formats/pg_wal_changes.h"
#include "formats/pg_wal_decoder.h"
#include "formats/ustar.h"
#include "seeds.h"

using namespace holdfast;

namespace {

enum class Kind : std::uint8_t { log, record, tar, manifest, control, label, tablespaces, history, page, path, archive, count };

// A record's parts lie in it.
void try_record(WalRecord const& record) {
    auto content = parse_wal_content(record);
    if (content && content->main.size() > record.body.size()) std::abort();
    (void)transaction_end(record);
    (void)restore_point(record);
    (void)is_wal_switch(record);
    // What it names counts as changed, whatever else it says.
    for (int major : {12, 14, 15}) {
        auto one = record;
        one.major = major;
        auto blocks = parse_wal_content(one);
        WalChanges changes;
        if (!changes.add(one)) continue;
        for (auto const& block : blocks->blocks)
            if (!changes.changed({block.tablespace, block.database, block.relation}, PgRelationFile::Fork::main, block.block) &&
                block.fork == 0)
                std::abort();
    }
}

struct Counted : UstarReader::Handler {
    std::uint64_t left = 0;
    Result<void> entry(UstarEntry const& entry) override {
        left = entry.size;
        return {};
    }
    Result<void> data(ByteView bytes) override {
        if (bytes.empty() || bytes.size() > left) std::abort();
        left -= bytes.size();
        return {};
    }
    Result<void> entry_end() override {
        if (left != 0) std::abort();
        return {};
    }
};

// In two pieces, as a network gives it.
template <typename Push>
void in_pieces(ByteView bytes, Push const& push) {
    auto half = bytes.size() / 2;
    if (push(bytes.first(half))) (void)push(bytes.subspan(half));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    if (size == 0) return 0;
    ByteView rest(data + 1, size - 1);
    auto text = as_text(rest);
    switch (static_cast<Kind>(data[0] % static_cast<int>(Kind::count))) {
        case Kind::log: {
            WalDecoder decoder(Lsn{9u << 24}, 16u << 20);
            auto visit = [](WalRecord const& record) -> Result<bool> {
                try_record(record);
                return true;
            };
            in_pieces(rest, [&](ByteView piece) { return decoder.feed(piece, visit).has_value(); });
            (void)decoder.finish(visit);
            break;
        }
        case Kind::record: {
            auto record = parse_wal_record(rest, Lsn{9u << 24}, 15);
            if (record) try_record(*record);
            // What its sum protects, too, of each manager whose records are looked into.
            for (std::uint8_t manager : {0, 1, 2, 4})
                try_record({.major = 15, .start = {}, .end = {}, .previous = {}, .info = rest.empty() ? std::uint8_t{0} : rest[0],
                            .manager = manager, .body = rest});
            break;
        }
        case Kind::tar: {
            Counted counted;
            UstarReader reader(counted);
            in_pieces(rest, [&](ByteView piece) { return reader.push(piece).has_value(); });
            break;
        }
        case Kind::manifest: {
            // Any sum fits: its last line protects the others from accidents, not the reader from them.
            auto any = [](ByteView) { return std::array<std::uint8_t, 32>{}; };
            (void)parse_pg_backup_manifest(rest, any);
            break;
        }
        case Kind::control: (void)parse_pg_control(rest); break;
        case Kind::label: (void)parse_pg_backup_label(text); break;
        case Kind::tablespaces: (void)parse_pg_tablespace_map(text); break;
        case Kind::history: (void)parse_timeline_history(text, 3); break;
        case Kind::page:
            if (rest.size() >= 8192) (void)read_pg_page_header(rest.first(8192));
            break;
        case Kind::path: (void)parse_pg_relation_path(text); break;
        case Kind::archive: {
            PgArchiveReader reader;
            bool good = true;
            in_pieces(rest, [&](ByteView piece) { return good = reader.push(piece).has_value(); });
            if (good) (void)reader.finish();
            break;
        }
        case Kind::count: break;
    }
    return 0;
}

// Every file of the fixtures is tried as each of these by the replay; here is what they lack.
std::vector<Bytes> seeds() {
    std::vector<Bytes> all;
    auto add = [&](Kind kind, ByteView bytes) {
        all.emplace_back(1, static_cast<std::uint8_t>(kind));
        all.back().insert(all.back().end(), bytes.begin(), bytes.end());
    };
    add(Kind::history, as_bytes("1\t0/3000028\tno recovery target specified\n2\t0/5000000\tbefore 2026\n"));
    add(Kind::tablespaces, as_bytes("16385 /srv/a\\\nb\n16386 /srv/c\n"));
    add(Kind::path, as_bytes("base/5/16384_fsm.1"));
    add(Kind::manifest,
        as_bytes("{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n\"Files\": [\n{ \"Path\": \"a\", \"Size\": 3, \"Last-Modified\": "
                 "\"2026-01-01 00:00:00 GMT\", \"Checksum-Algorithm\": \"CRC32C\", \"Checksum\": \"00000000\" }\n],\n\"WAL-Ranges\": [\n"
                 "{ \"Timeline\": 1, \"Start-LSN\": \"0/2000028\", \"End-LSN\": \"0/2000100\" }\n],\n\"Manifest-Checksum\": "
                 "\"0000000000000000000000000000000000000000000000000000000000000000\"}\n"));
    // A directory and a file of 600 bytes.
    Bytes tar;
    auto header = [&](std::string const& name, char type, char const* bytes) {
        Bytes block(512);
        auto put = [&](std::size_t at, std::string_view what) { std::copy(what.begin(), what.end(), block.begin() + static_cast<std::ptrdiff_t>(at)); };
        put(0, name);
        put(100, "0000644");
        put(108, "0000000");
        put(116, "0000000");
        put(124, bytes);
        put(136, "00000000000");
        put(148, "        ");
        block[156] = static_cast<std::uint8_t>(type);
        put(257, std::string_view("ustar\00000", 8));
        unsigned sum = 0;
        for (auto byte : block) sum += byte;
        char digits[8];
        std::snprintf(digits, sizeof digits, "%06o", sum);
        put(148, std::string_view(digits, 7));
        tar.insert(tar.end(), block.begin(), block.end());
    };
    header("base/", '5', "00000000000");
    header("base/1", '0', "00000001130");
    tar.resize(tar.size() + 1024, 'x');
    tar.resize(tar.size() + 1024, 0);
    add(Kind::tar, tar);
    return all;
}
