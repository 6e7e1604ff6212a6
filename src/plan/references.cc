#include "plan/references.h"

#include <algorithm>

#include "base/text.h"
#include "base/time.h"
#include "plan/dataset_spec.h"
#include "plan/reference_checker.h"

namespace holdfast::plan {
namespace {

enum class State { open, done };

// Depth first; `trail` is the way to `name`, and becomes the circle when there is one.
bool walk(Edges const& edges, std::string const& name, std::map<std::string, State>& states,
          std::vector<std::string>& trail) {
    auto seen = states.find(name);
    if (seen != states.end() && seen->second == State::done)
        return false;
    trail.push_back(name);
    if (seen != states.end()) {
        trail.erase(trail.begin(), std::find(trail.begin(), trail.end(), name));
        return true;
    }
    states[name] = State::open;
    if (auto found = edges.find(name); found != edges.end()) {
        for (auto const& next : found->second) {
            if (walk(edges, next, states, trail))
                return true;
        }
    }
    states[name] = State::done;
    trail.pop_back();
    return false;
}

std::vector<std::string> together(std::vector<std::string> a, std::vector<std::string> const& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

// The names of the options that follow the question mark of an object store's URL.
std::vector<std::string> options_of(std::string_view url) {
    std::vector<std::string> names;
    auto query = url.find('?');
    if (!url.starts_with("s3://") || query == std::string_view::npos)
        return names;
    for (auto const& option : split(url.substr(query + 1), '&'))
        names.push_back(option.substr(0, option.find('=')));
    return names;
}

void check_url(ReferenceChecker& check, std::string const& path, std::string const& url) {
    static std::vector<std::string> const known = {"region", "endpoint", "style", "ca", "profile"};
    for (auto const& name : options_of(url)) {
        bool secret = false;
        for (auto word : {"secret", "password", "token", "access_key", "access-key", "accesskey"})
            secret = secret || name.find(word) != std::string::npos;
        if (secret) {
            check.fault(path, "credentials stand in the URL",
                        "give them by credentials:, the environment or a credentials file");
        } else if (std::ranges::find(known, name) == known.end()) {
            auto near = nearest(name, known);
            check.fault(path, "an object store has no option '" + printable(name) + "'",
                        near.empty() ? "it has " + join(known, ", ")
                                     : "did you mean '" + near + "'?");
        }
    }
}

void check_repositories(ReferenceChecker& check) {
    std::map<std::string, std::string> urls;
    Edges copies;
    auto known = names_of(check.plan.repositories);
    for (auto const& repository : check.plan.repositories) {
        auto path = "repositories/" + repository.name;
        check.name(path + "/copy_of", repository.copy_of, "repository", known);
        copies[repository.name] = {};
        if (!repository.copy_of.empty())
            copies[repository.name] = {repository.copy_of};
        if (repository.lag && repository.copy_of.empty()) {
            check.fault(path + "/lag", "only a copy can lag behind", "say of what: copy_of");
        }
        if (repository.parity && !(repository.parity->fraction >= 0 && repository.parity->fraction <= 0.25)) {
            check.fault(path + "/parity", "must be between 0% and 25%", "0% makes none");
        }
        check_url(check, path + "/url", repository.url);
        auto [first, fresh] = urls.emplace(repository.url, repository.name);
        if (!fresh && !repository.url.empty()) {
            check.fault(path + "/url", fmt::format("is the same place as '{}'", first->second));
        }
    }
    check.no_circle("repositories", copies, "copies");
}

// Which keys mean something for which kind of dataset.
void check_kind(ReferenceChecker& check, Dataset const& dataset) {
    auto path = "datasets/" + dataset.name;
    using enum DatasetKind;
    bool tree = dataset.kind == files || dataset.kind == models;
    struct Use {
        std::string_view key;
        bool given, meaningful, needed;
    };
    Use const uses[] = {
        {"paths", !dataset.paths.empty(), tree, tree},
        {"exclude", !dataset.exclude.empty(), tree, false},
        {"watch", dataset.watch, tree, false},
        {"settle", dataset.settle.has_value(), dataset.kind == models, false},
        {"done", !dataset.done.empty(), dataset.kind == models, false},
        {"connect", !dataset.connect.empty(), dataset.kind == postgres, dataset.kind == postgres},
        {"wal", dataset.wal != WalMode::none, dataset.kind == postgres, false},
        {"mode", dataset.mode != PostgresMode::physical, dataset.kind == postgres, false},
        {"context", !dataset.context.empty(), dataset.kind == kubernetes, false},
        {"namespaces", !dataset.namespaces.empty(), dataset.kind == kubernetes, false},
        {"driver", !dataset.driver.empty(), dataset.kind == hardware, dataset.kind == hardware},
        {"hosts", !dataset.hosts.empty(), dataset.kind == hardware, false},
    };
    for (auto const& use : uses) {
        if (use.given && !use.meaningful) {
            check.fault(
                fmt::format("{}/{}", path, use.key),
                fmt::format("means nothing for a dataset of kind {}", to_text(dataset.kind)));
        }
        if (use.needed && !use.given) {
            check.fault(path, fmt::format("a dataset of kind {} needs '{}'", to_text(dataset.kind),
                                          use.key));
        }
    }
}

void check_pattern(ReferenceChecker& check, std::string const& path, std::string const& pattern) {
    auto open = pattern.find('[');
    if (open != std::string::npos && pattern.find(']', open + 2) == std::string::npos) {
        check.fault(path, fmt::format("'{}' has a '[' without a ']'", pattern),
                    "a literal one is written \\[");
    }
}

void check_patterns(ReferenceChecker& check, std::string const& path,
                    std::vector<std::string> const& patterns) {
    for (std::size_t i = 0; i < patterns.size(); ++i)
        check_pattern(check, fmt::format("{}/{}", path, i), patterns[i]);
}

void check_done(ReferenceChecker& check, std::string const& path, std::string const& pattern) {
    check_pattern(check, path, pattern);
    if (pattern.find('/') != std::string::npos) {
        check.fault(path, fmt::format("'{}' is a path: the file lies in the checkpoint's own directory", pattern),
                    "write its name alone");
    }
}

void check_datasets(ReferenceChecker& check) {
    auto tiers = names_of(check.plan.objectives.data);
    auto repositories = names_of(check.plan.repositories);
    for (auto const& dataset : check.plan.datasets) {
        auto path = "datasets/" + dataset.name;
        check.name(path + "/tier", dataset.tier, "tier in objectives.data", tiers);
        check.names(path + "/repository", dataset.repositories, "repository", repositories);
        check_kind(check, dataset);
        check_patterns(check, path + "/exclude", dataset.exclude);
        check_patterns(check, path + "/namespaces", dataset.namespaces);
        check_done(check, path + "/done", dataset.done);
        if (dataset.wal == WalMode::stream && dataset.mode == PostgresMode::logical) {
            check.fault(path + "/wal", "the log only continues a physical backup",
                        "take `mode: logical` out, or `wal: stream`");
        }
        if (dataset.connect.empty())
            continue;
        if (auto identity = postgres_identity(dataset.connect); !identity) {
            check.fault(path + "/connect", identity.error().message, identity.error().hint);
        }
    }
    for (auto const& retention : check.plan.retention) {
        check.name("retention/" + retention.name, retention.name, "tier in objectives.data", tiers);
    }
}

void check_services(ReferenceChecker& check) {
    auto tiers = names_of(check.plan.objectives.services);
    auto needed = together(names_of(check.plan.datasets), names_of(check.plan.services));
    Edges needs;
    for (auto const& service : check.plan.services) {
        auto path = "services/" + service.name;
        check.name(path + "/tier", service.tier, "tier in objectives.services", tiers);
        check.names(path + "/needs", service.needs, "service or dataset", needed);
        needs[service.name] = service.needs;
        if (check.plan.datasets.contains(service.name)) {
            check.fault(path, "a dataset has the same name", "`needs` could not tell them apart");
        }
    }
    check.no_circle("services", needs, "need each other");
    for (auto const& scenario : check.plan.scenarios) {
        check.name(fmt::format("scenarios/{}/runbook", scenario.name), scenario.runbook, "runbook",
                   names_of(check.plan.runbooks));
    }
}

void check_review(ReferenceChecker& check) {
    if (!check.plan.review)
        return;
    auto const& review = *check.plan.review;
    check.name("review/owner", review.owner, "person", names_of(check.plan.people));
    if (!review.last.empty() && !review_time(review)) {
        check.fault("review/last", fmt::format("'{}' is not in the calendar", review.last));
    }
}

void check_people(ReferenceChecker& check) {
    auto people = names_of(check.plan.people);
    auto anybody = together(people, names_of(check.plan.teams));
    for (auto const& person : check.plan.people) {
        auto path = "people/" + person.name;
        check.name(path + "/delegate", person.delegate, "person", people);
        if (person.delegate == person.name)
            check.fault(path + "/delegate", "nobody stands in for oneself");
    }
    for (auto const& team : check.plan.teams) {
        auto path = "teams/" + team.name;
        check.name(path + "/lead", team.lead, "person", people);
        check.names(path + "/members", team.members, "person", people);
        if (check.plan.people.contains(team.name)) {
            check.fault(path, "a person has the same name", "messages could not tell them apart");
        }
    }
    for (auto const& communication : check.plan.communications) {
        auto path = "communications/" + communication.name;
        check.names(path + "/to", communication.to, "person or team", anybody);
    }
    check.names("notify/alarms", check.plan.notify.alarms, "person or team", anybody);
    for (auto const& after : check.plan.after) {
        for (std::size_t i = 0; i < after.tasks.size(); ++i) {
            check.name(fmt::format("after/{}/{}/owner", after.name, i), after.tasks[i].owner,
                       "person or team", anybody);
        }
    }
}

}  // namespace

std::vector<std::string> find_circle(Edges const& edges) {
    std::map<std::string, State> states;
    for (auto const& [name, next] : edges) {
        std::vector<std::string> trail;
        if (walk(edges, name, states, trail))
            return trail;
    }
    return {};
}

std::set<std::string> reachable(Edges const& edges, std::string const& from) {
    std::set<std::string> found;
    std::vector<std::string> rest = {from};
    while (!rest.empty()) {
        auto name = std::move(rest.back());
        rest.pop_back();
        auto next = edges.find(name);
        if (next == edges.end())
            continue;
        for (auto const& other : next->second) {
            if (found.insert(other).second)
                rest.push_back(other);
        }
    }
    return found;
}

std::optional<Time> review_time(Review const& review) {
    auto text = review.last.size() == 10 ? review.last + "T00:00:00Z" : review.last;
    auto time = parse_rfc3339(text);
    return time ? std::optional(*time) : std::nullopt;
}

void check_references(Plan const& plan, Positions const& positions, FaultSink& faults) {
    ReferenceChecker check(plan, positions, faults);
    check_review(check);
    check_repositories(check);
    check_datasets(check);
    check_services(check);
    check_people(check);
    check_runbooks(plan, positions, faults);
}

}  // namespace holdfast::plan
