#include "plan/plan.h"

#include <algorithm>

#include "base/text.h"
#include "base/units.h"
#include "plan/describe.h"

namespace holdfast::plan {
namespace {

std::string_view word(auto value) {
    return kWords<decltype(value)>[static_cast<std::size_t>(value)];
}

std::optional<Duration> limit(Named<Objective> const& objectives, std::string const& tier) {
    auto const* objective = objectives.find(tier);
    return objective ? std::optional(objective->limit) : std::nullopt;
}

std::string trimmed(std::string_view text) {
    auto first = text.find_first_not_of(" []");
    auto last = text.find_last_not_of(" []");
    return first == std::string_view::npos ? "" : std::string(text.substr(first, last - first + 1));
}

}  // namespace

std::optional<Duration> Plan::rpo(Dataset const& dataset) const {
    return limit(objectives.data, dataset.tier);
}

std::optional<Duration> Plan::rto(Service const& service) const {
    return limit(objectives.services, service.tier);
}

std::optional<Duration> Plan::interval(Dataset const& dataset) const {
    if (dataset.every)
        return dataset.every;
    auto objective = rpo(dataset);
    return objective ? std::optional(*objective / 2) : std::nullopt;
}

std::vector<std::string> Plan::targets(Dataset const& dataset) const {
    if (!dataset.repositories.empty())
        return dataset.repositories;
    std::vector<std::string> targets;
    for (auto const& repository : repositories) {
        if (repository.copy_of.empty())
            targets.push_back(repository.name);
    }
    return targets;
}

std::string_view to_text(DatasetKind kind) {
    return word(kind);
}
std::string_view to_text(WalMode mode) {
    return word(mode);
}
std::string_view to_text(PostgresMode mode) {
    return word(mode);
}
std::string_view to_text(Probability probability) {
    return word(probability);
}
std::string_view to_text(OnFailure on_failure) {
    return word(on_failure);
}
std::string_view to_text(Tls tls) {
    return word(tls);
}

Approval parse_quorum(std::string_view text) {
    Approval approval;
    if (auto of = text.find(" of "); of != std::string_view::npos) {
        approval.count = static_cast<std::uint32_t>(std::stoul(std::string(text.substr(0, of))));
        text.remove_prefix(of + 4);
    }
    for (auto const& team : split(text, ','))
        approval.teams.push_back(trimmed(team));
    return approval;
}

}  // namespace holdfast::plan
