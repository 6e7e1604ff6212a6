#include "datasets/locks.h"

#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"
#include "repo/config.h"
#include "repo/locks.h"

namespace holdfast {
namespace {

std::string lock_end(Time time) { return to_rfc3339(std::chrono::floor<std::chrono::seconds>(time)); }

// What is wrong with the locks of a repository; empty: nothing.
std::string lock_alarm(Workspace& workspace, std::string_view name, bool is_copy, Duration period, std::stop_token stop) {
    auto store = workspace.open_store_of(name, {.stop = stop});
    auto const remedy = is_copy ? "holdfast replicate locks it again" : "a backup locks what it needs again";
    // lock_again() and replicate() lock the configuration last.
    auto until = store ? (*store)->locked_until(ObjectKey(std::string(kConfigKey)), stop)
                       : Result<std::optional<Time>>(fail(std::move(store).error()));
    if (!until) return "its locks are not known: " + until.error().message;
    if (!*until) return "nothing in it is locked, although the plan says `lock`";
    auto left = **until - workspace.clock().now();
    if (left < Duration(0)) return fmt::format("its locks ended on {}: {}", lock_end(**until), remedy);
    if (left >= period / 4) return "";
    return fmt::format("its locks end on {}, in {}: {}", lock_end(**until), format_duration(left), remedy);
}

}  // namespace

std::optional<Time> keep_locked(Workspace& workspace, std::string_view repository_name, Repository& repository,
                                std::string_view dataset, std::set<PackId> const& packs, Warn const& warn,
                                std::stop_token stop) {
    auto period = workspace.lock_of(repository_name);
    if (!period) return {};
    auto now = workspace.clock().now();
    LockFile file(workspace.state(), repository.id());
    auto known = file.load();
    auto tag = dataset_tag(repository.keys(), dataset);
    std::optional<Time> until;
    if (auto before = known.find(tag); before != known.end()) {
        until = before->second;
        if (*until - now >= *period * 3 / 4) return until;
        if (*until < now) {
            warn(fmt::format("the locks of what '{}' needs ended on {}: until now, who may delete could have",
                             printable(dataset), lock_end(*until)));
        }
    }
    auto pass = lock_again(repository, packs, *period, stop);
    if (!pass) {
        warn(fmt::format("what '{}' needs could not be locked again, its locks {}: {}", printable(dataset),
                         until ? "end on " + lock_end(*until) : std::string("may end"), pass.error().message));
        return until;
    }
    known[tag] = pass->until;
    if (auto saved = file.save(known); !saved) {
        warn("that it was locked again could not be remembered: " + saved.error().message);
    }
    return pass->until;
}

std::vector<std::string> lock_alarms(Workspace& workspace, std::stop_token stop) {
    std::vector<std::string> alarms;
    if (!workspace.has_plan()) return alarms;
    for (auto const& repository : (*workspace.plan())->repositories) {
        auto period = workspace.lock_of(repository.name);
        if (!period) continue;
        auto alarm = lock_alarm(workspace, repository.name, !repository.copy_of.empty(), *period, stop);
        if (!alarm.empty()) alarms.push_back(fmt::format("repository '{}': {}", printable(repository.name), alarm));
    }
    return alarms;
}

}  // namespace holdfast
