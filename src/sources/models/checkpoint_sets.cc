#include "sources/models/checkpoint_sets.h"

#include <algorithm>
#include <array>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <set>
#include <sys/stat.h>

#include "base/text.h"
#include "base/units.h"
#include "formats/shard_index.h"
#include "os/file.h"
#include "sources/models/shard_set.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

// Who writes for longer than this without a byte has died.
constexpr Duration kAbandonedAfter = std::chrono::hours(1);
// The mark of a set that was written to within this time may yet come, and is looked for so often.
constexpr Duration kMarkAwaited = std::chrono::minutes(1), kMarkLookedForEvery = std::chrono::seconds(1);

// File systems give times that are behind the clock by as much as this.
constexpr Duration kTimesLag = std::chrono::seconds(1);

bool ends_with_any(std::string_view name, std::span<std::string_view const> endings) {
    return std::ranges::any_of(endings, [&](auto ending) { return name.ends_with(ending); });
}

bool is_model_name(std::string_view name) {
    static constexpr std::array<std::string_view, 9> kModels = {".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".onnx", ".gguf", ".npz",
                                                                ".npy"};
    return ends_with_any(name, kModels) || is_shard_index(name);
}

Time time_of(timespec const& time) {
    return Time(std::chrono::duration_cast<Duration>(std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec)));
}

// Files that the index names and that are not in the directory. An index that can't be read names none: the
// validation of the capture says what is wrong with it.
std::vector<std::string> missing_shards(std::string const& directory, std::string const& index) {
    std::vector<std::string> missing;
    auto bytes = read_file(directory + "/" + index, kShardIndexMax);
    auto parsed = bytes ? parse_shard_index(*bytes) : Result<ShardIndex>(fail(bytes.error()));
    if (!parsed) return missing;
    for (auto const& [shard, tensors] : parsed->shards) {
        std::error_code ignored;
        // Through links: hubs keep files elsewhere and link to them.
        if (!fs::exists(directory + "/" + shard, ignored)) missing.push_back(shard);
    }
    return missing;
}

}  // namespace

bool is_temporary_name(std::string_view name) {
    static constexpr std::array<std::string_view, 5> kTemporary = {".tmp", ".temp", ".part", ".partial", ".incomplete"};
    return ends_with_any(name, kTemporary);
}

CheckpointSets CheckpointSets::survey(std::vector<std::string> const& paths, PathFilter const& filter, CheckpointRules rules) {
    CheckpointSets survey;
    survey.rules_ = std::move(rules);
    auto const& done = survey.rules_.done;
    std::set<std::string> of_models;
    for (auto const& path : paths) {
        std::error_code error;
        for (fs::recursive_directory_iterator at(path, fs::directory_options::skip_permission_denied, error), end; !error && at != end;
             at.increment(error)) {
            struct stat status;
            if (::lstat(at->path().c_str(), &status) != 0) continue;
            auto const name = at->path().filename().native();
            bool const excluded = filter.excludes(at->path().native());
            if (S_ISDIR(status.st_mode) && excluded) at.disable_recursion_pending();
            if (!S_ISREG(status.st_mode)) continue;
            auto const directory = at->path().parent_path().native();
            bool const is_mark = !done.empty() && glob_match(done, name);
            if (is_mark) {
                auto& marked = survey.sets_[directory].marked;
                marked = std::max(marked.value_or(Time::min()), time_of(status.st_mtim));
            }
            if (is_temporary_name(name)) {
                if (!is_mark) survey.sets_[directory].being_written[name] = time_of(status.st_mtim);
            } else if (!excluded) {
                survey.sets_[directory].files[name] = {status.st_ino, static_cast<std::uint64_t>(status.st_size),
                                                       time_of(status.st_mtim), time_of(status.st_ctim)};
                if (is_model_name(name)) of_models.insert(directory);
            }
        }
    }
    std::erase_if(survey.sets_, [&](auto const& set) { return !of_models.contains(set.first); });
    return survey;
}

std::optional<Time> CheckpointSets::Set::last_write(Time now) const {
    std::optional<Time> last;
    for (auto const& [name, file] : files) {
        if (file.modified <= now) last = std::max(last.value_or(file.modified), file.modified);
    }
    return last;
}

std::optional<std::string> CheckpointSets::Set::unmarked(std::string const& done) const {
    if (done.empty()) return {};
    if (!marked) return fmt::format("no '{}' says that it is done", printable(done));
    for (auto const& [name, file] : files) {
        if (is_model_name(name) && file.modified > *marked)
            return fmt::format("'{}' was written after '{}' said that it is done", printable(name), printable(done));
    }
    return {};
}

Duration CheckpointSets::until_settled(Time now) const {
    Duration wait{0};
    for (auto const& [directory, set] : sets_) {
        auto const last = set.last_write(now);
        if (!last) continue;
        auto const still = now - *last;
        wait = std::max(wait, rules_.settle - still);
        if (still < kMarkAwaited && set.unmarked(rules_.done)) wait = std::max(wait, kMarkLookedForEvery);
    }
    return wait;
}

std::vector<std::string> CheckpointSets::changed_since(CheckpointSets const& before) const {
    std::vector<std::string> changed;
    for (auto const& [directory, set] : sets_) {
        auto old = before.sets_.find(directory);
        if (old == before.sets_.end() || old->second.files != set.files) changed.push_back(directory);
    }
    for (auto const& [directory, set] : before.sets_) {
        if (!sets_.contains(directory)) changed.push_back(directory);
    }
    return changed;
}

std::vector<std::string> CheckpointSets::changed_after(Time time) const {
    std::vector<std::string> changed;
    for (auto const& [directory, set] : sets_) {
        if (std::ranges::any_of(set.files, [&](auto const& file) { return file.second.changed + kTimesLag >= time; }))
            changed.push_back(directory);
    }
    return changed;
}

std::vector<Problem> CheckpointSets::faults(Time now) const {
    std::vector<Problem> faults;
    for (auto const& [directory, set] : sets_) {
        for (auto const& [name, written] : set.being_written) {
            if (now - written > kAbandonedAfter) continue;
            faults.push_back({directory, fmt::format("the checkpoint is not complete: '{}' is being written", printable(name))});
            break;
        }
        if (auto why = set.unmarked(rules_.done)) faults.push_back({directory, "the checkpoint is not complete: " + *why});
        if (auto last = set.last_write(now); last && now - *last < rules_.settle)
            faults.push_back({directory, fmt::format("the checkpoint may not be complete: it was written to less than {} ago",
                                                     format_duration(rules_.settle))});
        for (auto const& [name, file] : set.files) {
            if (!is_shard_index(name)) continue;
            auto missing = missing_shards(directory, name);
            if (missing.empty()) continue;
            auto more = missing.size() > 1 ? fmt::format(" (and {} more)", missing.size() - 1) : "";
            faults.push_back({directory, fmt::format("the checkpoint is not complete: '{}' names '{}', which is missing{}", printable(name),
                                                     printable(missing.front()), more)});
        }
    }
    return faults;
}

}  // namespace holdfast
