#include "plan/dataset_spec.h"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <map>

#include "base/text.h"

namespace holdfast::plan {
namespace {

using Settings = std::map<std::string, std::string, std::less<>>;

std::unexpected<Error> bad(std::string_view what) {
    // The text is not repeated: it may hold a password.
    return fail(ErrorKind::usage, fmt::format("not a connection string: {}", what),
                "write it as libpq wants it: host=db1 port=5432 user=backup, or service=NAME");
}

std::string_view skip_spaces(std::string_view text) {
    auto at = text.find_first_not_of(" \t\n");
    return at == std::string_view::npos ? std::string_view() : text.substr(at);
}

// `keyword = 'value' …`, as the libpq documentation describes it (section 34.1.1.1).
Result<Settings> parse_keywords(std::string_view text) {
    Settings settings;
    for (text = skip_spaces(text); !text.empty(); text = skip_spaces(text)) {
        auto equals = text.find('=');
        if (equals == std::string_view::npos)
            return bad("a keyword without '='");
        auto keyword = std::string(text.substr(0, text.find_first_of("= \t\n")));
        text = skip_spaces(text.substr(equals + 1));

        std::string value;
        bool quoted = text.starts_with('\'');
        std::size_t i = quoted ? 1 : 0;
        for (; i < text.size(); ++i) {
            if (quoted ? text[i] == '\'' : text[i] == ' ' || text[i] == '\t' || text[i] == '\n')
                break;
            if (text[i] == '\\' && i + 1 < text.size())
                ++i;
            value += text[i];
        }
        if (quoted && i >= text.size())
            return bad("a quote is not closed");
        text.remove_prefix(i + (quoted ? 1 : 0));
        settings[keyword] = std::move(value);
    }
    return settings;
}

Result<std::string> percent_decoded(std::string_view text) {
    std::string decoded;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            decoded += text[i];
            continue;
        }
        std::string hex(text.substr(i + 1, 2));
        std::transform(hex.begin(), hex.end(), hex.begin(),
                       [](unsigned char c) { return std::tolower(c); });
        auto byte = from_hex(hex);
        if (!byte || byte->size() != 1)
            return bad("a '%' that is not followed by two hexadecimal digits");
        decoded += as_text(*byte);
        i += 2;
    }
    return decoded;
}

// postgresql://user@host:port,host:port/database?name=value (section 34.1.1.2).
Result<Settings> parse_uri(std::string_view text) {
    Settings settings;
    text.remove_prefix(text.find("://") + 3);
    if (auto query = text.find('?'); query != std::string_view::npos) {
        for (auto const& pair : split(text.substr(query + 1), '&')) {
            auto equals = pair.find('=');
            if (equals == std::string::npos)
                return bad("an option without '='");
            auto value = TRY(percent_decoded(std::string_view(pair).substr(equals + 1)));
            settings[pair.substr(0, equals)] = std::move(value);
        }
        text = text.substr(0, query);
    }
    text = text.substr(0, text.find('/'));
    if (auto at = text.rfind('@'); at != std::string_view::npos) {
        if (text.substr(0, at).find(':') != std::string_view::npos)
            settings["password"] = "given";
        text.remove_prefix(at + 1);
    }
    if (text.empty())
        return settings;
    std::vector<std::string> hosts, ports;
    for (auto const& host : split(text, ',')) {
        auto colon = host.find(':', host.starts_with('[') ? host.find(']') : 0);
        auto name = std::string_view(host).substr(0, colon);
        if (name.starts_with('[') && name.ends_with(']'))
            name = name.substr(1, name.size() - 2);
        auto decoded = TRY(percent_decoded(name));
        hosts.push_back(std::move(decoded));
        ports.push_back(colon == std::string::npos ? "" : host.substr(colon + 1));
    }
    settings.emplace("host", join(hosts, ","));
    // Not join(): an empty port stands for the default and has to keep its place.
    std::string list = ports.front();
    for (std::size_t i = 1; i < ports.size(); ++i)
        list += "," + ports[i];
    settings.emplace("port", list);
    return settings;
}

std::string setting(Settings const& settings, std::string_view name) {
    auto found = settings.find(name);
    return found == settings.end() ? "" : found->second;
}

Result<Settings> parse_conninfo(std::string_view text) {
    bool uri = text.starts_with("postgresql://") || text.starts_with("postgres://");
    auto settings = TRY(uri ? parse_uri(text) : parse_keywords(text));
    for (auto name : {"password", "sslpassword"}) {
        if (settings.contains(name)) {
            return fail(
                ErrorKind::usage, "a password stands in the connection string",
                "put it into a password file (PGPASSFILE) or a service (service=NAME) instead");
        }
    }
    return settings;
}

Result<std::string> absolute(std::string_view path) {
    if (!path.starts_with('/')) {
        return fail(ErrorKind::usage, fmt::format("'{}' is not an absolute path", path),
                    fmt::format("write it from the root: /.../{}", path));
    }
    auto normal = std::filesystem::path(path).lexically_normal().string();
    while (normal.size() > 1 && normal.ends_with('/'))
        normal.pop_back();
    while (normal.starts_with("//"))
        normal.erase(0, 1);
    return normal;
}

struct Scheme {
    std::string_view prefix;
    DatasetKind kind;
};
constexpr Scheme kSchemes[] = {
    {"files:", DatasetKind::files},
    {"models:", DatasetKind::models},
    {"postgres:", DatasetKind::postgres},
};

}  // namespace

bool is_dataset_spec(std::string_view text) {
    return std::any_of(std::begin(kSchemes), std::end(kSchemes),
                       [&](Scheme const& scheme) { return text.starts_with(scheme.prefix); });
}

Result<std::string> postgres_identity(std::string_view conninfo) {
    auto settings = TRY(parse_conninfo(conninfo));
    auto host = setting(settings, "host");
    if (host.empty())
        host = setting(settings, "hostaddr");
    if (auto service = setting(settings, "service"); !service.empty() && host.empty()) {
        return "service=" + service;
    }
    auto hosts = split(host, ',');
    auto ports = split(setting(settings, "port"), ',');
    if (ports.size() != 1 && ports.size() != hosts.size())
        return bad("as many ports as hosts are needed");
    std::vector<std::string> places;
    for (std::size_t i = 0; i < hosts.size(); ++i) {
        auto port = ports[ports.size() == 1 ? 0 : i];
        places.push_back(fmt::format("{}:{}", hosts[i].empty() ? "local" : hosts[i],
                                     port.empty() ? "5432" : port));
    }
    std::sort(places.begin(), places.end());
    places.erase(std::unique(places.begin(), places.end()), places.end());
    return join(places, ",");
}

Result<Dataset> parse_dataset_spec(std::string_view text) {
    for (auto const& scheme : kSchemes) {
        if (!text.starts_with(scheme.prefix))
            continue;
        auto what = fmt::format("dataset '{}...'", scheme.prefix);
        auto subject = text.substr(scheme.prefix.size());
        Dataset dataset;
        dataset.kind = scheme.kind;
        if (scheme.kind == DatasetKind::postgres) {
            auto identity = TRY(postgres_identity(subject).within(what));
            dataset.connect = subject;
            dataset.name = std::string(scheme.prefix) + identity;
        } else {
            auto path = TRY(absolute(subject).within(what));
            dataset.paths = {path};
            dataset.name = std::string(scheme.prefix) + path;
        }
        return dataset;
    }
    return fail(ErrorKind::usage, fmt::format("'{}' is not a dataset", printable(text)),
                "write files:/abs/path, models:/abs/path or postgres:CONNINFO");
}

}  // namespace holdfast::plan
