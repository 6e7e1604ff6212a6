#pragma once

// For tests alone: a small base backup as a server would send it, which a test spoils before it is sent.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "crypto/crypto.h"
#include "formats/crc32c.h"
#include "formats/pg_control.h"
#include "sources/postgres/base_backup_protocol.h"

namespace holdfast::postgres {

struct SampleFile {
    std::string path;  // within its archive
    std::string content;
    bool in_manifest = true;
};

struct SampleBackup {
    int major = 15;
    bool end_blocks = true;  // the two zero blocks that close an archive
    std::string system_identifier;
    BackupStart start{Lsn{0x100028}, 1, {{16384, "/srv/space", 8192}, {0, "", 1 << 20}}};
    BackupEnd end{Lsn{0x1000f0}, 1, false};
    std::uint32_t wal_segment_bytes = 1 << 20;
    std::vector<SampleFile> space, base;
    std::vector<SampleFile> extra_in_manifest;
    std::string manifest;  // made by seal()

    explicit SampleBackup(int version = 15) : major(version), end_blocks(version >= 15) {
        auto control = fixture("postgres/pg_control-15");
        system_identifier = fmt::format("{}", parse_pg_control(as_bytes(control)).value().system_identifier);
        space = {{"PG_15_202209061/5/16390", std::string(8192, '\0')}};
        base = {{"backup_label", "START WAL LOCATION: 0/100028 (file 000000010000000000000001)\n"
                                 "CHECKPOINT LOCATION: 0/100060\nBACKUP METHOD: streamed\nBACKUP FROM: primary\n"
                                 "START TIME: 2026-11-22 20:40:08 UTC\nLABEL: x\nSTART TIMELINE: 1\n"},
                {"tablespace_map", "16384 /srv/space\n"},
                {"PG_VERSION", fmt::format("{}\n", major)},
                {"base/5/1249", std::string(3 * 8192, '\0')},
                {"base/5/1259", std::string(8192, '\0')},
                {"global/pg_control", control},
                {"pg_wal/000000010000000000000001", std::string(wal_segment_bytes, 'w'), false}};
        seal();
    }

    SampleFile& file(std::string const& path) {
        for (auto* files : {&space, &base})
            for (auto& file : *files)
                if (file.path == path) return file;
        ADD_FAILURE() << "no file " << path;
        return base[0];
    }

    // Makes the manifest of what the files are now.
    void seal() {
        std::string lines;
        auto add = [&](std::string const& prefix, SampleFile const& file) {
            if (!file.in_manifest) return;
            auto crc = crc32c(as_bytes(file.content));
            lines += fmt::format("{}{{ \"Path\": \"{}{}\", \"Size\": {}, \"Last-Modified\": \"2026-11-22 20:40:07 GMT\", "
                                 "\"Checksum-Algorithm\": \"CRC32C\", \"Checksum\": \"{}\" }}",
                                 lines.empty() ? "" : ",\n", prefix, file.path, file.content.size(),
                                 to_hex({reinterpret_cast<std::uint8_t const*>(&crc), 4}));
        };
        for (auto const& file : space) add("pg_tblspc/16384/", file);
        for (auto const& file : base) add("", file);
        for (auto const& file : extra_in_manifest) add("", file);
        manifest = "{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n\"Files\": [\n" + lines +
                   "\n],\n\"WAL-Ranges\": [\n{ \"Timeline\": 1, \"Start-LSN\": \"0/100028\", \"End-LSN\": \"0/1000F0\" }\n],\n";
        auto digest = sha256(as_bytes(manifest));
        manifest += fmt::format("\"Manifest-Checksum\": \"{}\"}}\n", to_hex(digest));
    }

    std::string archive(Tablespace const& tablespace) const {
        std::string bytes;
        for (auto const& file : tablespace.oid == 0 ? base : space) bytes += member(file);
        if (end_blocks) bytes.append(1024, '\0');
        return bytes;
    }

    static std::string member(SampleFile const& file) {
        std::string block(512, '\0');
        auto put = [&](std::size_t offset, std::string_view text) { block.replace(offset, text.size(), text); };
        put(0, file.path);
        put(100, "0000600 0000145 0000150 ");
        put(124, fmt::format("{:011o} ", file.content.size()));
        put(136, "15300651450         0");
        put(257, "ustar");
        put(263, "00postgres");
        put(297, "postgres");
        put(148, "        ");
        unsigned sum = 0;
        for (unsigned char c : block) sum += c;
        put(148, fmt::format("{:06o} ", sum));
        block += file.content;
        block.append((512 - file.content.size() % 512) % 512, '\0');
        return block;
    }

    static std::string fixture(std::string const& name) {
        std::ifstream file(std::string(HOLDFAST_FIXTURES) + "/" + name, std::ios::binary);
        EXPECT_TRUE(file) << name;
        return {std::istreambuf_iterator<char>(file), {}};
    }
};

}  // namespace holdfast::postgres
