#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace holdfast {

// What a path below a PostgreSQL data directory says about a relation's file: PostgreSQL
// documentation, "Database File Layout".
struct PgRelationFile {
    enum class Fork : std::uint8_t { main, free_space, visibility, init };
    std::uint32_t tablespace = 0;  // 0: the default or the global one
    std::uint32_t database = 0;    // 0: shared by all (global/)
    std::uint32_t filenode = 0;
    Fork fork = Fork::main;
    std::uint32_t segment = 0;     // of 1 GiB unless the server was built otherwise
};

// "base/5/16384", "base/5/16384_fsm", "base/5/16384.3", "global/1262",
// "pg_tblspc/16390/PG_15_202209061/5/16391": nothing for everything else (maps, versions, temporary
// relations and what people put there).
std::optional<PgRelationFile> parse_pg_relation_path(std::string_view path);

}  // namespace holdfast
