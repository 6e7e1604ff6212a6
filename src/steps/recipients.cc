#include "steps/recipients.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"

namespace holdfast::steps {
namespace {

class Collector {
  public:
    explicit Collector(Plan const& plan) : plan_(plan) {}

    void add(std::string const& name) {
        if (auto const* person = plan_.people.find(name)) return add(*person);
        if (auto const* team = plan_.teams.find(name)) return add(*team);
        unknown_.push_back("'" + printable(name) + "'");
    }

    Result<std::vector<Recipient>> finish() {
        if (!unknown_.empty()) {
            return fail(ErrorKind::usage, "neither people nor teams of the plan: " + join(unknown_, ", "));
        }
        if (!without_address_.empty()) {
            return fail(ErrorKind::usage, "no mail address: " + join(without_address_, ", "),
                        "give them one in the plan, under people or teams");
        }
        return std::move(found_);
    }

  private:
    void add(plan::Person const& person) {
        if (person.mail.empty()) return without(person.name);
        add_address(person.full_name.empty() ? person.name : person.full_name, person.mail);
    }
    void add(plan::Team const& team) {
        if (!team.mail.empty()) return add_address(team.name, team.mail);
        auto people = team.members;
        if (!team.lead.empty()) people.insert(people.begin(), team.lead);
        if (people.empty()) return without(team.name);
        for (auto const& name : people) {
            if (auto const* person = plan_.people.find(name)) {
                add(*person);
            } else {
                unknown_.push_back("'" + printable(name) + "'");
            }
        }
    }
    void add_address(std::string const& name, std::string const& address) {
        auto const same = [&](Recipient const& known) { return known.address == address; };
        if (std::ranges::none_of(found_, same)) found_.push_back({name, address});
    }
    void without(std::string const& name) { without_address_.push_back("'" + printable(name) + "'"); }

    Plan const& plan_;
    std::vector<Recipient> found_;
    std::vector<std::string> unknown_, without_address_;
};

}  // namespace

Result<std::vector<Recipient>> recipients(Plan const& plan, std::span<std::string const> names) {
    Collector collector(plan);
    for (auto const& name : names) collector.add(name);
    return collector.finish();
}

}  // namespace holdfast::steps
