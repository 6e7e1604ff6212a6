#include "sources/postgres/programs.h"

#include <fmt/format.h>
#include <unistd.h>

#include <vector>

#include "os/process.h"

namespace holdfast::postgres {
namespace {

std::string first_line(std::string const& text) { return text.substr(0, text.find('\n')); }

// Empty when pg_config is not there, or is of another version.
std::string bindir_of_pg_config(int major, std::stop_token stop) {
    auto version = run({.argv = {"pg_config", "--version"}}, stop);
    if (!version || !version->success()) return {};
    auto wanted = fmt::format("PostgreSQL {}", major);
    auto found = first_line(version->out);
    if (!found.starts_with(wanted) || (found.size() > wanted.size() && found[wanted.size()] != '.')) return {};
    auto bindir = run({.argv = {"pg_config", "--bindir"}}, stop);
    return bindir && bindir->success() ? first_line(bindir->out) : std::string();
}

}  // namespace

Result<std::string> find_program(int major, std::string const& program, std::stop_token stop) {
    std::vector<std::string> directories{fmt::format("/usr/lib/postgresql/{}/bin", major),
                                         fmt::format("/usr/pgsql-{}/bin", major)};
    if (auto bindir = bindir_of_pg_config(major, stop); !bindir.empty()) directories.push_back(bindir);
    for (auto const& directory : directories) {
        auto path = directory + "/" + program;
        if (::access(path.c_str(), X_OK) == 0) return path;
    }
    return fail(ErrorKind::not_found, fmt::format("'{}' of PostgreSQL {} is not on this machine", program, major),
                fmt::format("install it (Debian: apt install postgresql-{})", major));
}

}  // namespace holdfast::postgres
