#include "repo/collect.h"

#include <fmt/format.h>

#include <algorithm>

#include "repo/approval.h"
#include "repo/doomed.h"
#include "repo/pack_check.h"
#include "repo/proven.h"
#include "repo/reserve.h"

namespace holdfast {
namespace {

// Entries of packs that are gone stay so long: no writer that relied on one sleeps longer.
constexpr Duration kRememberFor = kLeaseSilenceMax + std::chrono::hours(1);
// More segments than this are merged when they are small.
constexpr std::size_t kSmallSegmentsMax = 16;
constexpr std::size_t kSmallSegmentPacks = 32;
constexpr std::size_t kMergedPacksMax = 256;
constexpr std::size_t kMergedChunksMax = 1u << 17;  // 4.5 MiB of ids
// A backup's first packs may have been stored just before its lease, and clocks differ.
constexpr Duration kStartSlack = std::chrono::hours(1);

struct Segment {
    std::string key;
    std::set<PackId> packs;
};

class Collector {
  public:
    Collector(Repository& repository, PruneOptions const& options, WalkTree const& walk,
              PruneCallback const& progress, std::stop_token stop, KnownLive& known)
        : repository_(repository),
          store_(repository.store()),
          options_(options),
          walk_(walk),
          progress_(progress),
          stop_(std::move(stop)),
          live_(known) {}

    Result<Pruned> run() {
        if (!options_.dry_run) report_.swept = TRY(repository_.sweep_dropped(stop_));
        TRY(look());
        // What stays in the place of a doomed pack is opened before that is deleted.
        TRY(open_keepers());
        if (options_.dry_run) {
            note_plan();
            return std::move(report_);
        }
        TRY(delete_due());
        TRY(repack());
        TRY(doom());
        report_.requests = TRY(permission_->ask(withheld_, stop_));
        // Best effort: a store without it is as it was before.
        (void)keep_reserve(store_, repository_.world().random, stop_);
        return std::move(report_);
    }

  private:
    void advance(char const* stage, std::uint64_t done, std::uint64_t total) const {
        if (progress_) progress_({stage, done, total});
    }

    // ---- what there is

    // The order matters. What is doomed before the points: of a pack that an older list dooms, no later
    // point can have been promised. The points before the index: all that they need is named there. The
    // index before the packs: what it names is there, or was deleted.
    Result<void> look() {
        permission_ = TRY(Permission::load(repository_, Deletion::packs, stop_));
        doomed_ = TRY(list_doomed(repository_, stop_));
        if (!doomed_.damaged.empty()) return mend_doomed();
        leases_ = TRY(list_leases(store_, stop_));
        TRY(look_at_points());
        TRY(look_at_index());
        TRY(look_at_packs());
        choose();
        return {};
    }

    // A list that cannot be read is not missed: what it doomed simply stands, and may be doomed again.
    // But another collector may be deleting by it, so this run does nothing else.
    Result<void> mend_doomed() {
        auto const& [key, error] = *doomed_.damaged.begin();
        auto info = store_.head(ObjectKey(key), stop_);
        if (!info && info.error().kind != ErrorKind::not_found) return fail(std::move(info).error());
        auto old = info && now() - info->modified > kRememberFor;
        if (!options_.dry_run && old) {
            TRY(put_list({.time = now(), .leases = {}, .packs = {}}));
            TRY(store_.remove(ObjectKey(key), stop_));
            return fail(ErrorKind::damaged, error.message + ": it is removed now",
                        "run holdfast prune again");
        }
        return fail(ErrorKind::damaged, error.message,
                    fmt::format("nothing is collected before {}; then holdfast prune removes it",
                                to_rfc3339(std::chrono::floor<std::chrono::seconds>(
                                    (info ? info->modified : now()) + kRememberFor))));
    }

    Result<void> look_at_points() {
        auto list = TRY(repository_.points(stop_));
        for (auto& damaged : list.damaged) {
            if (damaged.refused || !damaged.key.starts_with(kPointsPrefix)) continue;
            return fail(ErrorKind::damaged, damaged.key + ": " + damaged.error.message,
                        "nothing is deleted while it cannot be told what a point needs: get it from the other "
                        "copy (holdfast replicate) or forget it");
        }
        report_.points = list.points.size();
        auto fetch = TRY(repository_.begin_fetch({}, stop_));
        data_keys_ = repository_.data_keys();
        auto still_there = [&](PointId const& id) -> Result<bool> {
            auto now = TRY(repository_.points(stop_));
            return std::ranges::any_of(now.points, [&](PointInfo const& info) { return info.id == id; });
        };
        auto live = TRY(collect_live(
            *fetch, *data_keys_, std::move(list.points), std::move(live_), walk_, still_there,
            [&](std::uint64_t done, std::uint64_t total) { advance("reading points", done, total); }, stop_));
        live_ = std::move(live.live);
        report_.given_up = std::move(live.given_up);
        report_.sealed_points = live.sealed;
        report_.chunks = live_.chunks.size();
        return {};
    }

    Result<void> look_at_index() {
        index_ = std::make_unique<Index>(repository_.keys().id);
        std::set<std::string> loaded;
        for (int look = 1;; ++look) {
            std::vector<ObjectKey> keys;
            auto visit = [&](ObjectInfo const& info) -> Result<void> {
                if (!loaded.contains(info.key.text())) keys.push_back(info.key);
                return {};
            };
            TRY(store_.list("index/", visit, stop_));
            auto segments = load_segments(repository_, keys, LoadSegments::on_executor, stop_);
            bool all_there = true;
            for (std::size_t i = 0; i < segments.size(); ++i) {
                auto& groups = segments[i];
                if (!groups && groups.error().kind == ErrorKind::not_found) {
                    all_there = false;
                    continue;
                }
                if (!groups && groups.error().kind == ErrorKind::damaged) {
                    return fail(Error{ErrorKind::damaged, keys[i].text() + ": " + groups.error().message,
                                      "nothing is deleted while it cannot be told where everything lies: get it "
                                      "from the other copy (holdfast replicate)"});
                }
                if (!groups) return fail(std::move(groups.error()).within("read " + keys[i].text()));
                Segment segment{keys[i].text(), {}};
                index_->add_segment(keys[i].text(), *groups);
                for (auto const& group : *groups) {
                    for (auto const& pack : group.packs) segment.packs.insert(pack.id);
                }
                loaded.insert(segment.key);
                segments_.push_back(std::move(segment));
                advance("reading the index", segments_.size(), loaded.size() + keys.size() - i - 1);
            }
            if (all_there || look == kLooksMax) break;
        }
        report_.segments_before = report_.segments = segments_.size();
        return {};
    }

    Result<void> look_at_packs() {
        std::map<PackId, Time> modified;
        auto visit = [&](ObjectInfo const& info) -> Result<void> {
            auto id = pack_of(info.key);
            if (!id) return {};
            packs_[*id].bytes = info.size;
            modified[*id] = info.modified;
            store_time_ = std::max(store_time_, info.modified);
            ++report_.packs;
            report_.bytes += info.size;
            return {};
        };
        TRY(store_.list("packs/", visit, stop_));
        auto young_after = TRY(youngest_garbage());
        std::map<PackId, bool> right_size;
        for (auto const& pack : TRY(index_->packs())) {
            auto listed = packs_.find(pack.id);
            if (listed != packs_.end()) right_size[pack.id] |= listed->second.bytes == pack.bytes;
        }
        for (auto& [id, pack] : packs_) {
            pack.young = modified[id] > young_after;
            auto named = right_size.find(id);
            pack.damaged = named != right_size.end() && !named->second;
            if (pack.damaged) note_damaged(id, "has another size than the index says");
        }
        // After the packs, as a writer does: so it stores again what is not relied on here.
        PackMarks marks;
        TRY(refresh_marks(repository_, marks, stop_));
        for (auto const& [id, mark] : marks.all()) {
            auto listed = packs_.find(id);
            if (listed != packs_.end()) listed->second.suspect = mark.verdict != PackVerdict::whole;
        }
        for (auto const& [key, list] : doomed_.lists) {
            for (auto const& one : list.packs) {
                auto listed = packs_.find(one.id);
                if (listed == packs_.end()) continue;
                auto due = is_due(list, one);
                // By every list that names it.
                listed->second.due = due && (!listed->second.doomed || listed->second.due);
                listed->second.doomed = true;
            }
        }
        return {};
    }

    // Packs that were stored after this may be a running writer's. A hint: one that is doomed all the
    // same costs its writer time and nothing else.
    Result<Time> youngest_garbage() {
        auto limit = options_.now ? Time::max() : std::max(now(), store_time_) - options_.grace;
        for (auto const& [id, lease] : leases_) {
            if (is_over(lease)) continue;
            ++report_.writers;
            auto key = lease.keys.back();
            auto object = store_.get(ObjectKey(key), stop_);
            if (!object && object.error().kind != ErrorKind::not_found) return fail(std::move(object).error());
            auto certificates = [&](BundleId const& bundle) { return repository_.certificate(bundle, stop_); };
            auto marker = object ? open_lease(key, *object, repository_.keys(), certificates)
                                 : Result<LeaseMarker>(fail(object.error()));
            auto started = marker ? marker->started : lease.modified - std::chrono::days(7);
            limit = std::min(limit, started - kStartSlack);
        }
        return limit;
    }

    // ---- what follows from it

    Time now() const { return repository_.world().clock.now(); }
    // Not even who is in a hurry deletes before every listing shows what was doomed.
    Duration wait() const { return (options_.now ? Duration(0) : kLeaseSilenceMax) + 2 * store_.listing_lag(); }

    bool is_over(ListedLease const& lease) const {
        return std::max(now(), store_time_) - lease.modified > kLeaseSilenceMax;
    }

    // Whether a writer that ran when the list was made may still be the one that runs.
    bool may_run(SeenLease const& seen, DoomedList const& list) const {
        auto listed = leases_.find(seen.lease);
        if (listed == leases_.end()) return false;
        // Silent ever since?
        if (listed->second.renewal == seen.renewal && now() - list.time > wait()) return false;
        return !is_over(listed->second);
    }

    bool is_due(DoomedList const& list, DoomedPack const& pack) const {
        if (wait() == Duration(0)) return true;
        // In the future: a clock is or was wrong. It will come.
        if (pack.since > now() || now() - pack.since <= wait()) return false;
        if (options_.now) return true;
        return std::ranges::none_of(list.leases, [&](auto const& lease) { return may_run(lease, list); });
    }

    void choose() {
        keepers_ = std::make_unique<Keepers>(*index_, live_.chunks, packs_, *data_keys_);
        plan_ = make_plan(*keepers_, packs_, options_.limits);
        report_.sealed = plan_.sealed;
        withhold();
        for (auto const& id : keepers_->irreplaceable()) {
            note_damaged(id, "is known to be damaged, and points need what it alone holds");
        }
        if (plan_.unnamed > 0) {
            note_damaged("index/", fmt::format("does not name {} chunks that points need; {} packs that it does not name, "
                                               "either, may hold them, and stay (see holdfast repair)",
                                               keepers_->unfound(), plan_.unnamed));
        }
    }

    // What others have to agree to waits, doomed.
    void withhold() {
        withheld_.clear();
        std::erase_if(plan_.remove, [&](PackId const& id) {
            if (permission_->allows(id.hex())) return false;
            withheld_.insert(id.hex());
            return true;
        });
        report_.withheld = withheld_.size();
    }

    // ---- the second phase

    // Opens every chunk of the packs on which the deletion of others rests. One that is not what it should
    // be counts for nothing, and the plan is made anew.
    Result<void> open_keepers() {
        if (options_.dry_run) return {};
        HmacKey id_key(repository_.keys().id_key.view());
        std::set<PackId> opened;
        for (bool again = true; again;) {
            again = false;
            std::set<PackId> remove(plan_.remove.begin(), plan_.remove.end());
            auto needed = keepers_->depended_on(remove);
            std::uint64_t done = 0;
            for (auto const& id : needed) {
                advance("checking", ++done, needed.size());
                if (!opened.insert(id).second) continue;
                auto object = store_.get(pack_key(id), stop_);
                if (!object && object.error().kind != ErrorKind::damaged &&
                    object.error().kind != ErrorKind::not_found && object.error().kind != ErrorKind::io) {
                    return fail(std::move(object).error().within("read pack " + id.brief()));
                }
                if (object && is_whole(id, check_pack(*object, id, repository_.id(), *data_keys_, id_key))) continue;
                packs_[id].damaged = true;
                note_damaged(id, object ? "is not what was written" : object.error().message);
                again = true;
            }
            if (again) choose();
        }
        return {};
    }

    // Whether everything that the index says of the pack is true.
    bool is_whole(PackId const& id, PackReport const& report) const {
        if (!report.errors.empty() || !report.summary) return false;
        auto const named = index_->packs().value();
        for (std::size_t number = 0; number < named.size(); ++number) {
            if (named[number].id != id) continue;
            if (named[number].header != report.summary->header) return false;
            if (index_->directory(number).value() != report.summary->directory) return false;
        }
        return true;
    }

    Result<void> delete_due() {
        std::set<PackId> remove(plan_.remove.begin(), plan_.remove.end());
        // Invariant: what the index names is there. So the names go first.
        TRY(rewrite_index(remove));
        for (auto const& id : plan_.remove) {
            TRY(store_.remove(pack_key(id), stop_).within("delete pack " + id.brief()));
            ++report_.deleted;
            report_.deleted_bytes += packs_[id].bytes;
            packs_.erase(id);
            advance("deleting", report_.deleted, plan_.remove.size());
        }
        std::set<std::string> gone;
        for (auto const& id : plan_.remove) gone.insert(id.hex());
        return permission_->note_used(gone, stop_);
    }

    // Segments that name packs that go, or that are many and small, are replaced. The new ones stand
    // before an old one is removed, so everything is named at every moment.
    Result<void> rewrite_index(std::set<PackId> const& remove) {
        auto gone = TRY(find_gone());
        auto goes = [&](PackId const& id) { return remove.contains(id) || gone.contains(id); };
        std::vector<Segment const*> old;
        auto small = static_cast<std::size_t>(std::ranges::count_if(
            segments_, [](Segment const& one) { return one.packs.size() < kSmallSegmentPacks; }));
        for (auto const& segment : segments_) {
            auto merge = small > kSmallSegmentsMax && segment.packs.size() < kSmallSegmentPacks;
            if (merge || std::ranges::any_of(segment.packs, goes)) old.push_back(&segment);
        }
        if (old.empty()) return {};
        std::set<PackId> named;
        for (auto const* segment : old) named.insert(segment->packs.begin(), segment->packs.end());
        TRY(put_merged(named, goes));
        TRY(wait_for_listings());
        for (auto const* segment : old) TRY(store_.remove(ObjectKey(segment->key), stop_).within(segment->key));
        report_.segments -= old.size();
        return {};
    }

    // Packs that segments name, that are not there, and that nobody misses: another collector deleted them
    // when this one had read the index. A listing may only lag behind, so each is asked for.
    Result<std::set<PackId>> find_gone() {
        std::set<PackId> gone;
        for (auto const& segment : segments_) {
            for (auto const& id : segment.packs) {
                if (packs_.contains(id) || keepers_->missed().contains(id) || gone.contains(id)) continue;
                auto found = store_.head(pack_key(id), stop_);
                if (found) continue;
                if (found.error().kind != ErrorKind::not_found) return fail(std::move(found).error());
                gone.insert(id);
            }
        }
        return gone;
    }

    // Names again what the index says of `named`, except what goes.
    template <typename Goes>
    Result<void> put_merged(std::set<PackId> const& named, Goes const& goes) {
        std::map<BundleId, std::vector<PackSummary>> groups;
        std::size_t packs = 0, chunks = 0;
        auto flush = [&]() -> Result<void> {
            if (packs == 0) return {};
            std::vector<SegmentGroup> merged;
            for (auto& [writer, summaries] : groups) merged.push_back({writer, std::move(summaries)});
            auto object = repository_.seal(DocumentKind::merged, encode_merged(merged));
            auto key = segment_key(object);
            TRY(put_from_reserve(store_, key, object, stop_).within(key.text()));
            ++report_.segments;
            groups.clear();
            packs = chunks = 0;
            return {};
        };
        auto const all = TRY(index_->packs());
        for (std::size_t number = 0; number < all.size(); ++number) {
            auto const& pack = all[number];
            if (!named.contains(pack.id) || goes(pack.id)) continue;
            groups[pack.writer].push_back({.id = pack.id,
                                           .bytes = pack.bytes,
                                           .header = pack.header,
                                           .directory = TRY(index_->directory(number))});
            chunks += pack.chunks;
            if (++packs >= kMergedPacksMax || chunks >= kMergedChunksMax) TRY(flush());
        }
        return flush();
    }

    // ---- the first phase

    Result<void> repack() {
        if (plan_.rescue.empty() && plan_.repack.empty()) return {};
        Repacker repacker(repository_, *index_, *keepers_, data_keys_, options_.shape, stop_);
        std::vector<PackId> copied;
        auto total = plan_.rescue.size() + plan_.repack.size();
        auto copy = [&](PackId const& id, Repacker::From from) -> Result<void> {
            advance("repacking", report_.repacked + 1, total);
            auto whole = TRY(repacker.copy(id, from));
            ++report_.repacked;
            report_.repacked_bytes += packs_[id].bytes;
            if (whole && from == Repacker::From::standing) copied.push_back(id);
            if (stop_.stop_requested()) return fail(ErrorKind::cancelled, "stopped");
            return {};
        };
        Result<void> done;
        for (auto const& id : plan_.rescue) {
            if (done) done = copy(id, Repacker::From::doomed);
        }
        for (auto const& id : plan_.repack) {
            if (done) done = copy(id, Repacker::From::standing);
        }
        if (done) done = repacker.finish();
        report_.copied_bytes = repacker.bytes_stored();
        for (auto const& one : repacker.damaged()) note_damaged(one.pack, one.error.message);
        // On a full disk what can be deleted goes, and what is mostly dead waits until there is room.
        if (!done && done.error().kind == ErrorKind::no_space) return repacker.abandon();
        TRY(std::move(done));
        plan_.doom.insert(plan_.doom.end(), copied.begin(), copied.end());
        return {};
    }

    // Until whoever lists sees what was put: only then may go what it replaces.
    Result<void> wait_for_listings() { return pause_for(repository_, store_.listing_lag(), stop_); }

    Result<void> put_list(DoomedList const& list) {
        auto object = repository_.seal(DocumentKind::doomed, encode(list));
        auto key = doomed_key(object);
        TRY(put_from_reserve(store_, ObjectKey(key), object, stop_).within(key));
        return {};
    }

    static std::vector<SeenLease> seen(std::map<std::array<std::uint8_t, 16>, ListedLease> const& leases) {
        std::vector<SeenLease> all;
        for (auto const& [id, lease] : leases) all.push_back({id, lease.renewal});
        return all;
    }

    // Puts the list of what is doomed and what was deleted, then removes the lists that it replaces.
    Result<void> doom() {
        DoomedList list{.time = now(), .leases = seen(leases_), .packs = {}};
        for (auto const& id : plan_.doom) {
            list.packs.push_back({id, list.time, false});
            ++report_.doomed;
            report_.doomed_bytes += packs_[id].bytes;
        }
        std::vector<std::string> replaced;
        bool changed = !list.packs.empty();
        for (auto const& [key, old] : doomed_.lists) {
            auto stands = [&](DoomedPack const& pack) { return packs_.contains(pack.id); };
            // From a clock that was ahead: its wait begins anew, or it would never end.
            auto ahead = old.time > now() + kRememberFor;
            if (std::ranges::any_of(old.packs, stands) && !ahead) continue;
            replaced.push_back(key);
            for (auto const& pack : old.packs) {
                if (stands(pack)) {
                    changed = true;
                    list.packs.push_back({pack.id, list.time, false});
                } else if (!pack.deleted) {
                    changed = true;
                    list.packs.push_back({pack.id, list.time, true});
                } else if (now() - pack.since <= kRememberFor) {
                    list.packs.push_back(pack);
                }
            }
        }
        note_waiting(list);
        if (!changed && replaced.size() < 2) return {};
        TRY(put_list(list));
        // A writer that began while that was on its way may have chosen before it could see it.
        for (int look = 1; look < kLooksMax; ++look) {
            auto leases = seen(TRY(list_leases(store_, stop_)));
            auto known = [&](SeenLease const& lease) {
                return std::ranges::any_of(list.leases, [&](auto const& one) { return one.lease == lease.lease; });
            };
            if (std::ranges::all_of(leases, known)) break;
            list.leases = std::move(leases);
            std::erase_if(list.packs, [](auto const& pack) { return pack.deleted; });
            if (list.packs.empty()) break;
            TRY(put_list(list));
        }
        if (!replaced.empty()) TRY(wait_for_listings());
        for (auto const& key : replaced) TRY(store_.remove(ObjectKey(key), stop_).within(key));
        for (auto const& [id, lease] : leases_) {
            if (now() - lease.modified <= 4 * kLeaseSilenceMax || !is_over(lease)) continue;
            for (auto const& key : lease.keys) TRY(store_.remove(ObjectKey(key), stop_).within(key));
        }
        return {};
    }

    // ---- what is told

    void note_damaged(PackId const& id, std::string message) {
        note_damaged(pack_key(id).text(), std::move(message));
    }
    void note_damaged(std::string const& key, std::string message) {
        auto known = [&](auto const& one) { return one.key == key; };
        if (std::ranges::none_of(report_.damaged, known))
            report_.damaged.push_back({key, {ErrorKind::damaged, std::move(message), {}}});
    }

    void note_waiting(DoomedList const& fresh) {
        report_.unused_bytes = plan_.unused_bytes;
        report_.postponed_bytes = plan_.postponed_bytes;
        report_.young = plan_.young;
        auto hear = [&](DoomedPack const& pack) {
            if (pack.deleted || !packs_.contains(pack.id)) return;
            auto due = pack.since + wait();
            if (!report_.due || due < *report_.due) report_.due = due;
        };
        for (auto const& [key, list] : doomed_.lists) std::ranges::for_each(list.packs, hear);
        std::ranges::for_each(fresh.packs, hear);
        for (auto const& [id, pack] : packs_) {
            if (!pack.doomed) continue;
            ++report_.waiting;
            report_.waiting_bytes += pack.bytes;
        }
    }

    void note_plan() {
        for (auto const& id : plan_.remove) {
            ++report_.deleted;
            report_.deleted_bytes += packs_[id].bytes;
        }
        for (auto const* some : {&plan_.rescue, &plan_.repack}) {
            for (auto const& id : *some) {
                ++report_.repacked;
                report_.repacked_bytes += packs_[id].bytes;
            }
        }
        for (auto const* some : {&plan_.doom, &plan_.repack}) {
            for (auto const& id : *some) {
                ++report_.doomed;
                report_.doomed_bytes += packs_[id].bytes;
            }
        }
        for (auto const& id : plan_.remove) packs_.erase(id);
        note_waiting({});
    }

    Repository& repository_;
    Store& store_;
    PruneOptions const& options_;
    WalkTree const& walk_;
    PruneCallback const& progress_;
    std::stop_token const stop_;

    std::optional<Permission> permission_;
    std::set<std::string> withheld_;  // due, and others have to agree
    Doomed doomed_;
    std::map<std::array<std::uint8_t, 16>, ListedLease> leases_;
    std::shared_ptr<DataKeys const> data_keys_;  // as of the points
    KnownLive& live_;
    std::unique_ptr<Index> index_;
    std::vector<Segment> segments_;
    ListedPacks packs_;
    Time store_time_{};  // the newest that the store has shown
    std::unique_ptr<Keepers> keepers_;
    PrunePlan plan_;
    Pruned report_;
};

}  // namespace

Result<void> pause_for(Repository& repository, Duration duration, std::stop_token stop) {
    if (duration == Duration(0) || repository.world().clock.sleep(duration, stop)) return {};
    return fail(ErrorKind::cancelled, "stopped");
}

Result<Pruned> collect_once(Repository& repository, PruneOptions const& options, WalkTree const& walk,
                            PruneCallback const& progress, KnownLive& known, std::stop_token stop) {
    return Collector(repository, options, walk, progress, std::move(stop), known).run();
}

}  // namespace holdfast
