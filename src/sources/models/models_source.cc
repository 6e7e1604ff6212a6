#include "sources/models/models_source.h"

#include <algorithm>
#include <fcntl.h>
#include <fmt/format.h>

#include "archive/back_up.h"
#include "archive/path_filter.h"
#include "base/text.h"
#include "os/fd.h"
#include "sources/models/model_file.h"
#include "sources/models/shard_set.h"

namespace holdfast {
namespace {

// What a file that can't be opened or read is reported as.
Finding unreadable(std::string object, Error const& error) {
    return {.object = std::move(object), .verdict = Finding::Verdict::not_verified, .detail = error.message};
}

void inspect(std::string const& path, std::string const& object, std::vector<Finding>& findings) {
    if (is_shard_index(path)) {
        auto set = inspect_shard_set(path, object);
        findings.push_back(set ? std::move(*set) : unreadable(object, set.error()));
        return;
    }
    Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!file) {
        findings.push_back(unreadable(object, errno_error("open", errno)));
        return;
    }
    auto found = inspect_model_file(object, file.get());
    if (!found) {
        findings.push_back(unreadable(object, found.error()));
    } else if (*found) {
        findings.push_back(std::move(**found));
    }
}

// A checkpoint is captured once it has settled, but a training that never pauses is not waited for any longer than this, or
// than twice the time in which it would settle.
constexpr Duration kSettleWaitMax = std::chrono::minutes(1);
// A capture in which a checkpoint changed is done again, unless it took so long that its next point may as well do it.
constexpr int kCapturesMax = 3;
constexpr Duration kRepeatedWithin = std::chrono::minutes(1);
// A line for each checkpoint set that is not whole in the point: its printable directory, a tab, why.
constexpr char kNotWholeAttribute[] = "sets-not-whole";

class ModelsSource : public Source {
  public:
    explicit ModelsSource(ModelsOptions options) : options_(std::move(options)) {}

    Result<Capture> capture(CaptureContext const& context) override {
        dataset_ = context.dataset;
        BackUpOptions options{.paths = options_.paths,
                              .exclude = options_.exclude,
                              .forbidden = context.forbidden,
                              .layout = [](std::string const& path, int fd) {
                                  return layout_of_model_file(path, fd);
                              }};
        auto& clock = context.repository.world().clock;
        Capture capture;
        capture.point.started = clock.now();
        auto look = [&](std::string const& path, Entry const& entry) {
            if (entry.type == EntryType::file) inspect(path, path, capture.findings);
        };
        PathFilter const filter(options_.exclude);
        auto const begun = clock.elapsed();
        for (int attempt = 1;; ++attempt) {
            auto before = TRY(settled_sets(filter, clock, context.stop));
            capture.findings.clear();
            auto result = TRY(back_up_tree(context.repository, context.ingest, context.dataset, options,
                                           context.progress, look, context.stop));
            auto after = CheckpointSets::survey(options_.paths, filter, options_.checkpoints);
            auto changed = after.changed_since(before);
            // Read again, where files of a set may be of two moments: what is stored already is not stored again.
            if (!changed.empty() && attempt < kCapturesMax && clock.elapsed() - begun < kRepeatedWithin) continue;
            auto faults = after.faults(clock.now());
            for (auto const& directory : changed) {
                // One reason is enough.
                if (std::ranges::any_of(faults, [&](auto const& fault) { return fault.path == directory; })) continue;
                faults.push_back({directory, "the checkpoint changed while it was captured: its files are of several moments"});
            }
            capture.take(std::move(result), clock.now());
            note_not_whole(std::move(faults), capture);
            break;
        }
        note_selection(capture.point, options_.paths, options_.exclude);
        return capture;
    }

    Result<void> committed(Repository& repository) override {
        return commit_capture_cache(repository, dataset_);
    }

    Result<RestoreResult> restore(RestoreContext const& context) override {
        auto options = TRY(with_exclusions(context));
        auto result = TRY(restore_tree(context.fetch, context.point.tree, context.path, context.target, options,
                                       with_totals(context), context.stop));
        TRY(tell_not_whole(context, result));
        return result;
    }

    Result<std::vector<Finding>> validate(std::filesystem::path const& target, std::stop_token stop) override {
        std::vector<Finding> findings;
        std::error_code error;
        auto options = std::filesystem::directory_options::skip_permission_denied;
        for (std::filesystem::recursive_directory_iterator at(target, options, error), end; at != end;
             at.increment(error)) {
            if (stop.stop_requested()) return fail(ErrorKind::cancelled, "stopped");
            if (error) break;
            std::error_code ignored;
            if (at->is_symlink(ignored) || !at->is_regular_file(ignored)) continue;
            inspect(at->path(), at->path().lexically_relative(target), findings);
        }
        if (error) {
            return fail(ErrorKind::io, "walk '" + printable(target.native()) + "': " + error.message());
        }
        return findings;
    }

  private:
    // The sets, once they hold still or were waited for long enough.
    Result<CheckpointSets> settled_sets(PathFilter const& filter, Clock& clock, std::stop_token stop) const {
        auto const wait_max = std::max(kSettleWaitMax, 2 * options_.checkpoints.settle);
        for (auto const begun = clock.elapsed();;) {
            auto sets = CheckpointSets::survey(options_.paths, filter, options_.checkpoints);
            auto const wait = std::min(sets.until_settled(clock.now()), begun + wait_max - clock.elapsed());
            if (wait <= Duration(0)) return sets;
            if (!clock.sleep(wait, stop)) return fail(ErrorKind::cancelled, "stopped");
        }
    }

    // They are captured all the same, because they may be all that is left tomorrow, and never called whole: the point is
    // partial, and remembers why.
    static void note_not_whole(std::vector<Problem> faults, Capture& capture) {
        std::vector<std::string> lines;
        for (auto& fault : faults) {
            lines.push_back(printable(fault.path) + "\t" + fault.message);
            capture.problems.push_back(std::move(fault));
        }
        capture.problem_count += lines.size();
        capture.point.unreadable = capture.problem_count;
        if (!lines.empty()) capture.point.attributes[kNotWholeAttribute] = join(lines, "\n");
    }

    // Sets in what was restored that the capture did not call whole.
    static Result<void> tell_not_whole(RestoreContext const& context, RestoreResult& result) {
        auto noted = context.point.attributes.find(kNotWholeAttribute);
        if (noted == context.point.attributes.end()) return {};
        auto const root = std::filesystem::path(context.point.root);
        auto const restored = context.path.empty() ? root : root / context.path;
        for (auto const& line : split(noted->second, '\n')) {
            auto tab = line.find('\t');
            if (tab == std::string::npos) return fail(ErrorKind::damaged, fmt::format("the point's attribute '{}'", kNotWholeAttribute));
            auto directory = TRY(from_printable(line.substr(0, tab)).within("the point's attribute 'sets-not-whole'"));
            auto below = std::filesystem::path(directory).lexically_relative(restored);
            if (below.empty() || *below.begin() == "..") continue;
            ++result.problem_count;
            result.problems.push_back({below, "as it was captured: " + line.substr(tab + 1)});
        }
        return {};
    }

    ModelsOptions options_;
    std::string dataset_;
};

}  // namespace

std::unique_ptr<Source> make_models_source(ModelsOptions options) {
    return std::make_unique<ModelsSource>(std::move(options));
}

}  // namespace holdfast
