#include "repo/replicate.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <mutex>

#include "crypto/crypto.h"
#include "os/fan_out.h"
#include "repo/config.h"
#include "repo/index.h"
#include "repo/locks.h"
#include "repo/memory_pool.h"
#include "repo/mend.h"
#include "repo/object_check.h"
#include "repo/pack.h"
#include "repo/point.h"

namespace holdfast {
namespace {

constexpr std::uint64_t kCopyBytesInFlight = 128u << 20;
constexpr std::uint64_t kCopyMemoryStep = 1u << 20;

// Objects in the order in which they are copied: what others need comes first. Nothing of a writer
// that runs now: its marker is a matter of the store that it writes to; and no proofs, which tell of the bytes
// of one store.
constexpr ObjectRoom kRooms[] = {ObjectRoom::key,  ObjectRoom::ring, ObjectRoom::config, ObjectRoom::pack,
                                 ObjectRoom::index, ObjectRoom::wal, ObjectRoom::hold,   ObjectRoom::point,
                                 ObjectRoom::receipt, ObjectRoom::self, ObjectRoom::log, ObjectRoom::approval};

// What a collector or a writer says of the one store is not true of the other.
bool is_copied(ObjectRoom room) { return std::ranges::find(kRooms, room) != std::end(kRooms); }

using Sizes = std::map<std::string, std::uint64_t>;

// points/<dataset tag>/<time>-<point id>
std::optional<Time> time_of_point(std::string_view key) {
    auto name = key.substr(key.rfind('/') + 1);
    auto time = parse_key_time(name.substr(0, name.find('-')));
    if (!time) return {};
    return *time;
}

// What can be said of an object without a key.
enum class Verdict { whole, damaged, unknown };
Verdict look_at(ObjectRoom room, std::string const& key, ByteView object) {
    if (room != ObjectRoom::pack && room != ObjectRoom::index) return Verdict::unknown;
    return check_bare_object(std::nullopt, key, object) ? Verdict::whole : Verdict::damaged;
}

class Replicator {
  public:
    Replicator(Store& from, Store& to, Executor& executor, Clock& clock, ReplicateOptions const& options,
               ReplicateCallback const& progress, std::stop_token stop)
        : from_(from), to_(to), executor_(executor), clock_(clock), options_(options), progress_(progress),
          stop_(std::move(stop)) {}

    Result<Replication> run() {
        TRY(check_same_repository());
        auto work = TRY(plan());
        measure_lag(work);
        begin_ = clock_.elapsed();
        for (auto room : kRooms) TRY(copy_room(room, work[room]));
        TRY(keep_locked());
        return std::move(result_);
    }

  private:
    struct Item {
        std::string key;
        std::uint64_t size = 0;
        std::optional<std::uint64_t> there;  // its size in the copy
    };
    using Work = std::map<ObjectRoom, std::vector<Item>>;

    // Another repository's objects must never be mixed with this one's.
    Result<void> check_same_repository() {
        ObjectKey config{std::string(kConfigKey)};
        auto read = [&](Store& store) -> Result<RepositoryId> {
            auto text = TRY(store.get(config, stop_));
            return TRY(parse_config(as_text(text)).within(store.describe())).repository;
        };
        auto source = read(from_);
        if (!source && source.error().kind == ErrorKind::not_found) {
            return fail(ErrorKind::not_found, from_.describe() + " holds no repository");
        }
        auto id = TRY(std::move(source));
        auto copy = read(to_);
        if (copy && *copy != id) {
            return fail(ErrorKind::unsafe,
                        fmt::format("{} holds another repository ({}, not {})", to_.describe(), copy->brief(),
                                    id.brief()),
                        "take an empty place for the copy");
        }
        if (copy || copy.error().kind == ErrorKind::not_found) return {};
        if (copy.error().kind == ErrorKind::damaged) return {};  // it is compared as all others are
        return fail(std::move(copy.error()));
    }

    Result<void> list(Store& store, Sizes& sizes, std::string_view prefix) {
        auto visit = [&](ObjectInfo const& info) -> Result<void> {
            sizes[info.key.text()] = info.size;
            return {};
        };
        return store.list(prefix, visit, stop_);
    }

    Result<Work> plan() {
        Sizes source, copy;
        TRY(list(from_, source, ""));
        // Again, after the points: then all that a listed point needs is listed, too.
        TRY(list(from_, source, "index/"));
        TRY(list(from_, source, "packs/"));
        TRY(list(to_, copy, ""));
        Work work;
        for (auto const& [key, size] : source) {
            auto room = room_of(key);
            if (!is_copied(room)) continue;
            if (is_for_good(ObjectKey(key))) for_good_.emplace_back(key);
            Item item{key, size, {}};
            if (auto found = copy.find(key); found != copy.end()) item.there = found->second;
            if (item.there == size && !options_.compare) {
                ++result_.present;
                continue;
            }
            ++report_.objects_total;
            report_.bytes_total += size;
            work[room].push_back(std::move(item));
        }
        return work;
    }

    void measure_lag(Work& work) {
        for (auto const& item : work[ObjectRoom::point]) {
            if (item.there) continue;
            ++result_.points;
            auto time = time_of_point(item.key);
            if (!time) continue;
            auto lag = std::max(Duration{0}, std::chrono::duration_cast<Duration>(clock_.now() - *time));
            if (!result_.lag || lag > *result_.lag) result_.lag = lag;
        }
    }

    // Returns when every object of the room is settled: the next one may need them.
    Result<void> copy_room(ObjectRoom room, std::vector<Item> const& items) {
        // A log is never shown with a gap: its entries come one after the other.
        FanOut all(executor_, room == ObjectRoom::log ? 0 : kCopyBytesInFlight, stop_);
        for (auto const& item : items) {
            TRY(pace());
            started_bytes_ += item.size;
            if (!all.add(item.size, [this, room, &item] { return settle(room, item); })) break;
        }
        return all.finish();
    }

    // Waits until the next bytes are due.
    Result<void> pace() {
        if (options_.bytes_per_second > 0 && !options_.dry_run) {
            auto due = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(
                static_cast<double>(started_bytes_) / static_cast<double>(options_.bytes_per_second)));
            auto passed = clock_.elapsed() - begin_;
            if (due > passed) clock_.sleep(due - passed, stop_);
        }
        if (stop_.stop_requested()) return fail(ErrorKind::cancelled, "stopped");
        return {};
    }

    // An admin who looked at the copy before the receipt came gave the point one of his own: the first one that is
    // stored stays, in each repository.
    static bool has_its_own(ObjectRoom room, Result<void> const& done) {
        return room == ObjectRoom::receipt && !done && done.error().kind == ErrorKind::exists;
    }

    // A task. Fails only when a store does.
    Result<void> settle(ObjectRoom room, Item const& item) {
        auto done = item.there ? mend(room, item) : copy(room, item);
        if (has_its_own(room, done)) {
            std::lock_guard lock(mutex_);
            ++result_.present;
            done = {};
        }
        if (!done && done.error().kind == ErrorKind::not_found) {
            done = {};  // removed meanwhile: nothing that stays needs it
        } else if (!done && (done.error().kind == ErrorKind::damaged || done.error().kind == ErrorKind::exists)) {
            std::lock_guard lock(mutex_);
            result_.damaged.push_back({item.key, std::move(done.error())});
            done = {};
        }
        TRY(std::move(done).within("replicate " + item.key));
        std::lock_guard lock(mutex_);
        ++report_.objects;
        report_.bytes += item.size;
        report_.current = item.key;
        if (progress_) progress_(report_);
        return {};
    }

    Result<Slice> read(Store& store, std::string const& key, std::uint64_t size) {
        if (size > kPackBytesMax) {
            return fail(ErrorKind::damaged, fmt::format("{} bytes are more than any object has", size));
        }
        auto memory = memory_.take((size + kCopyMemoryStep) / kCopyMemoryStep * kCopyMemoryStep);
        auto bytes = memory->span().first(size);
        TRY(store.read(ObjectKey(key), 0, bytes, stop_));
        return Slice{std::move(memory), bytes};
    }

    Result<void> copy(ObjectRoom room, Item const& item) {
        if (!options_.dry_run) {
            auto object = TRY(read(from_, item.key, item.size));
            if (look_at(room, item.key, object.bytes) != Verdict::damaged) {
                TRY(to_.put(ObjectKey(item.key), object.bytes, stop_));
            } else {
                // What its parity brings back is as good; the source is mended by `scrub --repair`.
                auto pack = pack_of(ObjectKey(item.key));
                auto mended = pack ? read_mended(from_, *pack, {}, stop_)
                                   : Result<Bytes>(fail(ErrorKind::damaged, "no pack"));
                if (!mended) {
                    return fail(ErrorKind::damaged, "damaged in " + from_.describe(),
                                "holdfast verify names the points that it touches");
                }
                TRY(to_.put(ObjectKey(item.key), *mended, stop_));
            }
        }
        std::lock_guard lock(mutex_);
        ++result_.copied;
        result_.bytes_copied += item.size;
        return {};
    }

    // Both have it: they agree, or one of them is known to be right.
    Result<void> mend(ObjectRoom room, Item const& item) {
        auto source = TRY(read(from_, item.key, item.size));
        auto copy = TRY(read(to_, item.key, *item.there));
        if (std::ranges::equal(source.bytes, copy.bytes)) {
            std::lock_guard lock(mutex_);
            ++result_.present;
            return {};
        }
        auto here = look_at(room, item.key, source.bytes);
        auto there = look_at(room, item.key, copy.bytes);
        if (here == Verdict::damaged && there == Verdict::whole) {
            return fail(ErrorKind::damaged, "damaged in " + from_.describe() + ", whole in " + to_.describe(),
                        "replicate in the other direction");
        }
        if (room == ObjectRoom::receipt && here != Verdict::damaged && there != Verdict::damaged) {
            return fail(ErrorKind::exists, "the copy has a receipt of its own");
        }
        if (here != Verdict::whole || there != Verdict::damaged) {
            return fail(ErrorKind::damaged,
                        fmt::format("differs between {} and {}", from_.describe(), to_.describe()),
                        "holdfast verify tells which of them is right");
        }
        if (!options_.dry_run) {
            TRY(to_.replace(ObjectKey(item.key), source.bytes, stop_));
        }
        std::lock_guard lock(mutex_);
        result_.healed.push_back(item.key);
        return {};
    }

    // The configuration comes last: its own lock tells how far the last whole pass reached.
    Result<void> keep_locked() {
        if (!options_.lock || options_.dry_run) return {};
        ObjectKey const config{std::string(kConfigKey)};
        auto const before = TRY(to_.locked_until(config, stop_));
        if (before && *before - clock_.now() >= *options_.lock * 3 / 4) return {};
        auto const until = clock_.now() + *options_.lock;
        FanOut all(executor_, store_requests(executor_), stop_);
        for (auto const& key : for_good_) {
            if (key.text() == config.text()) continue;
            if (!all.add(1, [this, &key, until] { return lock(key, until); })) break;
        }
        TRY(all.finish());
        return lock(config, until);
    }

    // A task. What could not be copied is told already.
    Result<void> lock(ObjectKey const& key, Time until) {
        auto done = to_.lock_until(key, until, stop_);
        if (!done && done.error().kind == ErrorKind::not_found) return {};
        TRY(std::move(done).within("lock " + key.text()));
        std::lock_guard guard(mutex_);
        ++result_.locked;
        return {};
    }

    Store& from_;
    Store& to_;
    Executor& executor_;
    Clock& clock_;
    ReplicateOptions const& options_;
    ReplicateCallback const& progress_;
    std::stop_token stop_;
    MemoryPool memory_{kCopyBytesInFlight};
    std::vector<ObjectKey> for_good_;  // of the source
    Duration begin_{};
    std::uint64_t started_bytes_ = 0;

    std::mutex mutex_;
    ReplicateProgress report_;
    Replication result_;
};

}  // namespace

Result<Replication> replicate(Store& from, Store& to, Executor& executor, Clock& clock,
                              ReplicateOptions const& options, ReplicateCallback const& progress,
                              std::stop_token stop) {
    return Replicator(from, to, executor, clock, options, progress, std::move(stop))
        .run()
        .within(fmt::format("replicate {} to {}", from.describe(), to.describe()));
}

}  // namespace holdfast
