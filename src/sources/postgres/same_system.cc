#include "sources/postgres/same_system.h"

#include <fmt/format.h>

namespace holdfast::postgres {
namespace {

std::unexpected<Error> another(std::string const& where, std::uint64_t system, std::string const& what) {
    return fail(ErrorKind::unsafe,
                fmt::format("PostgreSQL at {} is system {}, but {}: another system behind the name", where, system, what),
                "if the cluster was really replaced, protect the new one under another dataset name");
}

}  // namespace

WalStream cluster_log(KeyBundle const& keys, std::string_view dataset, std::uint64_t system_identifier) {
    return wal_stream(keys, dataset, fmt::format("postgres {}", system_identifier));
}

Result<void> check_same_system(Repository& repository, std::string const& dataset, std::uint64_t system_identifier,
                               std::string const& where, std::stop_token stop) {
    auto earlier = TRY(repository.points_of(dataset, stop));
    auto expected = fmt::format("{}", system_identifier);
    for (auto const& info : earlier.points) {
        auto found = info.point.attributes.find("system_identifier");
        if (found == info.point.attributes.end() || found->second == expected) continue;
        return another(where, system_identifier,
                       fmt::format("earlier points of '{}' are of system {}", dataset, found->second));
    }
    auto own = cluster_log(repository.keys(), dataset, system_identifier);
    auto const logs = TRY(list_wal(repository, dataset, stop));
    for (auto const& log : logs)
        if (log.stream != own)
            return another(where, system_identifier, fmt::format("the log of '{}' is another system's", dataset));
    return {};
}

}  // namespace holdfast::postgres
