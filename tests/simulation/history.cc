#include "history.h"

#include <fmt/format.h>

#include <map>
#include <set>

#include "repo/prune.h"
#include "repo/repair.h"
#include "world.h"

namespace holdfast::simulation {
namespace {

using namespace std::chrono_literals;

class History {
  public:
    History(std::uint64_t seed, Tally& tally, bool trace)
        : world_(seed, tally, trace), tally_(tally), promises_(world_.past().promises), captures_(world_.past().captures) {}

    std::optional<std::string> run() {
        world_.rest();
        for (auto epochs = 1 + world_.draw(3); epochs > 0 && !failure_; --epochs) {
            epoch();
            if (!failure_) check("after an epoch");
            world_.rest();
        }
        // Whether collections come to an end is asked of some: of what there is, it takes the longest.
        if (!failure_ && world_.chance(8)) settle();
        return failure_;
    }

  private:
    using Actor = void (History::*)(Process&);

    void fail_with(std::string what) {
        world_.say("FAILED " + what);
        if (!failure_) failure_ = std::move(what);
    }
    void fail_without_reason(Process const& process, Error const& error) {
        world_.say(process.name + ": " + error.message);
        if (!process.hurt && !world_.is_troubled()) fail_with(process.name + " failed for no reason: " + error.message);
    }

    // ---- who does what

    Result<PointInfo> store_capture(Process& process, KeyBundle const& bundle, Capture const& capture, bool has_cache) {
        auto repository = TRY(world_.open(process, bundle));
        auto ingest = TRY(repository->begin_ingest({.pack_bytes = kPackBytes, .parity_percent = 0}, {}));
        ByteWriter tree;
        auto const files = files_of(capture);
        for (std::size_t i = 0; i < files.size(); ++i) {
            auto const& known = remembered(capture.files[i]);
            auto stands = [&](ChunkId const& id) { return ingest->knows(id); };
            if (has_cache && std::ranges::all_of(known.chunks, stands)) {
                ++tally_.taken_over;
                encode(known.content, tree);
                continue;
            }
            auto stream = ingest->open_stream(ChunkKind::data, {});
            TRY(stream->append(files[i]));
            auto content = TRY(stream->finish());
            encode(content, tree);
        }
        auto stream = ingest->open_stream(ChunkKind::tree, {});
        TRY(stream->append(tree.view()));
        RecoveryPoint point;
        point.dataset = capture.dataset;
        point.kind = "files";
        point.time = process.clock.now();
        point.tree = TRY(stream->finish());
        return repository->publish(*ingest, std::move(point), {});
    }

    Capture draw_capture() {
        // What was there before comes back, as a whole, as often as something new.
        if (world_.chance(2)) return captures_[world_.draw(captures_.size())];
        Capture capture{{}, fmt::format("d{}", world_.draw(2))};
        for (auto i = 1 + world_.draw(4); i > 0; --i) capture.files.push_back(world_.draw(kPool));
        return capture;
    }

    void back_up(Process& process) {
        auto who = world_.draw(keys().writers.size() + 2);
        auto const& bundle = who < keys().writers.size() ? keys().writers[who] : keys().admin;
        // The cache may tell of what was collected long ago.
        auto has_cache = world_.chance(2);
        auto capture = draw_capture();
        captures_.push_back(capture);
        for (int attempt = 0; attempt < 3; ++attempt) {
            auto info = store_capture(process, bundle, capture, has_cache);
            if (info) {
                ++tally_.published;
                world_.say(fmt::format("{} promised {}", process.name, info->id.brief()));
                // It may be dropped before its own writer hears that it stands.
                if (!forgotten_.contains(info->id)) promises_.emplace(info->id, capture);
                return;
            }
            if (info.error().kind != ErrorKind::unsafe) return fail_without_reason(process, info.error());
            world_.say(process.name + ": " + info.error().message);
            ++tally_.conflicts;
        }
    }

    void forget(Process& process) {
        auto done = [&]() -> Result<void> {
            auto repository = TRY(world_.open(process, keys().admin));
            auto list = TRY(repository->points({}));
            if (list.points.empty()) return {};
            auto const& info = list.points[world_.draw(list.points.size())];
            // Whatever becomes of it, nobody may count on the point any more.
            promises_.erase(info.id);
            forgotten_.insert(info.id);
            ++tally_.forgotten;
            world_.say(fmt::format("{} drops {}", process.name, info.id.brief()));
            PointKey key{dataset_tag(keys().admin, info.point.dataset), info.point.time, info.id};
            return repository->drop({&key, 1}, {});
        }();
        if (!done) fail_without_reason(process, done.error());
    }

    PruneOptions draw_prune() {
        PruneOptions options{.now = world_.chance(2), .shape = {.bytes = kPackBytes, .parity_percent = 0}};
        options.limits.unused_max = world_.chance(2) ? 0 : 0.3;
        if (world_.chance(4)) options.limits.repack_bytes_max = world_.draw(12'000);
        if (world_.chance(2)) options.grace = Duration(0);
        return options;
    }

    void prune(Process& process) {
        auto options = draw_prune();
        auto done = [&]() -> Result<Pruned> {
            auto repository = TRY(world_.open(process, keys().admin));
            return prune_repository(*repository, options, walk_test_files, {}, {});
        }();
        if (!done) return fail_without_reason(process, done.error());
        count(*done);
        world_.say(fmt::format("{} doomed {}, deleted {}, copied from {}", process.name, done->doomed, done->deleted,
                               done->repacked));
    }
    void count(Pruned const& done) {
        ++tally_.pruned;
        tally_.doomed += done.doomed;
        tally_.deleted += done.deleted;
        tally_.repacked += done.repacked;
        tally_.given_up += done.given_up.size();
    }

    // What it restores is what was promised, or it hears an error that has a reason.
    void read(Process& process) {
        if (promises_.empty()) return;
        auto chosen = *std::next(promises_.begin(), static_cast<std::ptrdiff_t>(world_.draw(promises_.size())));
        auto restored = [&]() -> Result<TestFiles> {
            auto repository = TRY(world_.open(process, keys().admin));
            auto list = TRY(repository->points({}));
            for (auto const& info : list.points) {
                if (info.id != chosen.first) continue;
                auto fetch = TRY(repository->begin_fetch({}, {}));
                return restore_test_files(*fetch, info.point);
            }
            return fail(ErrorKind::not_found, "the point is not listed");
        }();
        if (restored) {
            ++tally_.read;
            if (*restored != files_of(chosen.second)) fail_with(process.name + " restored other bytes");
        } else if (!forgotten_.contains(chosen.first)) {
            fail_without_reason(process, restored.error());
        }
    }

    // Reads everything, and remembers what is whole: from then on all writers rely on it.
    void audit(Process& process) {
        auto done = [&]() -> Result<Verification> {
            auto repository = TRY(world_.open(process, keys().admin));
            return verify_repository(*repository, {.data = true}, walk_test_files, {}, {});
        }();
        ++tally_.audits;
        if (!done) return fail_without_reason(process, done.error());
        // What comes and goes meanwhile is no damage.
        for (auto const& damaged : done->damaged) fail_without_reason(process, Error(damaged.error).within(damaged.key));
        for (auto const& path : done->affected) fail_without_reason(process, Error(path.error).within("a point"));
    }

    void repair(Process& process) {
        auto done = [&]() -> Result<RepairReport> {
            auto repository = TRY(world_.open(process, keys().admin));
            return repair_repository(*repository, {}, {}, {});
        }();
        ++tally_.repairs;
        // Something was doomed while it ran: it has to be run again.
        if (!done && done.error().kind != ErrorKind::unsafe) fail_without_reason(process, done.error());
    }

    // ---- the course of things

    void epoch() {
        struct Part {
            char const* name;
            Actor actor;
            int weight;
        };
        constexpr Part parts[] = {{"backup", &History::back_up, 7}, {"collector", &History::prune, 6},
                                  {"admin", &History::forget, 2},   {"reader", &History::read, 2},
                                  {"auditor", &History::audit, 1},  {"repair", &History::repair, 1}};
        for (auto actors = 1 + world_.draw(4); actors > 0; --actors) {
            auto at = static_cast<int>(world_.draw(19));
            auto const* part = parts;
            while (at >= part->weight) at -= part++->weight;
            world_.add(part->name, [this, actor = part->actor](Process& process) { (this->*actor)(process); });
        }
        if (world_.chance(12)) world_.rot();
        if (world_.chance(10)) world_.limit_room();
        world_.run();
        world_.lift_limit();
        world_.mend();
    }

    // ---- what must be true

    // With nobody in the way, everything that was promised restores.
    void check(std::string const& when) {
        auto checked = [&]() -> Result<void> {
            auto repository = TRY(world_.open(keys().admin));
            auto list = TRY(repository->points({}));
            for (auto const& damaged : list.damaged) {
                return fail(ErrorKind::damaged, damaged.key + ": " + damaged.error.message);
            }
            std::map<PointId, RecoveryPoint const*> points;
            for (auto const& info : list.points) points[info.id] = &info.point;
            if (promises_.empty()) return {};
            auto fetch = TRY(repository->begin_fetch({}, {}));
            for (auto const& [id, capture] : promises_) {
                auto found = points.find(id);
                if (found == points.end()) return fail(ErrorKind::not_found, "point " + id.brief() + " is gone");
                auto files = TRY(restore_test_files(*fetch, *found->second).within("point " + id.brief()));
                if (files != files_of(capture)) return fail(ErrorKind::damaged, "point " + id.brief() + " differs");
            }
            return {};
        }();
        if (!checked) fail_with(when + ": " + checked.error().message);
    }

    // Undisturbed, a few collections come to an end: nothing is left to do, and everything is whole.
    void settle() {
        auto repository = world_.open(keys().admin);
        if (!repository) return fail_with("open: " + repository.error().message);
        PruneOptions options{.limits = {.unused_max = 0}, .shape = {.bytes = kPackBytes, .parity_percent = 0}};
        // One may make what the next one has to do: copies, then what is double, then what is left of it.
        for (int i = 0; i < 6; ++i) {
            world_.pass(50h);
            auto done = prune_repository(**repository, options, walk_test_files, {}, {});
            if (!done) return fail_with("the last collections: " + done.error().message);
            count(*done);
            if (done->deleted + done->doomed + done->repacked + done->waiting == 0) break;
        }
        world_.pass(50h);
        check("after the last collections");
        if (failure_) return;
        options.dry_run = true;
        auto left = prune_repository(**repository, options, walk_test_files, {}, {});
        if (!left) return fail_with("the last look: " + left.error().message);
        if (left->deleted + left->doomed + left->repacked + left->waiting > 0) {
            return fail_with(fmt::format("collections do not come to an end: {} to delete, {} to doom, {} to copy, {} wait",
                                         left->deleted, left->doomed, left->repacked, left->waiting));
        }
        if (!world_.chance(2)) return;
        auto found = verify_repository(**repository, {.data = true}, walk_test_files, {}, {});
        if (!found) return fail_with("verify: " + found.error().message);
        for (auto const& damaged : found->damaged) return fail_with(damaged.key + ": " + damaged.error.message);
        for (auto const& key : found->unknown) return fail_with(key + ": what is this?");
    }

    World world_;
    Tally& tally_;
    std::map<PointId, Capture> promises_;
    std::vector<Capture> captures_;
    std::set<PointId> forgotten_;
    std::optional<std::string> failure_;
};

}  // namespace

std::optional<std::string> run_history(std::uint64_t seed, Tally& tally, bool trace) {
    return History(seed, tally, trace).run();
}

}  // namespace holdfast::simulation
