#pragma once

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/text.h"
#include "plan/fault_sink.h"
#include "plan/plan.h"

namespace holdfast::plan {

template <typename T>
std::vector<std::string> names_of(Named<T> const& section) {
    std::vector<std::string> names;
    for (auto const& item : section)
        names.push_back(item.name);
    return names;
}

// "what waits for what", to look for circles in.
using Edges = std::map<std::string, std::vector<std::string>>;

// One circle, its first name again at its end: "a, b, a"; empty when there is none.
std::vector<std::string> find_circle(Edges const& edges);
// Everything that `from` reaches, without itself unless it is in a circle.
std::set<std::string> reachable(Edges const& edges, std::string const& from);

// The faults of references, at the paths of Positions.
class ReferenceChecker {
  public:
    ReferenceChecker(Plan const& plan, Positions const& positions, FaultSink& faults)
        : plan(plan), positions_(positions), faults_(faults) {}

    Plan const& plan;

    void fault(std::string const& path, std::string_view message, std::string hint = {}) {
        faults_.error(positions_.find(path), at(path, message), std::move(hint));
    }
    void warn(std::string const& path, std::string_view message, std::string hint = {}) {
        faults_.warning(positions_.find(path), at(path, message), std::move(hint));
    }

    // The name must be among these; an empty one is no reference.
    void name(std::string const& path, std::string const& name, std::string_view what,
              std::vector<std::string> const& known) {
        if (name.empty() || std::find(known.begin(), known.end(), name) != known.end())
            return;
        auto otherwise = known.empty() ? fmt::format("the plan has no {}", what)
                                       : fmt::format("known: {}", join(known, ", "));
        fault(path, fmt::format("there is no {} '{}'", what, name),
              did_you_mean(name, known, otherwise));
    }
    void names(std::string const& path, std::vector<std::string> const& list, std::string_view what,
               std::vector<std::string> const& known) {
        for (std::size_t i = 0; i < list.size(); ++i) {
            name(fmt::format("{}/{}", path, i), list[i], what, known);
        }
    }
    void no_circle(std::string const& path, Edges const& edges, std::string_view how) {
        auto circle = find_circle(edges);
        if (circle.empty())
            return;
        fault(path + "/" + circle.front(),
              fmt::format("{} in a circle: {}", how, join(circle, " -> ")));
    }

  private:
    static std::string at(std::string path, std::string_view message) {
        std::replace(path.begin(), path.end(), '/', '.');
        return fmt::format("{}: {}", path, message);
    }

    Positions const& positions_;
    FaultSink& faults_;
};

}  // namespace holdfast::plan
