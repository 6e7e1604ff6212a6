#include "history.h"

#include <fmt/format.h>

#include <map>
#include <set>

#include "fibers.h"
#include "repo/lease.h"
#include "repo/prune.h"
#include "repo/test_files.h"
#include "repo/test_world.h"
#include "store/simulated_store.h"

namespace holdfast::simulation {
namespace {

using namespace std::chrono_literals;

// Files that points are made of: few, so that they meet again; in packs of a few kilobytes.
constexpr std::size_t kPool = 10;
constexpr std::size_t kPackBytes = 4u << 10;

struct Origin {
    SimulatedObjects objects;
    KeyBundle admin, writer;
    std::vector<Bytes> pool;
};
// Made once: a password costs as much as a hundred histories.
Origin const& origin() {
    static Origin const made = [] {
        SeededRandom random{7};
        ManualClock clock{*parse_rfc3339("2026-01-01T00:00:00Z")};
        auto executor = make_seeded_executor(1);
        SimulatedObjects objects;
        SimulatedStore store(objects, clock);
        RepositoryWorld world{clock, random, *executor, {}, {}};
        auto admin = create_repository(store, world, as_bytes("correct horse"), {}).value();
        auto repository = open_repository(store, admin.clone(), world, {}, {}).value();
        auto writer = add_bundle(*repository, {.roles = static_cast<Roles>(Role::writer), .label = "w"}, {}).value();
        std::vector<Bytes> pool;
        for (std::size_t i = 0; i < kPool; ++i) {
            pool.push_back(i % 3 == 0 ? prose(600 + 300 * i, i) : noise(400 + 250 * i, i));
        }
        return Origin{std::move(objects), std::move(admin), std::move(writer), std::move(pool)};
    }();
    return made;
}

// The time as one machine tells it.
class SkewedClock : public Clock {
  public:
    SkewedClock(ManualClock& truth, Duration skew) : truth_(truth), skew_(skew) {}
    Time now() override { return truth_.now() + skew_; }
    Duration elapsed() override { return truth_.elapsed(); }
    bool sleep(Duration duration, std::stop_token stop) override { return truth_.sleep(duration, stop); }

  private:
    ManualClock& truth_;
    Duration skew_;
};

class History {
  public:
    History(std::uint64_t seed, Tally& tally, bool trace)
        : random_(seed), stream_(seed), trace_(trace), tally_(tally), fibers_(random_) {
        // Where listings lag, the collector's wait is what makes up for it: then clocks tell the truth.
        if (chance(5)) lag_ = std::chrono::seconds(1 + draw(600));
        skewed_ = lag_ == Duration(0) && chance(3);
    }

    std::optional<std::string> run() {
        ++tally_.histories;
        auto epochs = 1 + draw(3);
        for (std::uint64_t i = 0; i < epochs && !failure_; ++i) {
            epoch();
            rest();
            if (!failure_) check("after an epoch");
        }
        if (!failure_) settle();
        return failure_;
    }

  private:
    struct Promise {
        std::vector<std::size_t> files;
        std::string dataset;
    };

    std::uint64_t draw(std::uint64_t below) { return random_() % below; }
    bool chance(std::uint64_t one_in) { return draw(one_in) == 0; }
    void fail_with(std::string what) {
        say("FAILED " + what);
        if (!failure_) failure_ = std::move(what);
    }
    void say(std::string const& what) const {
        if (trace_) fmt::print("{:>12.3f} {}\n", std::chrono::duration<double>(clock_.elapsed()).count(), what);
    }

    // One process: what it sees of the store, and what befalls it.
    struct Process {
        std::string name;
        SimulatedStore store;
        SkewedClock clock;
        std::unique_ptr<Executor> executor;
        bool dead = false;
        bool hurt = false;  // any fault: its errors are no surprise
        std::optional<std::uint64_t> dies_at, naps_at;
        SimulatedStore::Effect last = SimulatedStore::Effect::none;
        std::uint64_t fails_one_in = 0;

        Process(std::string who, History& history, Duration skew)
            : name(std::move(who)),
              store(history.objects_, history.clock_),
              clock(history.clock_, skew),
              executor(make_seeded_executor(history.random_())) {}
    };

    std::optional<SimulatedStore::Fault> befall(Process& process, std::uint64_t number,
                                                SimulatedStore::Operation operation, std::string_view key) {
        using Fault = SimulatedStore::Fault;
        ++tally_.operations;
        if (!process.dead) fibers_.yield();
        if (process.dead) return Fault{ErrorKind::unreachable};
        clock_.advance(Duration(1'000'000 * (1 + draw(20))));
        if (process.naps_at == number) {
            // Suspended while the others run, for longer than its lease lasts.
            ++tally_.naps;
            process.hurt = true;
            say(process.name + " sleeps");
            for (int i = 0; i < 300; ++i) fibers_.yield();
            clock_.advance(kLeaseSilenceMax + 1h);
            say(process.name + " wakes");
        }
        if (process.dies_at == number) {
            ++tally_.kills;
            process.dead = process.hurt = true;
            say(fmt::format("{} is killed at {} {}{}", process.name, verb(operation), key,
                            process.last == SimulatedStore::Effect::done ? ", which is done" : ""));
            return Fault{ErrorKind::unreachable, process.last};
        }
        if (process.fails_one_in != 0 && chance(process.fails_one_in)) {
            ++tally_.faults;
            process.hurt = true;
            constexpr ErrorKind kinds[] = {ErrorKind::unreachable, ErrorKind::io, ErrorKind::no_space};
            auto kind = kinds[draw(operation == SimulatedStore::Operation::put ? 3 : 2)];
            auto effect = kind == ErrorKind::unreachable && chance(2) ? SimulatedStore::Effect::done
                                                                      : SimulatedStore::Effect::none;
            say(fmt::format("{}: {} {} fails with {}{}", process.name, verb(operation), key, holdfast::name(kind),
                            effect == SimulatedStore::Effect::done ? ", and is done" : ""));
            return Fault{kind, effect};
        }
        if (trace_ && operation != SimulatedStore::Operation::get) {
            say(fmt::format("{}: {} {}", process.name, verb(operation), key));
        }
        return {};
    }
    static char const* verb(SimulatedStore::Operation operation) {
        constexpr char const* verbs[] = {"put", "get", "list", "remove"};
        return verbs[static_cast<int>(operation)];
    }

    Process& start(std::string name) {
        constexpr Duration skews[] = {Duration(0), -std::chrono::days(365), std::chrono::days(3650), 5h, -30min};
        auto skew = skewed_ ? skews[draw(std::size(skews))] : Duration(0);
        auto& process = *processes_.emplace_back(std::make_unique<Process>(std::move(name), *this, skew));
        auto* raw = &process;
        process.store.before = [this, raw](std::uint64_t number, SimulatedStore::Operation operation,
                                           std::string_view key) { return befall(*raw, number, operation, key); };
        process.store.lag = lag_;
        process.store.random = &random_;
        if (chance(3)) {
            process.dies_at = draw(60);
            process.last = chance(2) ? SimulatedStore::Effect::done : SimulatedStore::Effect::none;
        }
        if (chance(8)) process.naps_at = draw(40);
        if (chance(5)) process.fails_one_in = 5 + draw(60);
        return process;
    }

    Result<std::unique_ptr<Repository>> open(Process& process, KeyBundle const& keys) {
        RepositoryWorld world{process.clock, stream_, *process.executor, {}, {}};
        return open_repository(process.store, keys.clone(), std::move(world), {}, {});
    }

    // ---- who does what

    Result<PointInfo> capture(Process& process, KeyBundle const& keys, Promise const& promise) {
        auto repository = TRY(open(process, keys));
        auto ingest = TRY(repository->begin_ingest({.pack_bytes = kPackBytes, .parity_percent = 0}, {}));
        TestFiles files;
        for (auto i : promise.files) files.push_back(origin().pool[i]);
        auto point = TRY(capture_test_files(*ingest, files, promise.dataset));
        point.time = process.clock.now();
        return repository->publish(*ingest, std::move(point), {});
    }

    void back_up(Process& process, bool as_admin) {
        auto const& keys = as_admin ? origin().admin : origin().writer;
        Promise promise{{}, fmt::format("d{}", draw(2))};
        for (auto i = 1 + draw(4); i > 0; --i) promise.files.push_back(draw(kPool));
        for (int attempt = 0; attempt < 3; ++attempt) {
            auto info = capture(process, keys, promise);
            if (info) {
                ++tally_.published;
                say(fmt::format("{} promised {}", process.name, info->id.brief()));
                // It may be dropped before its own writer hears that it stands.
                if (!forgotten_.contains(info->id)) promises_.emplace(info->id, promise);
                return;
            }
            say(fmt::format("{}: {}", process.name, info.error().message));
            if (info.error().kind != ErrorKind::unsafe) {
                if (!process.hurt && !rotten_ && lag_ == Duration(0)) {
                    fail_with(process.name + " failed for no reason: " + info.error().message);
                }
                return;
            }
            ++tally_.conflicts;
        }
    }

    void forget(Process& process) {
        auto done = [&]() -> Result<void> {
            auto repository = TRY(open(process, origin().admin));
            auto list = TRY(repository->points({}));
            if (list.points.empty()) return {};
            auto const& info = list.points[draw(list.points.size())];
            // Whatever becomes of it, nobody may count on the point any more.
            promises_.erase(info.id);
            forgotten_.insert(info.id);
            ++tally_.forgotten;
            say(fmt::format("{} drops {}", process.name, info.id.brief()));
            PointKey key{dataset_tag(origin().admin, info.point.dataset), info.point.time, info.id};
            return repository->drop({&key, 1}, {});
        }();
        if (!done) say(process.name + ": " + done.error().message);
    }

    PruneOptions draw_prune() {
        PruneOptions options{.now = chance(3), .shape = {.bytes = kPackBytes, .parity_percent = 0}};
        options.limits.unused_max = chance(2) ? 0 : 0.3;
        if (chance(4)) options.limits.repack_bytes_max = draw(12'000);
        if (chance(2)) options.grace = Duration(0);
        return options;
    }

    void prune(Process& process) {
        auto options = draw_prune();
        auto done = [&]() -> Result<Pruned> {
            auto repository = TRY(open(process, origin().admin));
            return prune_repository(*repository, options, walk_test_files, {}, {});
        }();
        if (!done) {
            say(process.name + ": " + done.error().message);
            if (!process.hurt && lag_ == Duration(0) && !rotten_) {
                fail_with(process.name + " failed for no reason: " + done.error().message);
            }
            return;
        }
        tally(*done);
        say(fmt::format("{} doomed {}, deleted {}, copied from {}", process.name, done->doomed, done->deleted,
                        done->repacked));
    }
    void tally(Pruned const& done) {
        ++tally_.pruned;
        tally_.doomed += done.doomed;
        tally_.deleted += done.deleted;
        tally_.repacked += done.repacked;
        tally_.given_up += done.given_up.size();
    }

    // What it restores is what was promised, or it hears an error that has a reason.
    void read(Process& process) {
        if (promises_.empty()) return;
        auto chosen = *std::next(promises_.begin(), static_cast<std::ptrdiff_t>(draw(promises_.size())));
        auto restored = [&]() -> Result<TestFiles> {
            auto repository = TRY(open(process, origin().admin));
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
            return;
        }
        say(process.name + ": " + restored.error().message);
        auto excused = process.hurt || rotten_ || lag_ > Duration(0) || forgotten_.contains(chosen.first);
        if (!excused) {
            fail_with(fmt::format("{} cannot restore {}: {}", process.name, chosen.first.brief(),
                                  restored.error().message));
        }
    }
    static TestFiles files_of(Promise const& promise) {
        TestFiles files;
        for (auto i : promise.files) files.push_back(origin().pool[i]);
        return files;
    }

    // ---- the course of things

    void epoch() {
        auto actors = 1 + draw(4);
        for (std::uint64_t i = 0; i < actors; ++i) {
            switch (draw(8)) {
                case 0:
                case 1:
                case 2: {
                    auto as_admin = chance(2);
                    auto& process = start(as_admin ? "admin's backup" : "writer's backup");
                    fibers_.add([this, &process, as_admin] { back_up(process, as_admin); });
                    break;
                }
                case 3:
                case 4:
                case 5: {
                    auto& process = start(fmt::format("collector {}", i));
                    fibers_.add([this, &process] { prune(process); });
                    break;
                }
                case 6: {
                    auto& process = start("forgetful admin");
                    fibers_.add([this, &process] { forget(process); });
                    break;
                }
                default: {
                    auto& process = start("reader");
                    fibers_.add([this, &process] { read(process); });
                }
            }
        }
        auto rot = chance(12) ? rot_something() : std::nullopt;
        fibers_.run();
        processes_.clear();
        if (rot) mend(*rot);
    }

    void rest() {
        constexpr Duration pauses[] = {Duration(0), 1min, 1h, 7h, 25h, std::chrono::days(40)};
        clock_.advance(pauses[draw(std::size(pauses))] + lag_);
    }

    struct Rot {
        std::string key;
        std::shared_ptr<Bytes const> good, bad;
    };
    std::optional<Rot> rot_something() {
        std::vector<std::string> keys;
        for (auto prefix : {"packs/", "index/", "points/"}) {
            for (auto& key : objects_.keys(prefix)) keys.push_back(std::move(key));
        }
        if (keys.empty()) return {};
        auto key = keys[draw(keys.size())];
        auto& object = objects_.objects.find(key)->second;
        auto bytes = *object.bytes;
        bytes[draw(bytes.size())] ^= static_cast<std::uint8_t>(1u << draw(8));
        Rot rot{key, object.bytes, std::make_shared<Bytes const>(std::move(bytes))};
        object.bytes = rot.bad;
        rotten_ = true;
        ++tally_.rotten;
        say("a bit rots in " + key);
        return rot;
    }
    // As from another copy. What somebody removed on purpose stays away.
    void mend(Rot const& rot) {
        auto found = objects_.objects.find(rot.key);
        if (found != objects_.objects.end() && found->second.bytes == rot.bad) found->second.bytes = rot.good;
        rotten_ = false;
        say("mended");
    }

    // ---- what must be true

    // With nobody in the way, everything that was promised restores.
    void check(std::string const& when) {
        SimulatedStore store(objects_, clock_);
        auto executor = make_seeded_executor(1);
        RepositoryWorld world{clock_, stream_, *executor, {}, {}};
        auto checked = [&]() -> Result<void> {
            auto repository = TRY(open_repository(store, origin().admin.clone(), std::move(world), {}, {}));
            auto list = TRY(repository->points({}));
            for (auto const& damaged : list.damaged) {
                return fail(ErrorKind::damaged, damaged.key + ": " + damaged.error.message);
            }
            std::map<PointId, RecoveryPoint const*> points;
            for (auto const& info : list.points) points[info.id] = &info.point;
            if (promises_.empty()) return {};
            auto fetch = TRY(repository->begin_fetch({}, {}));
            for (auto const& [id, promise] : promises_) {
                auto found = points.find(id);
                if (found == points.end()) return fail(ErrorKind::not_found, "point " + id.brief() + " is gone");
                auto files = TRY(restore_test_files(*fetch, *found->second).within("point " + id.brief()));
                if (files != files_of(promise)) return fail(ErrorKind::damaged, "point " + id.brief() + " differs");
            }
            return {};
        }();
        if (!checked) fail_with(when + ": " + checked.error().message);
    }

    // Undisturbed, a few collections come to an end: nothing is left to do, and everything is whole.
    void settle() {
        SimulatedStore store(objects_, clock_);
        auto executor = make_seeded_executor(1);
        RepositoryWorld world{clock_, stream_, *executor, {}, {}};
        auto repository = open_repository(store, origin().admin.clone(), world, {}, {});
        if (!repository) return fail_with("open: " + repository.error().message);
        PruneOptions options{.limits = {.unused_max = 0}, .shape = {.bytes = kPackBytes, .parity_percent = 0}};
        // One may make what the next one has to do: copies, then what is double, then what is left of it.
        for (int i = 0; i < 6; ++i) {
            clock_.advance(50h);
            auto done = prune_repository(**repository, options, walk_test_files, {}, {});
            if (!done) return fail_with("the last collections: " + done.error().message);
            tally(*done);
            if (done->deleted + done->doomed + done->repacked + done->waiting == 0) break;
        }
        clock_.advance(50h);
        check("after the last collections");
        if (failure_) return;
        options.dry_run = true;
        auto left = prune_repository(**repository, options, walk_test_files, {}, {});
        if (!left) return fail_with("the last look: " + left.error().message);
        if (left->deleted + left->doomed + left->repacked + left->waiting > 0) {
            return fail_with(fmt::format("collections do not come to an end: {} to delete, {} to doom, {} to copy, {} wait",
                                         left->deleted, left->doomed, left->repacked, left->waiting));
        }
        if (!chance(16)) return;
        auto found = verify_repository(**repository, {.data = true}, walk_test_files, {}, {});
        if (!found) return fail_with("verify: " + found.error().message);
        for (auto const& damaged : found->damaged) return fail_with(damaged.key + ": " + damaged.error.message);
        for (auto const& key : found->unknown) return fail_with(key + ": what is this?");
    }

    std::mt19937_64 random_;
    SeededRandom stream_;
    bool const trace_;
    Tally& tally_;
    Fibers fibers_;
    mutable ManualClock clock_{*parse_rfc3339("2026-01-02T00:00:00Z")};
    SimulatedObjects objects_ = origin().objects;
    Duration lag_{};
    bool skewed_ = false;
    bool rotten_ = false;
    std::map<PointId, Promise> promises_;
    std::set<PointId> forgotten_;
    std::vector<std::unique_ptr<Process>> processes_;
    std::optional<std::string> failure_;
};

}  // namespace

std::optional<std::string> run_history(std::uint64_t seed, Tally& tally, bool trace) {
    return History(seed, tally, trace).run();
}

}  // namespace holdfast::simulation
