#include "plan/lint.h"

#include <algorithm>
#include <cctype>
#include <set>

#include "base/units.h"
#include "plan/placeholder.h"
#include "plan/reference_checker.h"
#include "plan/references.h"
#include "plan/step_kinds.h"

namespace holdfast::plan {
namespace {

class Lint : ReferenceChecker {
  public:
    Lint(LoadedPlan const& loaded, LintOptions const& options, FaultSink& faults)
        : ReferenceChecker(loaded.plan, loaded.positions, faults), options_(options) {}

    void run() {
        tiers();
        dependencies();
        schedules();
        copies();
        retention();
        rehearsals();
        provable_drills();
        engines();
        incidents();
        scenarios();
        runbooks();
        contacts();
        channels();
        review();
    }

  private:
    // What belongs to no tier has no objective: nobody could say whether it is protected well
    // enough.
    void tiers() {
        for (auto const& dataset : plan.datasets) {
            if (dataset.tier.empty())
                unmapped("datasets/" + dataset.name, "objectives.data");
        }
        for (auto const& service : plan.services) {
            if (service.tier.empty())
                unmapped("services/" + service.name, "objectives.services");
        }
        if (plan.datasets.empty())
            warn("datasets", "the plan protects nothing");
    }
    void unmapped(std::string const& path, std::string_view objectives) {
        fault(path, "belongs to no tier", fmt::format("add tier: one of {}", objectives));
    }

    // The time within which something that a service needs is back; nothing when the plan does not
    // say.
    std::optional<Duration> recovery_time(std::string const& name) const {
        auto const* service = plan.services.find(name);
        auto const* dataset = plan.datasets.find(name);
        auto const& tier = service ? service->tier : dataset ? dataset->tier : std::string();
        auto const* objective = plan.objectives.services.find(tier);
        return objective ? std::optional(objective->limit) : std::nullopt;
    }

    void dependencies() {
        for (auto const& service : plan.services) {
            auto own = plan.rto(service);
            for (std::size_t i = 0; own && i < service.needs.size(); ++i) {
                auto needed = recovery_time(service.needs[i]);
                if (!needed || *needed <= *own)
                    continue;
                fault(fmt::format("services/{}/needs/{}", service.name, i),
                      fmt::format("'{}' may take {} to recover, longer than the {} of '{}'",
                                  service.needs[i], format_duration(*needed), format_duration(*own),
                                  service.name),
                      "give it the tier of what needs it");
            }
        }
    }

    // A point is at most one interval old when the next one begins, and is only worth something
    // when that one has arrived.
    void schedules() {
        for (auto const& dataset : plan.datasets) {
            auto objective = plan.rpo(dataset);
            auto interval = plan.interval(dataset);
            if (dataset.settle && interval && *dataset.settle >= *interval) {
                warn(fmt::format("datasets/{}/settle", dataset.name),
                     fmt::format("a checkpoint may have to stand still for {}, and a point is made every {}",
                                 format_duration(*dataset.settle), format_duration(*interval)),
                     "a few seconds are enough for most trainers; `done` needs none");
            }
            if (!objective || !interval || is_continuous(dataset))
                continue;
            auto oldest =
                std::chrono::duration_cast<Duration>(*interval * (1 + options_.upload_margin));
            if (oldest <= *objective)
                continue;
            auto longest =
                std::chrono::duration_cast<Duration>(*objective / (1 + options_.upload_margin));
            auto hint = fmt::format("at most every {}", format_duration(longest));
            if (dataset.kind == DatasetKind::postgres)
                hint += ", or wal: stream";
            fault(fmt::format("datasets/{}/every", dataset.name),
                  fmt::format("a point every {} loses up to {} with its upload, more than the {} "
                              "of tier '{}'",
                              format_duration(*interval), format_duration(oldest),
                              format_duration(*objective), dataset.tier),
                  hint);
        }
    }
    static bool is_continuous(Dataset const& dataset) {
        return dataset.kind == DatasetKind::postgres && dataset.wal == WalMode::stream;
    }

    // When the primary is lost with all that it holds, the copy's lag is lost too.
    void copies() {
        std::optional<Duration> strictest;
        for (auto const& dataset : plan.datasets) {
            if (auto objective = plan.rpo(dataset))
                strictest = std::min(strictest.value_or(*objective), *objective);
        }
        for (auto const& repository : plan.repositories) {
            if (strictest && repository.lag && *repository.lag > *strictest) {
                warn(fmt::format("repositories/{}/lag", repository.name),
                     fmt::format("a copy that is {} behind cannot meet an objective of {}",
                                 format_duration(*repository.lag), format_duration(*strictest)));
            }
        }
        if (!plan.repositories.empty() || plan.datasets.empty())
            return;
        warn("datasets", "the plan names no repository to keep them in",
             "add a section repositories");
    }

    void retention() {
        for (auto const& rule : plan.retention) {
            if (!rule.keeps_something())
                fault("retention/" + rule.name, "keeps nothing", "say how many: daily: 7");
        }
    }

    // The datasets that the steps of a drill's runbook bring back, with the drill's parameters.
    std::set<std::string> restored_by(Drill const& drill, std::string const& name) const {
        std::set<std::string> datasets;
        auto const* runbook = plan.runbooks.find(name);
        if (runbook == nullptr)
            return datasets;
        auto value = [&](Placeholder const& placeholder) -> Result<std::string> {
            if (auto const* given = drill.parameters.find(placeholder.name))
                return given->value;
            auto const* parameter = runbook->parameters.find(placeholder.name);
            return parameter ? parameter->fallback.value_or("") : "";
        };
        for (auto const& step : runbook->steps) {
            if (!step.kind.ends_with("restore"))
                continue;
            if (auto dataset = fill(step.arguments.member_text("dataset"), value))
                datasets.insert(*dataset);
        }
        return datasets;
    }
    std::set<std::string> restored_by(Drill const& drill) const {
        std::set<std::string> datasets;
        for (auto const& runbook : drill.run)
            datasets.merge(restored_by(drill, runbook));
        return datasets;
    }

    void rehearsals() {
        std::set<std::string> rehearsed;
        for (auto const& drill : plan.drills) {
            rehearsed.merge(restored_by(drill));
            for (auto const& check : drill.checks)
                rehearsed.insert(check.dataset);
            if (!drill.every)
                warn("drills/" + drill.name, "is never due", "say how often: every: month");
        }
        for (auto const& dataset : plan.datasets) {
            if (rehearsed.contains(dataset.name) || !has_engine(dataset))
                continue;
            warn("datasets/" + dataset.name, "no drill restores or checks it",
                 "a backup that was never restored is a hope: add it to a drill");
        }
    }

    // What no runbook of a drill brings back, its checks cannot look at: such a drill is never
    // proven, whatever is done.
    void provable_drills() {
        for (auto const& drill : plan.drills) {
            auto restored = restored_by(drill);
            for (std::size_t i = 0; i < drill.checks.size(); ++i) {
                auto const& name = drill.checks[i].dataset;
                auto const* dataset = plan.datasets.find(name);
                if (dataset == nullptr || !has_engine(*dataset) || restored.contains(name))
                    continue;
                warn(fmt::format("drills/{}/checks/{}", drill.name, i),
                     fmt::format("none of its runbooks restores '{}', so it can never be proven",
                                 name),
                     fmt::format("take the check out, or add a runbook that restores '{}' to run",
                                 name));
            }
        }
    }

    static bool has_engine(Dataset const& dataset) {
        return dataset.kind == DatasetKind::files || dataset.kind == DatasetKind::models ||
               dataset.kind == DatasetKind::postgres;
    }

    // What the plan asks of datasets and repositories and this version does not do. It counts for
    // the plan's objectives (the plan is right), but nobody may take it for protected today.
    void engines() {
        for (auto const& dataset : plan.datasets) {
            auto path = "datasets/" + dataset.name;
            if (!has_engine(dataset)) {
                warn(path, "this version cannot back it up: it is not protected",
                     "protect it by other means, until it can");
            }
            if (dataset.watch && dataset.kind == DatasetKind::files) {
                warn(path + "/watch", "this version watches models alone: points of it are made as often as `every` says",
                     "make `every` shorter, until it can");
            }
        }
        for (auto const& repository : plan.repositories) {
            if (repository.lock && !repository.url.starts_with("s3://"))
                warn("repositories/" + repository.name + "/lock",
                     "only a bucket with Object Lock can lock objects: this is none, and is refused",
                     "take `lock` out, or take an s3:// URL");
            else if (repository.lock && !repository.copy_of.empty())
                warn("repositories/" + repository.name + "/lock",
                     "this version cannot lock again what it copied, when newer points need it",
                     "make it longer than any point is kept, until it can");
        }
    }

    // The same of the incident and of what it measures.
    void incidents() {
        auto const* hint = "keep it on paper, until it can";
        if (!plan.communications.empty())
            warn("communications", "this version cannot keep these deadlines: nobody is told by itself", hint);
        if (!plan.after.empty())
            warn("after", "this version cannot follow what is due after a recovery", hint);
        if (plan.limits.memory || plan.limits.upload || plan.limits.download)
            warn("limits", "this version cannot keep to them", "limit the process from outside, until it can");
        for (auto const& service : plan.services) {
            if (service.probe)
                warn("services/" + service.name + "/probe", "this version cannot probe services: whether it works is not measured",
                     "check it by a step or a drill's check that queries its database");
        }
        for (auto const& drill : plan.drills) {
            if (drill.communications)
                warn("drills/" + drill.name + "/communications", "this version cannot rehearse the notifications", hint);
        }
    }

    void scenarios() {
        for (auto const& scenario : plan.scenarios) {
            if (scenario.runbook.empty())
                warn("scenarios/" + scenario.name, "has no runbook");
        }
    }

    // Steps of this version's future are told before a disaster, not in it.
    void runbooks() {
        for (auto const& runbook : plan.runbooks) {
            std::vector<std::string> missing;
            for (auto const& step : runbook.steps) {
                auto const* kind = find_step_kind(step.kind);
                bool listed = std::find(missing.begin(), missing.end(), step.kind) != missing.end();
                if (kind && !kind->available && !listed)
                    missing.push_back(step.kind);
            }
            if (missing.empty())
                continue;
            warn("runbooks/" + runbook.name, "this version cannot run " + join(missing, ", "),
                 "write down how to do these steps by hand, until it can");
        }
    }

    static bool can_be_dialled(std::string_view phone) {
        auto digits = std::count_if(phone.begin(), phone.end(),
                                    [](unsigned char c) { return std::isdigit(c); });
        return digits >= 3 &&
               phone.find_first_not_of("0123456789 -./()", phone.starts_with('+') ? 1 : 0) ==
                   std::string_view::npos;
    }
    void dialled(std::string const& path, std::string const& phone) {
        if (phone.empty() || can_be_dialled(phone))
            return;
        fault(path + "/phone", fmt::format("'{}' cannot be dialled", phone),
              "digits only, with the country code: +1 555 0100");
    }

    void contacts() {
        for (auto const& person : plan.people) {
            auto path = "people/" + person.name;
            dialled(path, person.phone);
            if (person.phone.empty() && person.mail.empty())
                warn(path, "can neither be called nor written to");
            if (person.delegate.empty())
                warn(path, "nobody stands in for them", "add delegate");
        }
        for (auto const& team : plan.teams) {
            auto path = "teams/" + team.name;
            dialled(path, team.phone);
            if (team.lead.empty() && team.members.empty() && team.mail.empty() &&
                team.phone.empty()) {
                warn(path, "has nobody in it and no address");
            }
        }
        for (auto const& vendor : plan.vendors) {
            dialled("vendors/" + vendor.name, vendor.phone);
            if (vendor.phone.empty() && vendor.mail.empty()) {
                warn("vendors/" + vendor.name, "can neither be called nor written to");
            }
        }
    }

    // Messages that could not be sent, or not be written.
    void channels() {
        auto templates = names_of(plan.templates);
        for (auto name : kBuiltInTemplates)
            templates.emplace_back(name);
        for (auto const& communication : plan.communications) {
            auto path = "communications/" + communication.name;
            if (std::find(templates.begin(), templates.end(), communication.message) ==
                templates.end()) {
                warn(path + "/template",
                     fmt::format("there is no template '{}'", communication.message),
                     did_you_mean(communication.message, templates,
                                  "known: " + join(templates, ", ")));
            }
            auto by = communication.by;
            if (by.empty())
                by.push_back("mail");
            for (std::size_t i = 0; i < by.size(); ++i) {
                if (auto missing = missing_setting(by[i]); !missing.empty()) {
                    warn(fmt::format("{}/by/{}", path, i),
                         fmt::format("'{}' cannot be used yet", by[i]),
                         fmt::format("the plan does not say how: add {}", missing));
                }
            }
        }
    }
    std::string missing_setting(std::string_view channel) const {
        if (channel == "mail" && !plan.notify.mail)
            return "notify.mail";
        if (channel == "status-page" && !plan.notify.status_page)
            return "notify.status_page";
        if (channel.starts_with("webhook:")) {
            auto name = channel.substr(channel.find(':') + 1);
            if (!plan.notify.webhooks.contains(name))
                return fmt::format("notify.webhooks.{}", name);
        }
        return {};
    }

    void review() {
        if (!plan.review || !plan.review->every || !options_.now)
            return;
        auto last = review_time(*plan.review);
        if (!last)
            return;
        auto age = *options_.now - *last;
        if (age <= *plan.review->every)
            return;
        warn("review/last",
             fmt::format("the review is overdue: the last was {} ago, and one is due every {}",
                         format_duration(age), format_duration(*plan.review->every)));
    }

    LintOptions const& options_;
};

}  // namespace

std::vector<Fault> lint(LoadedPlan const& loaded, LintOptions const& options) {
    FaultSink faults(loaded.plan.file);
    Lint(loaded, options, faults).run();
    return std::move(faults).take();
}

}  // namespace holdfast::plan
