#include "drill/isolated_runbook.h"

#include <algorithm>

#include <fmt/format.h>

#include "plan/placeholder.h"

namespace holdfast::drill {
namespace {

using plan::Step;
using plan::Value;

// A name of the plan as part of a path.
std::string path_part(std::string_view name) {
    std::string part;
    for (char c : name) {
        auto const plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                           c == '-' || c == '_';
        part += plain ? c : '_';
    }
    return part;
}

Result<void> collect_steps(Value const& value, std::set<std::string>& steps) {
    if (auto const* text = value.text()) {
        auto const found = TRY(plan::placeholders(*text));
        for (auto const& placeholder : found) {
            if (!placeholder.output.empty()) steps.insert(placeholder.name);
        }
    }
    for (auto const& item : value.items()) TRY(collect_steps(item, steps));
    for (auto const& member : value.members()) TRY(collect_steps(member.value, steps));
    return {};
}

// The steps without whose outputs this one cannot run.
Result<std::set<std::string>> used_by(Step const& step) {
    std::set<std::string> steps;
    TRY(collect_steps(step.arguments, steps));
    TRY(collect_steps(Value(step.when), steps));
    if (step.kind == "sql.check" && step.arguments.find("on")) steps.insert(step.arguments.member_text("on"));
    return steps;
}

class Isolator {
  public:
    Isolator(Plan const& plan, plan::Runbook const& runbook, std::map<std::string, std::string> const& parameters,
             std::filesystem::path const& place, std::function<bool(std::string const&)> const& runs)
        : plan_(plan), original_(runbook), parameters_(parameters), place_(place), runs_(runs) {}

    Result<IsolatedRunbook> isolate() {
        result_.runbook = original_;
        result_.runbook.steps = {};
        for (auto const& step : original_.steps) {
            if (auto const reason = why_outside(step); !reason.empty()) leave_out(step, reason, true);
        }
        TRY(leave_out_dependents());
        for (auto const& step : original_.steps) {
            if (!out_.contains(step.name)) result_.runbook.steps.add(inside(step));
        }
        return std::move(result_);
    }

  private:
    std::string why_outside(Step const& step) {
        if (is_restore(step.kind) || step.kind == "verify") return {};
        if (step.kind == "sql.check") {
            if (!step.arguments.member_text("on").empty()) return {};
            return "it asks a server that the plan names, not one that the drill restored";
        }
        if (step.safe_in_drills && runs_(step.kind)) {
            result_.safe_steps.insert(step.name);
            return {};
        }
        if (step.safe_in_drills) return "this version cannot run it";
        return "it reaches outside the isolated place";
    }

    void leave_out(Step const& step, std::string reason, bool harmless) {
        out_.insert(step.name);
        result_.left_out.push_back({step, std::move(reason), harmless});
    }

    Result<void> leave_out_dependents() {
        for (bool changed = true; changed;) {
            changed = false;
            for (auto const& step : original_.steps) {
                if (out_.contains(step.name)) continue;
                auto const used = TRY(used_by(step));
                auto const missing = std::ranges::find_if(used, [&](auto const& name) { return out_.contains(name); });
                if (missing == used.end()) continue;
                leave_out(step, fmt::format("it needs '{}', which is left out", *missing), false);
                changed = true;
            }
        }
        return {};
    }

    // What the step waits for once everything that is left out is taken from between.
    void wait_for(std::vector<std::string> const& names, std::vector<std::string>& after,
                  std::set<std::string>& seen) const {
        for (auto const& name : names) {
            if (!seen.insert(name).second) continue;
            auto const* step = original_.steps.find(name);
            if (step && out_.contains(name)) {
                wait_for(step->after, after, seen);
            } else {
                after.push_back(name);
            }
        }
    }

    Step inside(Step step) const {
        std::vector<std::string> after;
        std::set<std::string> seen;
        wait_for(step.after, after, seen);
        step.after = std::move(after);
        step.approve.reset();
        if (is_restore(step.kind)) {
            auto const* dataset = plan_.datasets.find(dataset_of(step, original_, parameters_));
            auto const database = step.kind == "postgres.restore" ||
                                  (dataset && dataset->kind == plan::DatasetKind::postgres);
            auto const parent = database ? databases_of(place_) : files_of(place_);
            step.arguments.set("into", Value((parent / path_part(step.name)).string()));
        }
        return step;
    }

    Plan const& plan_;
    plan::Runbook const& original_;
    std::map<std::string, std::string> const& parameters_;
    std::filesystem::path const& place_;
    std::function<bool(std::string const&)> const& runs_;
    std::set<std::string> out_;
    IsolatedRunbook result_;
};

}  // namespace

Result<IsolatedRunbook> isolate(Plan const& plan, plan::Runbook const& runbook,
                                std::map<std::string, std::string> const& parameters,
                                std::filesystem::path const& place,
                                std::function<bool(std::string const& kind)> const& runs) {
    return Isolator(plan, runbook, parameters, place, runs).isolate().within("runbook '" + runbook.name + "'");
}

std::filesystem::path files_of(std::filesystem::path const& place) { return place / "files"; }
std::filesystem::path databases_of(std::filesystem::path const& place) { return place / "databases"; }

bool is_restore(std::string const& kind) {
    return kind == "restore" || kind == "files.restore" || kind == "models.restore" || kind == "postgres.restore";
}

std::string dataset_of(Step const& step, plan::Runbook const& runbook,
                       std::map<std::string, std::string> const& parameters) {
    auto const lookup = [&](plan::Placeholder const& placeholder) -> Result<std::string> {
        auto const given = parameters.find(placeholder.name);
        if (placeholder.output.empty() && given != parameters.end()) return given->second;
        auto const* parameter = runbook.parameters.find(placeholder.name);
        if (placeholder.output.empty() && parameter && parameter->fallback) return *parameter->fallback;
        return fail(ErrorKind::not_found, "not known yet");
    };
    auto const filled = plan::fill(step.arguments.member_text("dataset"), lookup);
    return filled ? *filled : std::string();
}

}  // namespace holdfast::drill
