#include "repo/repository.h"

#include <algorithm>
#include <mutex>
#include <set>

#include "repo/approval.h"
#include "repo/certificates.h"
#include "repo/config.h"
#include "repo/heads.h"
#include "repo/hold.h"
#include "repo/leased_ingest.h"
#include "repo/receipt.h"
#include "repo/ring_file.h"
#include "repo/repository_parts.h"
#include "repo/wal_key.h"
#include "repo/writer_log.h"

namespace holdfast {
namespace {

constexpr std::uint64_t kPointBytesMax = 16u << 20;
constexpr std::uint64_t kReceiptBytesMax = 1u << 20;
// How often another process with the same bundle may be first before we give up.
constexpr int kAppendAttemptsMax = 100;
constexpr int kReadAttemptsMax = 3;
// Whoever writes for months hears of a new key ring after so long.
constexpr Duration kRingLookEvery = std::chrono::seconds(10);

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

constexpr char kStillUsed[] = "somebody still uses the removed key; holdfast prune sweeps this away";

Error removed_key(BundleId const& id, KeyRemoval const& removal) {
    return {ErrorKind::key_refused,
            "key " + id.brief() + " was removed by an admin (" + to_rfc3339(removal.time) + ")",
            "an admin exports a new one with `holdfast key export`"};
}

class StoredRepository : public Repository {
  public:
    StoredRepository(Store& store, KeyBundle keys, RepositoryWorld world,
                     OpenRepositoryOptions options)
        : store_(store),
          keys_(std::move(keys)),
          world_(std::move(world)),
          options_(options),
          certificates_(store, keys_.repository, keys_.admin_public),
          heads_(world_.state, keys_.repository),
          seen_ring_(world_.state, keys_.repository) {}

    Result<void> check(LoadedConfig const& loaded);

    RepositoryId id() const override { return keys_.repository; }
    KeyBundle const& keys() const override { return keys_; }
    Store& store() const override { return store_; }
    RepositoryWorld const& world() const override { return world_; }
    std::vector<std::string> notices() const override;

    Bytes seal(DocumentKind kind, ByteView plain) override {
        return seal_document(kind, keys_, plain, world_.random);
    }
    Result<OpenDocument> open(DocumentKind kind, ByteView bytes, std::stop_token stop) override {
        return open_document(kind, keys_, bytes, lookup(stop));
    }

    std::shared_ptr<DataKeys const> data_keys() const override {
        std::lock_guard lock(mutex_);
        return data_keys_;
    }
    Result<LoadedRing> ring(std::stop_token stop) override;
    Result<void> keep_up_with_keys(std::stop_token stop) override;
    std::optional<RemovedKey> removed(BundleId const& id) const override {
        std::lock_guard lock(mutex_);
        auto found = ring_.ring.removed.find(id);
        if (found == ring_.ring.removed.end())
            return {};
        return found->second;
    }

    Result<KeyCertificate> certificate(BundleId const& id, std::stop_token stop) override {
        auto certificate = TRY(certificates_.find(id, stop));
        std::lock_guard lock(mutex_);
        auto removal = ring_.ring.removed.find(id);
        if (removal != ring_.ring.removed.end())
            certificate.removed = removal->second.removal;
        return certificate;
    }

    Result<PointList> points(std::stop_token stop) override {
        return list_points(std::nullopt, stop);
    }
    Result<PointList> points_of(std::string_view dataset, std::stop_token stop) override {
        return list_points(dataset_tag(keys_, dataset), stop);
    }
    Result<std::unique_ptr<Ingest>> begin_ingest(IngestLimits limits,
                                                 std::stop_token stop) override;
    Result<PointInfo> publish(Ingest& ingest, RecoveryPoint point, std::stop_token stop) override;
    Result<void> drop(std::span<PointKey const> points, std::stop_token stop) override;
    Result<std::uint64_t> sweep_dropped(std::stop_token stop) override;
    Result<std::unique_ptr<Fetch>> begin_fetch(FetchLimits limits, std::stop_token stop) override;

  private:
    enum class Scope { all, ends };  // of the logs: every entry, or from the remembered heads on

    CertificateLookup lookup(std::stop_token stop) {
        return [this, stop](BundleId const& id) { return certificate(id, stop); };
    }
    KeyRing known_ring() const {
        std::lock_guard lock(mutex_);
        return ring_.ring;
    }
    Result<LoadedRing> load_checked_ring(std::stop_token stop);
    Result<void> is_standing_locked() const;
    Result<void> may_write(std::stop_token stop);
    Result<void> is_certified(std::stop_token stop);
    bool clock_is_behind(Time known);
    Time last_own_entry() const;
    Result<Logs> read_logs_checked(Scope scope, std::stop_token stop);
    Result<LogHead> note_in_log(LogNote const& note, std::stop_token stop);
    Result<PointList> list_points(std::optional<DatasetTag> dataset, std::stop_token stop);
    Result<void> read_point(std::string const& key, PointList& list, std::stop_token stop);
    Result<void> add_receipts(PointList& list, std::stop_token stop);
    void refuse_later_points(PointList& list, KeyRing const& ring, Logs const& logs);
    static LogHeads lasting_heads(Logs const& logs, KeyRing const& ring);
    bool is_beyond_removal(LogClaim const& claim) const;
    Result<std::vector<std::string>> refused_objects(std::stop_token stop);
    Result<std::optional<Time>> give_receipt(PointId const& point, std::stop_token stop);
    void remember(LogHeads const& heads);
    void notice(std::string text);

    Store& store_;
    KeyBundle const keys_;
    RepositoryWorld const world_;
    OpenRepositoryOptions const options_;
    Certificates certificates_;
    HeadsFile const heads_;
    RingFile const seen_ring_;

    mutable std::mutex mutex_;  // of what follows: what was read and checked once is kept
    std::vector<std::string> notices_;
    Logs logs_;
    std::map<std::string, PointInfo> points_;  // by key; without receipt and confirmation
    std::map<PointId, Time> receipts_;
    LoadedRing ring_;
    std::shared_ptr<DataKeys const> data_keys_;  // nothing until the ring was looked for
    Duration ring_looked_{};                     // by Clock::elapsed
};

Result<void> StoredRepository::check(LoadedConfig const& loaded) {
    auto const& config = loaded.config;
    if (config.repository != keys_.repository)
        return fail(ErrorKind::key_refused,
                    "this key is of repository " + keys_.repository.brief() + ", " +
                        store_.describe() + " is " + config.repository.brief(),
                    "give the key of this repository, or its password");
    if (config.admin != keys_.admin_public)
        return fail(ErrorKind::damaged,
                    std::string(kConfigKey) + ": is signed by an admin that this key does not know",
                    "somebody replaced it: compare the admin key with the emergency kit");
    if (config.data_key != data_key_id(keys_.data_public))
        return fail(ErrorKind::damaged,
                    std::string(kConfigKey) + ": names another data key than this key does");
    notices_ = loaded.notices;
    return {};
}

std::vector<std::string> StoredRepository::notices() const {
    std::vector<std::string> all;
    {
        std::lock_guard lock(mutex_);
        all = notices_;
    }
    for (auto& text : certificates_.notices())
        all.push_back(std::move(text));
    return all;
}

void StoredRepository::notice(std::string text) {
    std::lock_guard lock(mutex_);
    if (std::ranges::find(notices_, text) == notices_.end())
        notices_.push_back(std::move(text));
}

Result<LoadedRing> StoredRepository::ring(std::stop_token stop) {
    std::uint64_t known = 0;
    bool looked = false;
    {
        std::lock_guard lock(mutex_);
        known = ring_.ring.n;
        looked = data_keys_ != nullptr && !ring_.newer;
        ring_looked_ = world_.clock.elapsed();
    }
    if (looked) {
        auto next = store_.head(ObjectKey(ring_key(known + 1)), stop);
        if (!next && next.error().kind != ErrorKind::not_found)
            return fail(std::move(next).error().within(ring_key(known + 1)));
        std::lock_guard lock(mutex_);
        if (!next)
            return ring_;
    }
    auto loaded = TRY(load_checked_ring(stop));
    auto data_keys = std::make_shared<DataKeys const>(TRY(DataKeys::create(keys_, loaded.ring)));
    for (auto& text : loaded.notices)
        notice(std::move(text));
    if (loaded.newer)
        notice("the newest key ring can't be read (" + loaded.newer->message +
               "): an older one was used, and nothing is written");
    std::lock_guard lock(mutex_);
    ring_ = std::move(loaded);
    data_keys_ = std::move(data_keys);
    return ring_;
}

// A store that hides a ring would bring a removed key back, or have old keys used again.
Result<LoadedRing> StoredRepository::load_checked_ring(std::stop_token stop) {
    auto remembered = seen_ring_.load();
    if (!remembered && !(options_.accept_rollback && remembered.error().kind == ErrorKind::damaged))
        return fail(std::move(remembered).error());
    auto seen = remembered ? *remembered : SeenRing{};
    // A ring is signed by an admin, and no admin's key is ever removed.
    auto plain = [this, stop](BundleId const& id) { return certificates_.find(id, stop); };
    auto loaded = TRY(load_ring(store_, keys_, plain, seen.n, stop));
    SeenRing const shown{loaded.ring.n, loaded.hash};
    if (shown == seen)
        return loaded;
    if (shown.n <= seen.n) {
        auto what = shown.n == seen.n ? ring_key(shown.n) + " is not the one that this machine saw"
                                      : "the key rings end at " + std::to_string(shown.n) +
                                            ", but this machine saw " + ring_key(seen.n);
        // What is there and damaged is not what went back in time; it is read with what is left.
        if (loaded.newer)
            return loaded;
        if (!options_.accept_rollback)
            return fail(ErrorKind::damaged,
                        "repository " + id().brief() + " in " + store_.describe() +
                            " went back in time: " + what,
                        "find out who put an older state in its place; --accept-rollback takes what "
                        "it shows");
        notice("accepted although it went back in time: " + what);
    }
    auto kept = seen_ring_.save(shown);
    if (!kept)
        notice("which key ring is the newest could not be remembered: " + kept.error().message);
    return loaded;
}

// key_refused when this very key was removed. The mutex is held.
Result<void> StoredRepository::is_standing_locked() const {
    auto removal = ring_.ring.removed.find(keys_.id);
    if (removal != ring_.ring.removed.end())
        return fail(removed_key(keys_.id, removal->second.removal));
    return {};
}

Result<void> StoredRepository::keep_up_with_keys(std::stop_token stop) {
    {
        std::lock_guard lock(mutex_);
        if (world_.clock.elapsed() - ring_looked_ < kRingLookEvery)
            return is_standing_locked();
    }
    auto ring = this->ring(stop);
    auto kind = ring ? ErrorKind::internal : ring.error().kind;
    if (!ring && kind != ErrorKind::unreachable && kind != ErrorKind::io)
        return fail(std::move(ring).error());
    std::lock_guard lock(mutex_);
    return is_standing_locked();
}

// What a writer signs is worth nothing while others do not find its certificate.
Result<void> StoredRepository::may_write(std::stop_token stop) {
    if (!keys_.has(Role::writer))
        return fail(ErrorKind::key_refused, "a " + to_text(keys_.roles) + "'s key cannot back up",
                    "use a writer's key or the password");
    return is_certified(stop);
}

Result<void> StoredRepository::is_certified(std::stop_token stop) {
    auto ring = TRY(this->ring(stop));
    if (ring.newer)
        return fail(ErrorKind::damaged, "the newest key ring can't be read: " + ring.newer->message,
                    "nothing is written until it is brought back from a copy of the repository");
    if (auto removal = ring.ring.removed.find(keys_.id); removal != ring.ring.removed.end())
        return fail(removed_key(keys_.id, removal->second.removal));
    auto own = certificates_.find(keys_.id, stop);
    if (!own && own.error().kind == ErrorKind::damaged)
        return fail(ErrorKind::damaged,
                    "the certificate of this key, " + key_object_key(keys_.id) +
                        ", is gone or damaged: nobody would accept what it signs",
                    "export a new key with `holdfast key export`");
    if (!own)
        return fail(std::move(own).error());
    if (own->roles != keys_.roles || own->sign_public != keys_.sign.public_key)
        return fail(ErrorKind::damaged,
                    key_object_key(keys_.id) + ": is not this key's certificate");
    return {};
}

Result<Logs> StoredRepository::read_logs_checked(Scope scope, std::stop_token stop) {
    // Before the store is read: what another process remembers meanwhile may be newer than that.
    auto remembered = heads_.load();
    if (!remembered) {
        if (!options_.accept_rollback || remembered.error().kind != ErrorKind::damaged)
            return fail(std::move(remembered).error());
        remembered = RememberedHeads{};
    }
    auto since = scope == Scope::all || options_.accept_rollback ? LogHeads{} : remembered->heads;
    for (int attempt = 1;; ++attempt) {
        Logs known;
        {
            std::lock_guard lock(mutex_);
            known = logs_;
        }
        auto logs = TRY(read_logs(store_, keys_, lookup(stop), since, &known, stop));
        {
            std::lock_guard lock(mutex_);
            for (auto const& [writer, log] : logs.writers)
                for (auto const& [n, item] : log.items)
                    if (item.entry)
                        logs_.writers[writer].items.insert_or_assign(n, item);
        }
        auto contradictions = logs.contradictions(remembered->heads);
        // How far the log of a removed key went stands in the ring.
        LogHeads removed;
        for (auto const& [writer, key] : known_ring().removed) {
            if (!key.removal.closing && key.removal.last_entry > 0)
                removed[writer] = {key.removal.last_entry, key.removal.last_hash};
        }
        contradictions.merge(logs.contradictions(removed, "the admin who removed its key"));
        std::erase_if(contradictions, [&](auto const& one) {
            return remembered->accepted.contains(one.first) || is_beyond_removal(one.first);
        });
        if (contradictions.empty())
            return logs;
        // An entry that was put while the logs were listed may have been seen by one that was
        // listed later. Another look tells.
        if (attempt < kReadAttemptsMax) {
            if (!world_.clock.sleep(std::chrono::milliseconds(100), stop))
                return fail(ErrorKind::cancelled, "stopped");
            continue;
        }
        if (!options_.accept_rollback)
            return fail(
                ErrorKind::damaged,
                "repository " + id().brief() + " in " + store_.describe() +
                    " went back in time: " + contradictions.begin()->second,
                "find out who put an older state in its place; --accept-rollback takes what "
                "it shows");
        for (auto const& [claim, sentence] : contradictions)
            notice("accepted although it went back in time: " + sentence);
        TRY(heads_.update(
            [&](RememberedHeads& mine) {
                mine.heads = logs.heads();
                for (auto const& [claim, sentence] : contradictions)
                    mine.accepted.insert(claim);
            },
            {.replace_damaged = true}));
        return logs;
    }
}

void StoredRepository::remember(LogHeads const& heads) {
    auto kept = heads_.update([&](RememberedHeads& mine) { mine.advance(heads); },
                              {.replace_damaged = options_.accept_rollback});
    // What was read or published stands without it; only the next rollback may go unnoticed.
    if (!kept)
        notice("where the logs end could not be remembered: " + kept.error().message);
}

Result<LogHead> StoredRepository::note_in_log(LogNote const& note, std::stop_token stop) {
    for (int attempt = 1;; ++attempt) {
        auto logs = TRY(read_logs_checked(Scope::ends, stop));
        auto head = append_to_log(store_, keys_, world_.random, logs, note, stop);
        if (!head && head.error().kind == ErrorKind::exists && attempt < kAppendAttemptsMax)
            continue;
        if (!head)
            return head;
        // State last: it must never tell of what the store does not have.
        auto heads = logs.heads();
        heads[keys_.id] = *head;
        remember(heads);
        return head;
    }
}

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

// What a removed key wrote too late is swept away one day, and nobody shall miss it.
LogHeads StoredRepository::lasting_heads(Logs const& logs, KeyRing const& ring) {
    auto heads = logs.heads();
    for (auto const& [writer, key] : ring.removed) {
        auto head = heads.find(writer);
        if (head != heads.end() && !key.counts(head->second.n))
            heads.erase(head);
    }
    return heads;
}

bool StoredRepository::is_beyond_removal(LogClaim const& claim) const {
    std::lock_guard lock(mutex_);
    auto key = ring_.ring.removed.find(claim.writer);
    return key != ring_.ring.removed.end() && !key->second.counts(claim.head.n);
}

// Whether this machine's clock is before a time at which an admin's clock has been. Receipts by such a
// clock would make young points old.
bool StoredRepository::clock_is_behind(Time known) {
    if (world_.clock.now() + std::chrono::hours(24) >= known)
        return false;
    notice("this machine's clock is behind: it says " + to_rfc3339(world_.clock.now()) +
           ", and it was " + to_rfc3339(known) + " already. No receipts are given until it is set");
    return true;
}

// When this bundle last wrote to its log, as far as was read; long ago when it never did.
Time StoredRepository::last_own_entry() const {
    std::lock_guard lock(mutex_);
    auto own = logs_.writers.find(keys_.id);
    if (own == logs_.writers.end())
        return {};
    for (auto item = own->second.items.rbegin(); item != own->second.items.rend(); ++item)
        if (item->second.entry)
            return item->second.entry->time;
    return {};
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

Result<std::unique_ptr<Ingest>> StoredRepository::begin_ingest(IngestLimits limits,
                                                               std::stop_token stop) {
    TRY(may_write(stop));
    TRY(read_logs_checked(Scope::ends, stop));
    // The lease before anything is relied on: a collector that does not see it has doomed its packs
    // before, and this writer sees that.
    auto lease = TRY(Lease::acquire(store_, keys_, world_.clock, world_.random, stop));
    auto ingest = TRY(make_ingest(*this, limits, stop));
    return with_lease(std::move(ingest), std::move(lease), stop);
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

Result<std::unique_ptr<Fetch>> StoredRepository::begin_fetch(FetchLimits limits,
                                                             std::stop_token stop) {
    if (!keys_.data_private)
        return fail(ErrorKind::key_refused, "a " + to_text(keys_.roles) + "'s key cannot read",
                    "use a reader's key or the password");
    TRY(ring(stop));
    return make_fetch(*this, limits, stop);
}

}  // namespace

Result<std::unique_ptr<Repository>> open_repository(Store& store, KeyBundle keys,
                                                    RepositoryWorld world,
                                                    OpenRepositoryOptions options,
                                                    std::stop_token stop) {
    auto loaded = TRY(load_config(store, stop));
    auto repository =
        std::make_unique<StoredRepository>(store, std::move(keys), std::move(world), options);
    TRY(repository->check(loaded));
    auto ring = TRY(repository->ring(stop));
    auto own = repository->keys().id;
    if (auto removal = ring.ring.removed.find(own); removal != ring.ring.removed.end())
        return fail(removed_key(own, removal->second.removal));
    return std::unique_ptr<Repository>(std::move(repository));
}

}  // namespace holdfast
