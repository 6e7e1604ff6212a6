#include "formats/pg_path.h"

#include <charconv>
#include <string>
#include <vector>

#include "base/text.h"

namespace holdfast {
namespace {

// Decimal without sign or leading zero, above zero: how PostgreSQL writes identifiers in names.
std::optional<std::uint32_t> parse_number(std::string_view text) {
    if (text.empty() || text[0] < '1' || text[0] > '9') return std::nullopt;
    std::uint32_t value = 0;
    auto end = text.data() + text.size();
    auto parsed = std::from_chars(text.data(), end, value);
    if (parsed.ec != std::errc{} || parsed.ptr != end) return std::nullopt;
    return value;
}

bool parse_file_name(std::string_view name, PgRelationFile& file) {
    if (auto dot = name.find('.'); dot != name.npos) {
        auto segment = parse_number(name.substr(dot + 1));
        if (!segment) return false;
        file.segment = *segment;
        name = name.substr(0, dot);
    }
    if (auto underscore = name.find('_'); underscore != name.npos) {
        auto fork = name.substr(underscore + 1);
        if (fork == "fsm")
            file.fork = PgRelationFile::Fork::free_space;
        else if (fork == "vm")
            file.fork = PgRelationFile::Fork::visibility;
        else if (fork == "init")
            file.fork = PgRelationFile::Fork::init;
        else
            return false;
        name = name.substr(0, underscore);
    }
    auto filenode = parse_number(name);
    if (!filenode) return false;
    file.filenode = *filenode;
    return true;
}

}  // namespace

std::optional<PgRelationFile> parse_pg_relation_path(std::string_view path) {
    auto parts = split(path, '/');
    PgRelationFile file;
    auto number_into = [&](std::string const& text, std::uint32_t& value) {
        auto number = parse_number(text);
        if (number) value = *number;
        return number.has_value();
    };
    if (parts.size() == 2 && parts[0] == "global") {
        // Shared relations alone.
    } else if (parts.size() == 3 && parts[0] == "base") {
        if (!number_into(parts[1], file.database)) return std::nullopt;
    } else if (parts.size() == 5 && parts[0] == "pg_tblspc" && parts[2].starts_with("PG_")) {
        if (!number_into(parts[1], file.tablespace) || !number_into(parts[3], file.database))
            return std::nullopt;
    } else {
        return std::nullopt;
    }
    if (!parse_file_name(parts.back(), file)) return std::nullopt;
    return file;
}

}  // namespace holdfast
