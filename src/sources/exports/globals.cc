#include "sources/exports/globals.h"

#include <fmt/format.h>

#include "base/text.h"

namespace holdfast::postgres {
namespace {

constexpr std::string_view kGlobalsEnd = "-- PostgreSQL database cluster dump complete";

// What a statement is about.
struct Subject {
    enum class Kind { session, role, membership, tablespace, other };
    Kind kind = Kind::other;
    std::string name;
    bool creates = false;
};

std::string name_at(SqlStatement const& statement, std::size_t at) {
    return at < statement.tokens.size() && statement.tokens[at].is_name() ? statement.tokens[at].text : std::string();
}

// Behind "… ON `what`".
std::string name_on(SqlStatement const& statement, std::string_view what) {
    for (std::size_t i = 0; i + 2 < statement.tokens.size(); ++i) {
        auto const& on = statement.tokens[i];
        auto const& kind = statement.tokens[i + 1];
        using enum SqlToken::Kind;
        if (on.kind == word && on.text == "ON" && kind.kind == word && kind.text == what) return name_at(statement, i + 2);
    }
    return {};
}

Subject subject_of(SqlStatement const& statement) {
    using enum Subject::Kind;
    if (statement.begins_with({"SET"})) return {session, {}};
    if (statement.begins_with({"CREATE", "ROLE"})) return {role, name_at(statement, 2), true};
    if (statement.begins_with({"ALTER", "ROLE"})) return {role, name_at(statement, 2)};
    if (statement.begins_with({"CREATE", "TABLESPACE"})) return {tablespace, name_at(statement, 2), true};
    if (statement.begins_with({"ALTER", "TABLESPACE"})) return {tablespace, name_at(statement, 2)};
    if (auto name = name_on(statement, "TABLESPACE"); !name.empty()) return {tablespace, name};
    if (auto name = name_on(statement, "ROLE"); !name.empty()) return {role, name};
    bool const grant = statement.begins_with({"GRANT"}) && statement.tokens.size() > 3 && statement.tokens[1].is_name() &&
                       statement.tokens[2] == SqlToken{SqlToken::Kind::word, "TO"};
    return grant ? Subject{membership, statement.tokens[1].text} : Subject{other, {}};
}

std::string_view shown_kind(Subject::Kind kind) {
    switch (kind) {
        case Subject::Kind::session: return "settings of the session";
        case Subject::Kind::role: return "role";
        case Subject::Kind::membership: return "membership in role";
        case Subject::Kind::tablespace: return "tablespace";
        case Subject::Kind::other: return "grant";
    }
    return "";
}

Result<std::set<std::string>> names_in(Connection& server, std::string const& query, std::stop_token stop) {
    auto rows = TRY(server.query(query, stop));
    std::set<std::string> names;
    for (auto const& row : rows.rows) names.insert(row.at(0).value_or(""));
    return names;
}

Result<std::set<std::string>> roles_of(Connection& server, std::stop_token stop) {
    return names_in(server, "SELECT rolname FROM pg_catalog.pg_roles", stop);
}
Result<std::set<std::string>> tablespaces_of(Connection& server, std::stop_token stop) {
    return names_in(server, "SELECT spcname FROM pg_catalog.pg_tablespace", stop);
}

// "CREATE TABLESPACE name OWNER owner LOCATION 'where'": where is the only string in it.
std::string location_in(SqlStatement const& statement) {
    for (auto const& token : statement.tokens)
        if (token.kind == SqlToken::Kind::string) return token.text;
    return {};
}

std::string create_tablespace(SqlStatement const& statement, std::map<std::string, std::string> const& locations) {
    auto const name = name_at(statement, 2);
    auto location = location_in(statement);
    for (auto const& key : {name, location}) {
        if (auto found = locations.find(key); found != locations.end()) {
            location = found->second;
            break;
        }
    }
    std::string owner;
    if (statement.tokens.size() > 4 && statement.tokens[3].text == "OWNER")
        owner = " OWNER " + quote_name(name_at(statement, 4));
    return fmt::format("CREATE TABLESPACE {}{} LOCATION {}", quote_name(name), owner, quote_literal(location));
}

Result<void> run_one(Connection& server, Subject const& subject, std::string const& sql, std::stop_token stop) {
    TRY(server.query(sql, stop).within(fmt::format("{} {}", shown_kind(subject.kind), printable(subject.name))));
    return {};
}

}  // namespace

Result<Globals> Globals::parse(std::string_view script) {
    if (script.find(kGlobalsEnd) == script.npos)
        return fail(ErrorKind::damaged, "what pg_dumpall wrote of roles and tablespaces has no end");
    Globals globals;
    globals.statements = TRY(split_script(script).within("roles and tablespaces"));
    return globals;
}

std::set<std::string> Globals::roles() const {
    std::set<std::string> names;
    for (auto const& statement : statements) {
        auto subject = subject_of(statement);
        if (subject.kind == Subject::Kind::role && subject.creates) names.insert(subject.name);
    }
    return names;
}

std::map<std::string, std::string> Globals::tablespaces() const {
    std::map<std::string, std::string> found;
    for (auto const& statement : statements) {
        auto subject = subject_of(statement);
        if (subject.kind == Subject::Kind::tablespace && subject.creates) found[subject.name] = location_in(statement);
    }
    return found;
}

Result<MissingGlobals> compare_globals(Globals const& globals, Connection& server, std::stop_token stop) {
    auto roles = TRY(roles_of(server, stop));
    auto tablespaces = TRY(tablespaces_of(server, stop));
    MissingGlobals missing;
    for (auto const& name : globals.roles())
        (roles.contains(name) ? missing.roles_kept : missing.roles_new).push_back(name);
    for (auto const& [name, location] : globals.tablespaces())
        (tablespaces.contains(name) ? missing.tablespaces_kept : missing.tablespaces_new).push_back(name);
    return missing;
}

Result<void> apply_globals(Globals const& globals, Connection& server,
                           std::map<std::string, std::string> const& locations, std::stop_token stop) {
    auto const roles = TRY(roles_of(server, stop));
    auto const tablespaces = TRY(tablespaces_of(server, stop));
    std::vector<std::pair<Subject, SqlStatement const*>> on_tablespaces;
    TRY(server.query("BEGIN", stop));
    for (auto const& statement : globals.statements) {
        auto subject = subject_of(statement);
        if (subject.kind == Subject::Kind::role && roles.contains(subject.name)) continue;
        if (subject.kind == Subject::Kind::tablespace) {
            if (!tablespaces.contains(subject.name)) on_tablespaces.emplace_back(std::move(subject), &statement);
            continue;
        }
        TRY(run_one(server, subject, statement.text, stop));
    }
    TRY(server.query("COMMIT", stop));
    // A tablespace can't be made within a transaction.
    for (auto const& [subject, statement] : on_tablespaces) {
        auto const sql = subject.creates ? create_tablespace(*statement, locations) : statement->text;
        TRY(run_one(server, subject, sql, stop));
    }
    return {};
}

}  // namespace holdfast::postgres
