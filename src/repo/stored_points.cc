#include "repo/stored_repository.h"

#include <algorithm>
#include <set>

#include "repo/approval.h"
#include "repo/hold.h"
#include "repo/receipt.h"
#include "repo/wal_key.h"

namespace holdfast {
namespace {

constexpr std::uint64_t kPointBytesMax = 16u << 20;
constexpr std::uint64_t kReceiptBytesMax = 1u << 20;
constexpr char kStillUsed[] = "somebody still uses the removed key; holdfast prune sweeps this away";

// Which points the logs promise, and which an admin took back.
struct Promises {
    std::map<PointId, std::string> made;               // to the point's key
    std::set<std::pair<BundleId, PointId>> confirmed;  // by the log of its own writer
    std::set<PointId> dropped;

    Promises(Logs const& logs, KeyRing const& ring) {
        for (auto const& [writer, log] : logs.writers) {
            auto removal = ring.removed.find(writer);
            for (auto const& [n, item] : log.items) {
                if (!item.entry)
                    continue;
                // What a removed key wrote later promises nothing.
                if (removal != ring.removed.end() && !removal->second.counts(n))
                    continue;
                auto const& entry = *item.entry;
                if (entry.action == LogAction::made) {
                    made.emplace(entry.point,
                                 point_key(entry.dataset, entry.point_time, entry.point));
                    confirmed.emplace(writer, entry.point);
                } else if ((item.roles & static_cast<Roles>(Role::admin)) != 0) {
                    dropped.insert(entry.point);
                }
            }
        }
    }
};

}  // namespace

Result<void> StoredRepository::read_point(std::string const& key, PointList& list,
                                          std::stop_token stop) {
    {
        std::lock_guard lock(mutex_);
        auto known = points_.find(key);
        if (known != points_.end()) {
            list.points.push_back(known->second);
            return {};
        }
    }
    auto object = store_.get(ObjectKey(key), stop);
    auto info = object ? open_point(key, *object, keys_, lookup(stop))
                       : Result<PointInfo>(fail(std::move(object).error()));
    if (!info) {
        if (info.error().kind != ErrorKind::damaged)
            return fail(std::move(info).error().within(key));
        list.damaged.push_back({key, std::move(info).error()});
        return {};
    }
    std::lock_guard lock(mutex_);
    points_.emplace(key, *info);
    list.points.push_back(std::move(*info));
    return {};
}

Result<PointList> StoredRepository::list_points(std::optional<DatasetTag> dataset,
                                                std::stop_token stop) {
    auto const ring = TRY(this->ring(stop)).ring;
    // Logs before points: a point stands before its log entry, so what these logs promise must be
    // in the list that is read after them.
    auto logs = TRY(read_logs_checked(Scope::all, stop));
    Promises promises(logs, ring);

    PointList list;
    std::set<std::string> listed;
    auto prefix = std::string(kPointsPrefix) + (dataset ? dataset->hex() + "/" : "");
    auto visit = [&](ObjectInfo const& info) -> Result<void> {
        auto const& key = info.key.text();
        auto name = parse_point_key(key);
        if (!name) {
            list.damaged.push_back({key, std::move(name).error()});
        } else if (info.size > kPointBytesMax) {
            listed.insert(key);
            list.damaged.push_back({key, {ErrorKind::damaged, "recovery point is too long", {}}});
        } else if (!promises.dropped.contains(name->id)) {
            listed.insert(key);
        }
        return {};
    };
    TRY(store_.list(prefix, visit, stop));

    auto gone = [&](std::string const& key) {
        return std::ranges::any_of(list.damaged, [&](auto const& one) { return one.key == key; });
    };
    std::vector<std::pair<PointId, std::string>> missing;
    for (auto const& key : listed) {
        if (gone(key))
            continue;
        auto read = read_point(key, list, stop);
        // Removed since it was listed: dropped meanwhile, or else missed below.
        if (!read && read.error().kind == ErrorKind::not_found)
            continue;
        TRY(std::move(read));
    }
    std::set<PointId> present;
    for (auto const& info : list.points)
        present.insert(info.id);
    for (auto const& [id, key] : promises.made) {
        if (promises.dropped.contains(id) || present.contains(id) || gone(key))
            continue;
        if (dataset && !key.starts_with(prefix))
            continue;
        missing.emplace_back(id, key);
    }
    if (!missing.empty()) {
        // The logs may have grown since they were read: a point may be dropped by now.
        Promises now(TRY(read_logs_checked(Scope::all, stop)), ring);
        for (auto const& [id, key] : missing) {
            if (now.dropped.contains(id))
                continue;
            auto read = read_point(key, list, stop);
            if (!read && read.error().kind != ErrorKind::not_found)
                return fail(read.error());
            if (!read)
                list.damaged.push_back(
                    {key, Error{ErrorKind::damaged,
                                "removed by the store: a writer's log names this recovery point, "
                                "and no admin dropped it",
                                {}}});
        }
    }

    for (auto& info : list.points)
        info.confirmed = promises.confirmed.contains({info.writer, info.id});
    TRY(add_receipts(list, stop));
    refuse_later_points(list, ring, logs);
    std::ranges::sort(list.points, {},
                      [](PointInfo const& info) { return std::tie(info.point.time, info.id); });
    for (auto& fault : logs.damaged)
        list.damaged.push_back(std::move(fault));
    remember(lasting_heads(logs, ring));
    return list;
}

Result<void> StoredRepository::add_receipts(PointList& list, std::stop_token stop) {
    std::map<std::string, std::uint64_t> listed;
    auto visit = [&](ObjectInfo const& info) -> Result<void> {
        listed.emplace(info.key.text(), info.size);
        return {};
    };
    TRY(store_.list(kReceiptsPrefix, visit, stop));
    // Those that have a receipt first: they tell whether the clock is to be believed.
    std::vector<PointInfo*> order;
    for (auto& info : list.points)
        order.push_back(&info);
    std::ranges::stable_partition(
        order, [&](PointInfo const* info) { return listed.contains(receipt_key(info->id)); });
    std::optional<Time> newest;
    for (auto* one : order) {
        auto& info = *one;
        {
            std::lock_guard lock(mutex_);
            auto known = receipts_.find(info.id);
            if (known != receipts_.end()) {
                info.received = known->second;
                newest = std::max(newest, info.received);
                continue;
            }
        }
        auto key = receipt_key(info.id);
        auto found = listed.find(key);
        Result<std::optional<Time>> received = std::nullopt;
        if (found == listed.end()) {
            // A receipt says that the point was there before now: not of one by a removed key, whose
            // time would then be taken for proof.
            auto removed = this->removed(info.writer);
            auto late = removed && !removed->removal.closing;
            if (keys_.has(Role::admin) && !late && !(newest && clock_is_behind(*newest)))
                received = give_receipt(info.id, stop);
            // A store that takes no more is no reason not to list what it has.
            if (!received && received.error().kind != ErrorKind::cancelled)
                received = std::nullopt;
        } else if (found->second > kReceiptBytesMax) {
            received = fail(ErrorKind::damaged, "receipt is too long");
        } else {
            auto object = store_.get(ObjectKey(key), stop);
            auto receipt = object ? open_receipt(key, *object, keys_, lookup(stop))
                                  : Result<Receipt>(fail(std::move(object).error()));
            if (receipt) {
                received = receipt->received;
            } else if (receipt.error().kind != ErrorKind::not_found) {
                received = fail(std::move(receipt).error());
            }
        }
        if (!received) {
            if (received.error().kind != ErrorKind::damaged)
                return fail(std::move(received).error().within(key));
            list.damaged.push_back({key, std::move(received).error()});
            continue;
        }
        info.received = *received;
        newest = std::max(newest, info.received);
        if (*received) {
            std::lock_guard lock(mutex_);
            receipts_.emplace(info.id, **received);
        }
    }
    return {};
}

// A point by a removed key stays when the key's log named it before the removal, or an admin had seen
// it. Times that its writer wrote prove nothing.
void StoredRepository::refuse_later_points(PointList& list, KeyRing const& ring, Logs const& logs) {
    std::erase_if(list.points, [&](PointInfo const& info) {
        auto removal = ring.removed.find(info.writer);
        if (removal == ring.removed.end() || removal->second.removal.closing || info.confirmed)
            return false;
        if (info.received && *info.received <= removal->second.removal.time)
            return false;
        auto key = point_key(dataset_tag(keys_, info.point.dataset), info.point.time, info.id);
        list.damaged.push_back({.key = key,
                                .error = {ErrorKind::damaged,
                                          "refused: signed by key " + info.writer.brief() +
                                               " after it was removed (" +
                                               to_rfc3339(removal->second.removal.time) + ")",
                                           kStillUsed},
                                .refused = true});
        return true;
    });
    for (auto const& [writer, key] : ring.removed) {
        auto const last = key.removal.last_entry;
        auto log = logs.writers.find(writer);
        if (log == logs.writers.end() || key.counts(log->second.last))
            continue;
        list.damaged.push_back(
            {.key = log_key(writer, last + 1),
             .error = {ErrorKind::damaged,
                       "refused: written by key " + writer.brief() + " after it was removed",
                       kStillUsed},
             .refused = true});
    }
}

Result<std::optional<Time>> StoredRepository::give_receipt(PointId const& point,
                                                           std::stop_token stop) {
    Receipt receipt{point, world_.clock.now()};
    auto key = receipt_key(point);
    auto stored = store_.put(ObjectKey(key), seal_receipt(receipt, keys_, world_.random), stop);
    if (stored)
        return receipt.received;
    if (stored.error().kind != ErrorKind::exists)
        return fail(std::move(stored).error());
    // Another admin was first: its receipt counts.
    auto object = TRY(store_.get(ObjectKey(key), stop));
    auto first = TRY(open_receipt(key, object, keys_, lookup(stop)));
    return first.received;
}

Result<PointInfo> StoredRepository::publish(Ingest& ingest, RecoveryPoint point,
                                            std::stop_token stop) {
    // Invariant: packs, then the index that names them, then the point that needs both; then a look at
    // what is doomed; then the log entry that promises the point, then a look at the key ring; then we tell. A crash between any two
    // leaves garbage or an unconfirmed point, never a promise without what it needs. A collector that
    // dooms a pack after our look lists the points after that, and so sees this one.
    TRY(may_write(stop));
    TRY(ingest.flush());
    // Who reads the point learns from it whose key its content takes.
    point.attributes.erase(kPairAttribute);
    if (auto pair = ingest.pair(); !pair.empty())
        point.attributes[kPairAttribute] = pair;
    auto sealed = seal_point(point, keys_, world_.random);
    TRY(store_.put(ObjectKey(sealed.key), sealed.object, stop).within(sealed.key));
    auto secured = ingest.secure(stop);
    if (!secured) {
        // It may lack what it needs: better nothing than that. One that cannot be removed stays
        // unconfirmed.
        if (secured.error().kind == ErrorKind::unsafe)
            (void)store_.remove(ObjectKey(sealed.key), {});
        return fail(std::move(secured).error());
    }
    LogNote note{LogAction::made, sealed.id, dataset_tag(keys_, point.dataset), point.time,
                 world_.clock.now()};
    TRY(note_in_log(note, stop));
    // Who removes this key tells it first, and then notes how far its log went: what is told from here on
    // is in that log.
    TRY(is_certified(stop));

    PointInfo info;
    info.id = sealed.id;
    info.writer = keys_.id;
    info.point = std::move(point);
    {
        std::lock_guard lock(mutex_);
        points_.emplace(sealed.key, info);
    }
    info.confirmed = true;
    // The promise stands. A receipt that fails now is given by whoever lists the points next.
    if (keys_.has(Role::admin) && !clock_is_behind(last_own_entry())) {
        auto received = give_receipt(info.id, stop);
        if (received)
            info.received = *received;
    }
    return info;
}

Result<void> StoredRepository::drop(std::span<PointKey const> points, std::stop_token stop) {
    if (!keys_.has(Role::admin))
        return fail(ErrorKind::key_refused, "a " + to_text(keys_.roles) + "'s key cannot forget points",
                    "use an admin's key or the password");
    TRY(is_certified(stop));
    for (auto const& hold : TRY(list_holds(*this, stop))) {
        auto tag = dataset_tag(keys_, hold.dataset);
        for (auto const& point : points) {
            // By the tag, because a damaged point's name is not known.
            if (hold.holds(point.id, point.dataset == tag ? hold.dataset : ""))
                return fail(ErrorKind::unsafe,
                            "point " + point.id.brief() + " is held (" + hold.hex().substr(0, 8) + ", " +
                                hold.text() + ")",
                            "holdfast hold remove " + hold.hex().substr(0, 8) + " lifts it");
        }
    }
    auto permission = TRY(Permission::load(*this, Deletion::points, stop));
    std::set<std::string> subjects;
    for (auto const& point : points)
        subjects.insert(point.id.hex());
    TRY(permission.require(subjects, stop));
    // Invariant: the log entry before the removal. A point that is gone without it would look like the
    // store's doing; one that is there in spite of it counts for nobody, and is swept later.
    auto logs = TRY(read_logs_checked(Scope::all, stop));
    auto const ring = known_ring();
    auto dropped = Promises(logs, ring).dropped;
    for (auto const& point : points) {
        for (int attempt = 1; !dropped.contains(point.id); ++attempt) {
            LogNote note{LogAction::dropped, point.id, point.dataset, point.time, world_.clock.now()};
            auto head = append_to_log(store_, keys_, world_.random, logs, note, stop);
            if (!head && (head.error().kind != ErrorKind::exists || attempt == kAppendAttemptsMax))
                return fail(std::move(head).error());
            if (head)
                remember({{keys_.id, *head}});
            // A process with the same bundle may have been first.
            logs = TRY(read_logs_checked(Scope::ends, stop));
            dropped.merge(Promises(logs, ring).dropped);
        }
        auto key = point_key(point.dataset, point.time, point.id);
        TRY(store_.remove(ObjectKey(key), stop).within(key));
        TRY(store_.remove(ObjectKey(receipt_key(point.id)), stop).within(receipt_key(point.id)));
    }
    return permission.note_used(subjects, stop);
}

Result<std::uint64_t> StoredRepository::sweep_dropped(std::stop_token stop) {
    std::vector<std::string> receipts, points;
    auto into = [](std::vector<std::string>& keys) {
        return [&keys](ObjectInfo const& info) -> Result<void> {
            keys.push_back(info.key.text());
            return {};
        };
    };
    // Receipts before points before logs: a receipt's point stood before it.
    TRY(store_.list(kReceiptsPrefix, into(receipts), stop));
    TRY(store_.list(kPointsPrefix, into(points), stop));
    Promises promises(TRY(read_logs_checked(Scope::all, stop)), known_ring());
    std::vector<std::string> garbage;
    std::set<std::string> standing;
    for (auto const& key : points) {
        auto name = parse_point_key(key);
        if (!name)
            continue;
        if (promises.dropped.contains(name->id))
            garbage.push_back(key);
        else
            standing.insert(receipt_key(name->id));
    }
    for (auto const& [id, key] : promises.made)
        if (!promises.dropped.contains(id))
            standing.insert(receipt_key(id));
    for (auto const& key : receipts)
        if (!standing.contains(key))
            garbage.push_back(key);
    auto refused = TRY(refused_objects(stop));
    garbage.insert(garbage.end(), refused.begin(), refused.end());
    for (auto const& key : garbage)
        TRY(store_.remove(ObjectKey(key), stop).within(key));
    return garbage.size();
}

// What removed keys wrote too late: it counts for nobody.
Result<std::vector<std::string>> StoredRepository::refused_objects(std::stop_token stop) {
    std::vector<std::string> keys;
    auto const ring = known_ring();
    if (ring.removed.empty())
        return keys;
    auto const list = TRY(list_points(std::nullopt, stop));
    for (auto const& one : list.damaged)
        if (one.refused && one.key.starts_with(kPointsPrefix))
            keys.push_back(one.key);
    for (auto const& [writer, key] : ring.removed) {
        auto visit = [&](ObjectInfo const& info) -> Result<void> {
            if (info.key.text() > log_key(writer, key.removal.last_entry))
                keys.push_back(info.key.text());
            return {};
        };
        if (!key.removal.closing)
            TRY(store_.list(log_prefix(writer), visit, stop));
    }
    auto visit = [&](ObjectInfo const& info) -> Result<void> {
        auto name = parse_wal_key(info.key.text());
        if (!name)
            return {};
        auto key = ring.removed.find(name->range ? name->range->writer : name->history->writer);
        if (key != ring.removed.end() && !key->second.had_stored(info.key.text(), *name))
            keys.push_back(info.key.text());
        return {};
    };
    TRY(store_.list(kWalPrefix, visit, stop));
    return keys;
}

}  // namespace holdfast
