#include "sources/postgres/conninfo.h"

#include <libpq-fe.h>

#include <map>
#include <memory>
#include <vector>

#include "base/text.h"

namespace holdfast::postgres {
namespace {

// "a:1,b:1" of hosts "a,b" and ports "1"; one port serves all hosts, as libpq has it.
std::string join_hosts(std::string const& hosts, std::string const& ports) {
    auto host_list = split(hosts, ',');
    auto port_list = split(ports, ',');
    std::vector<std::string> pairs;
    for (std::size_t i = 0; i < host_list.size(); ++i) {
        auto port = i < port_list.size() ? port_list[i] : port_list[0];
        pairs.push_back(host_list[i] + ":" + (port.empty() ? "5432" : port));
    }
    return join(pairs, ",");
}

// The options that the string gives, by their keywords.
Result<std::map<std::string, std::string>> parse(std::string const& conninfo) {
    // What PQconninfoParse complains of may quote the password: it is dropped unread.
    char* complaint = nullptr;
    std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> options(
        PQconninfoParse(conninfo.c_str(), &complaint), &PQconninfoFree);
    PQfreemem(complaint);
    if (!options)
        return fail(ErrorKind::usage, "the PostgreSQL connection string is malformed",
                    "write it as \"host=db1 user=backup\", \"service=NAME\" or a postgresql:// URI");
    std::map<std::string, std::string> given;
    for (auto const* option = options.get(); option->keyword; ++option)
        if (option->val && *option->val) given[option->keyword] = option->val;
    for (auto secret : {"password", "sslpassword"})
        if (given.contains(secret))
            return fail(ErrorKind::usage, "the PostgreSQL connection string holds a password",
                        "put it into a service file or a password file (~/.pgpass, PGPASSFILE)");
    return given;
}

// As a value of a connection string: in quotes, quotes and backslashes escaped.
std::string quoted_value(std::string_view value) {
    std::string text = "'";
    for (char c : value) {
        if (c == '\'' || c == '\\') text += '\\';
        text += c;
    }
    return text + "'";
}

}  // namespace

Result<std::string> describe_conninfo(std::string const& conninfo) {
    auto given = TRY(parse(conninfo));
    if (given.contains("service")) return "service=" + given["service"];
    auto host = given.contains("host") ? given["host"] : given["hostaddr"];
    if (host.empty()) host = "local";
    return join_hosts(host, given["port"]);
}

Result<std::string> database_of(std::string const& conninfo) {
    auto given = TRY(parse(conninfo));
    return given["dbname"];
}

Result<std::string> with_database(std::string const& conninfo, std::string_view database) {
    auto given = TRY(parse(conninfo));
    given["dbname"] = database;
    std::vector<std::string> words;
    for (auto const& [keyword, value] : given) words.push_back(keyword + "=" + quoted_value(value));
    return join(words, " ");
}

}  // namespace holdfast::postgres
