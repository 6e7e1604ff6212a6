#include "sources/exports/export_document.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>

#include "base/text.h"

namespace holdfast::postgres {
namespace {

using Json = nlohmann::ordered_json;
constexpr int kDocumentVersion = 1;
constexpr std::string_view kFilesPrefix = "databases/", kFilesSuffix = ".dump";

Json document_of(ExportedDatabase const& database) {
    auto tables = Json::array();
    for (auto const& table : database.tables)
        tables.push_back({{"schema", printable(table.schema)}, {"name", printable(table.name)}, {"rows", table.rows}});
    return {{"name", printable(database.name)}, {"file", printable(database.file)},
            {"time", to_rfc3339(database.time)}, {"bytes", database.bytes},
            {"large_objects", database.large_objects}, {"tables", std::move(tables)}};
}

// Throws what the library throws, and Error for what it does not know.
std::string name_in(Json const& object, char const* member) {
    auto name = from_printable(object.at(member).get_ref<std::string const&>());
    if (!name) throw std::move(name).error();
    return std::move(*name);
}

ExportedDatabase database_in(Json const& object) {
    ExportedDatabase database{.name = name_in(object, "name"), .file = name_in(object, "file"), .time = {}, .tables = {}};
    if (database.file != export_file_of(database.name))
        throw Error{ErrorKind::damaged, fmt::format("'{}' is not where that database's file is", printable(database.file)), {}};
    auto time = parse_rfc3339(object.at("time").get<std::string>());
    if (!time) throw std::move(time).error();
    database.time = *time;
    database.bytes = object.at("bytes").get<std::uint64_t>();
    database.large_objects = object.at("large_objects").get<std::uint64_t>();
    for (auto const& table : object.at("tables"))
        database.tables.push_back({name_in(table, "schema"), name_in(table, "name"), table.at("rows").get<std::uint64_t>()});
    return database;
}

}  // namespace

std::string encode(ExportDocument const& document) {
    auto databases = Json::array(), left_out = Json::array();
    for (auto const& database : document.databases) databases.push_back(document_of(database));
    for (auto const& name : document.left_out) left_out.push_back(printable(name));
    Json json{{"holdfast_export", kDocumentVersion}, {"server_version", printable(document.server_version)},
              {"dump_major", document.dump_major},   {"passwords", document.passwords},
              {"databases", std::move(databases)},   {"left_out", std::move(left_out)}};
    return json.dump(1) + "\n";
}

Result<ExportDocument> parse_export_document(std::string_view text) {
    try {
        auto json = Json::parse(text);
        auto version = json.at("holdfast_export").get<int>();
        if (version != kDocumentVersion)
            return fail(ErrorKind::usage, fmt::format("{}: version {} is not known here", kExportDocument, version),
                        "a later Holdfast wrote it");
        ExportDocument document;
        document.server_version = name_in(json, "server_version");
        document.dump_major = json.at("dump_major").get<int>();
        document.passwords = json.at("passwords").get<bool>();
        for (auto const& database : json.at("databases")) document.databases.push_back(database_in(database));
        for (auto const& name : json.at("left_out")) {
            auto plain = from_printable(name.get<std::string>());
            if (!plain) throw std::move(plain).error();
            document.left_out.push_back(std::move(*plain));
        }
        return document;
    } catch (nlohmann::json::exception const& error) {
        return fail(ErrorKind::damaged, fmt::format("{}: {}", kExportDocument, printable(error.what())));
    } catch (Error& error) {
        return fail(ErrorKind::damaged, fmt::format("{}: {}", kExportDocument, error.message));
    }
}

std::vector<ExportedTable> exported_tables(PgArchive const& archive) {
    std::set<std::pair<std::string_view, std::string_view>> own;
    for (auto const& entry : archive.entries)
        if (entry.kind == "TABLE") own.emplace(entry.schema, entry.name);
    std::vector<ExportedTable> tables;
    for (auto const& entry : archive.entries)
        if (entry.kind == "TABLE DATA" && own.contains({entry.schema, entry.name}))
            tables.push_back({entry.schema, entry.name, entry.rows});
    return tables;
}

std::string export_file_of(std::string_view database) {
    std::string file(kFilesPrefix);
    for (char c : database) {
        auto const odd = c == '/' || c == '%' || c == '\\' || static_cast<unsigned char>(c) < ' ' || c == '\x7f' ||
                         (c == '.' && file.size() == kFilesPrefix.size());
        file += odd ? fmt::format("%{:02X}", static_cast<unsigned char>(c)) : std::string(1, c);
    }
    return file += kFilesSuffix;
}

}  // namespace holdfast::postgres
