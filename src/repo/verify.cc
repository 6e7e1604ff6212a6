#include "repo/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "os/fan_out.h"
#include "repo/certificates.h"
#include "repo/doomed.h"
#include "repo/index.h"
#include "repo/mend.h"
#include "repo/object_check.h"
#include "repo/pack_check.h"
#include "repo/proven.h"
#include "repo/writer_log.h"

namespace holdfast {
namespace {

// Sealed and raw bytes of the packs that are checked at the same time.
constexpr std::uint64_t kBytesInFlight = 128u << 20;
// Packs are of about the same size: then the same memory serves them all.
constexpr std::uint64_t kMemoryStep = 8u << 20;

bool is_damage(ErrorKind kind) {
    return kind != ErrorKind::unreachable && kind != ErrorKind::cancelled && kind != ErrorKind::internal &&
           kind != ErrorKind::no_space;
}

class Verifier {
  public:
    Verifier(Repository& repository, VerifyRepositoryOptions options, WalkTree const& walk,
             VerifyRepositoryCallback const& progress, std::stop_token stop)
        : repository_(repository),
          options_(options),
          walk_(walk),
          callback_(progress),
          stop_(std::move(stop)),
          certificates_(repository.store(), repository.id(), repository.keys().admin_public),
          lookup_([this](BundleId const& id) { return certificates_.find(id, stop_); }),
          id_key_(repository.keys().id_key.view()),
          data_keys_(repository.data_keys()) {}

    Result<Verification> run() {
        // The index before the objects: a pack that it names was durable before it.
        TRY(load_index());
        TRY(list_objects());
        TRY(refresh_marks(repository_, marks_, stop_));
        select_packs();
        TRY(check_packs_present());
        TRY(check_packs_data());
        find_lost();
        TRY(keep_marks());
        count_proven();
        TRY(check_documents());
        TRY(check_logs());
        TRY(check_points());
        finish();
        return std::move(found_);
    }

  private:
    void damaged(std::string const& key, Error error, bool mendable = false) {
        std::lock_guard lock(mutex_);
        found_.damaged.push_back({key, std::move(error), mendable});
    }

    template <typename Change>
    void advance(std::string_view current, Change const& change) {
        std::lock_guard lock(mutex_);
        change(progress_);
        progress_.current = current;
        if (callback_) callback_(progress_);
    }

    Result<void> load_index() {
        // What was read earlier says nothing about what is there now.
        index_ = TRY(refresh_index(repository_, {.afresh = true}, stop_));
        for (auto& segment : index_->damaged()) damaged(segment.key, std::move(segment.error));
        named_ = TRY(index_->packs());
        for (std::uint32_t i = 0; i < named_.size(); ++i) numbers_[named_[i].id].push_back(i);
        found_.chunks = index_->chunks();
        return {};
    }

    Result<void> list_objects() {
        TRY(repository_.store().list(
            "",
            [&](ObjectInfo const& info) -> Result<void> {
                ++found_.objects;
                auto const& key = info.key.text();
                switch (room_of(key)) {
                    case ObjectRoom::pack:
                        packs_.emplace(*pack_of(info.key), info.size);
                        break;
                    case ObjectRoom::log:
                        logs_.insert(key);
                        break;
                    case ObjectRoom::index:
                    case ObjectRoom::reserve:
                        break;
                    case ObjectRoom::unknown:
                        found_.unknown.push_back(key);
                        break;
                    default:
                        documents_.push_back(key);
                }
                return {};
            },
            stop_));
        found_.packs = packs_.size();
        progress_.objects_total = documents_.size();
        for (auto const& [id, size] : packs_) {
            if (!numbers_.contains(id)) ++found_.unnamed_packs;
        }
        return {};
    }

    // Whether the pack is read in full.
    bool is_read(PackId const& id) const { return selected_.contains(id); }

    // Those that were proven longest ago first; damaged ones, which may be mended by now, before them.
    void select_packs() {
        selected_ = options_.suspects;
        std::vector<std::pair<Time, PackId>> due;
        std::uint64_t all = 0;
        auto const now = repository_.world().clock.now();
        for (auto const& [id, size] : packs_) {
            all += size;
            auto const* mark = marks_.find(id);
            auto time = mark != nullptr && mark->verdict == PackVerdict::whole ? mark->time : Time{};
            // Known damage is never passed over.
            if (mark != nullptr && mark->verdict == PackVerdict::damaged) selected_.insert(id);
            if (options_.older_than && time != Time{} && now - time < *options_.older_than) continue;
            if (options_.data) due.emplace_back(time, id);
        }
        std::ranges::sort(due);
        auto budget = options_.budget_bytes.value_or(UINT64_MAX);
        if (options_.budget_share) {
            // Never nothing: however small, the share comes by everything some day.
            auto share = static_cast<std::uint64_t>(std::ceil(static_cast<double>(all) * *options_.budget_share));
            budget = std::min(budget, std::max<std::uint64_t>(1, share));
        }
        std::uint64_t taken = 0;
        for (auto const& [time, id] : due) {
            if (taken >= budget) break;
            taken += packs_.at(id);
            selected_.insert(id);
        }
        for (auto const& id : selected_) {
            if (auto found = packs_.find(id); found != packs_.end()) {
                ++progress_.objects_total;
                progress_.bytes_total += found->second;
            }
        }
    }

    // A store that can only be read is verified all the same, and remembers nothing.
    Result<void> keep_marks() {
        auto kept = store_marks(repository_, std::move(new_marks_), marks_, stop_);
        if (!kept && kept.error().kind == ErrorKind::cancelled) return kept;
        if (!kept) found_.unremembered = std::move(kept.error());
        return {};
    }

    // What readers have found so far, this run included.
    void count_proven() {
        proven_.resize(named_.size());
        for (std::uint32_t number = 0; number < named_.size(); ++number) {
            proven_[number] = packs_.contains(named_[number].id) && is_proven(named_[number], marks_);
        }
        for (auto const& [id, size] : packs_) {
            auto const* mark = marks_.find(id);
            if (mark == nullptr || mark->verdict != PackVerdict::whole) continue;
            ++found_.packs_proven;
            found_.proven_since = std::min(found_.proven_since.value_or(mark->time), mark->time);
        }
    }

    // It was read afresh, so it lies in memory: nothing of it can fail.
    PackDirectory directory(std::uint32_t number) const { return index_->directory(number).value(); }
    std::vector<ChunkLocation> find(ChunkId const& id) const { return index_->find(id).value(); }

    // Counts all chunks that the index has in this place as bad.
    void lose_pack(std::uint32_t number) {
        for (auto const& chunk : directory(number).chunks) {
            std::lock_guard lock(mutex_);
            ++bad_[chunk.id];
        }
    }

    Result<void> check_packs_present() {
        // What garbage collection removes while we look is no damage: points have it elsewhere, or there
        // is none that needs it.
        auto collected = TRY(list_doomed(repository_, stop_)).packs();
        for (auto const& [id, numbers] : numbers_) {
            auto present = packs_.find(id);
            for (auto number : numbers) {
                auto const& pack = named_[number];
                if (present != packs_.end() && present->second == pack.bytes) continue;
                auto gone = present == packs_.end();
                auto const* mark = marks_.find(id);
                if (gone && (collected.contains(id) || (mark != nullptr && mark->verdict == PackVerdict::given_up))) {
                    // A repair has stored elsewhere what it held.
                    lose_pack(number);
                    continue;
                }
                damaged(pack_key(id).text(),
                        {gone ? ErrorKind::not_found : ErrorKind::damaged,
                         gone ? fmt::format("the pack is missing, with {} chunks", pack.chunks)
                              : fmt::format("the pack has {} bytes, the index says {}", present->second, pack.bytes),
                         {}});
                // A pack of another size is asked what it still holds.
                if (gone || !is_read(id)) lose_pack(number);
            }
        }
        return {};
    }

    Result<void> check_packs_data() {
        FanOut all(repository_.world().executor, kBytesInFlight, stop_);
        for (auto const& [id, size] : packs_) {
            if (!is_read(id)) continue;
            all.add(size, [this, id = id, size = size] { return check_pack_data(id, size); });
        }
        return all.finish();
    }

    // A task. Fails only when the store does.
    Result<void> check_pack_data(PackId const& id, std::uint64_t size) {
        auto key = pack_key(id);
        std::shared_ptr<Memory> memory;
        ByteSpan object;
        Result<void> got = fail(ErrorKind::damaged, fmt::format("{} bytes are more than any pack has", size));
        if (size <= kPackBytesMax) {
            memory = memory_.take((size + kMemoryStep - 1) / kMemoryStep * kMemoryStep);
            object = memory->span().first(size);
            got = repository_.store().read(key, 0, object, stop_);
        }
        std::vector<std::uint32_t> numbers;
        if (auto named = numbers_.find(id); named != numbers_.end()) numbers = named->second;
        if (!got && !is_damage(got.error().kind)) return fail(std::move(got.error()).within("read " + key.text()));
        // A collection deletes what was doomed before: no point needs it, or it lies elsewhere, too.
        if (!got && got.error().kind == ErrorKind::not_found && TRY(list_doomed(repository_, stop_)).packs().contains(id)) {
            for (auto number : numbers) lose_pack(number);
            return {};
        }
        PackReport report;
        if (got) {
            report = check_pack_bytes(object, id);
        } else {
            report.errors.push_back(std::move(got.error()));
        }
        // As it lies there it is neither whole nor lost: nothing is noted, and the next run looks again.
        std::optional<PackReport> mended;
        if (!report.errors.empty()) {
            mended = TRY(check_mended(id, numbers.empty() ? size : named_[numbers.front()].bytes));
            auto error = report.errors.front();
            if (mended) {
                report = *mended;
                error.hint = "its parity brings it back: holdfast repair";
                damaged(key.text(), std::move(error), true);
            }
        }
        for (auto const& error : report.errors) damaged(key.text(), error);
        if (!mended) note(id, report);
        for (auto number : numbers) check_pack_index(key.text(), number, report);
        advance(key.text(), [&](VerifyRepositoryProgress& progress) {
            ++progress.objects;
            progress.bytes += size;
            found_.bytes_read += size;
        });
        return {};
    }

    void note(PackId const& id, PackReport const& report) {
        PackMark mark{.pack = id};
        mark.verdict = report.errors.empty() ? PackVerdict::whole : PackVerdict::damaged;
        if (report.errors.empty()) mark.record = pack_record_hash(*report.summary);
        std::lock_guard lock(mutex_);
        new_marks_.push_back(mark);
    }

    // The pack as its parity mends it, when that makes it whole.
    Result<std::optional<PackReport>> check_mended(PackId const& id, std::uint64_t size) {
        auto bytes = read_mended(repository_.store(), id, size, stop_);
        if (!bytes) {
            if (!is_damage(bytes.error().kind)) return fail(std::move(bytes.error()));
            return std::optional<PackReport>();
        }
        auto report = check_pack_bytes(*bytes, id);
        if (!report.errors.empty()) return std::optional<PackReport>();
        return std::optional<PackReport>(std::move(report));
    }

    PackReport check_pack_bytes(ByteView object, PackId const& id) {
        auto report = check_pack(object, id, repository_.id(), *data_keys_, id_key_);
        if (report.sealed) {
            std::lock_guard lock(mutex_);
            sealed_.insert(id);
        }
        return report;
    }

    // What the index says of a pack against what the pack says itself.
    void check_pack_index(std::string const& key, std::uint32_t number, PackReport const& report) {
        auto const& pack = named_[number];
        if (report.sealed && report.errors.empty()) return;
        if (!report.summary) {
            lose_pack(number);
            return;
        }
        auto const directory = this->directory(number);
        if (report.summary->header != pack.header || report.summary->directory != directory) {
            damaged(key, {ErrorKind::damaged,
                          "the index of writer " + pack.writer.brief() + " disagrees with the pack's directory",
                          {}});
            lose_pack(number);
            return;
        }
        std::set<ChunkId> lost(report.lost.begin(), report.lost.end());
        if (lost.empty()) return;
        std::lock_guard lock(mutex_);
        for (auto const& chunk : directory.chunks) {
            if (lost.contains(chunk.id)) ++bad_[chunk.id];
        }
    }

    void find_lost() {
        for (auto const& [id, count] : bad_) {
            if (count >= find(id).size()) found_.lost.insert(id);
        }
    }

    Result<void> check_documents() {
        for (auto const& key : documents_) {
            if (stop_.stop_requested()) return fail(ErrorKind::cancelled, "stopped");
            auto checked = check_object(repository_, lookup_, key, stop_);
            // A lease that is renewed or ends meanwhile is no damage, nor are proofs and lists of doomed packs that
            // newer ones replace, nor parts of a log whose whole segment is stored by now. A point that is forgotten
            // meanwhile goes with its receipt; one that went without is named when the points are checked.
            auto room = room_of(key);
            auto passing = room == ObjectRoom::lease || room == ObjectRoom::proven || room == ObjectRoom::doomed ||
                           room == ObjectRoom::wal || room == ObjectRoom::point || room == ObjectRoom::receipt ||
                           room == ObjectRoom::hold || room == ObjectRoom::self;
            auto ended = !checked && passing &&
                         checked.error().kind == ErrorKind::not_found;
            if (!checked && !ended) {
                if (!is_damage(checked.error().kind)) return checked;
                damaged(key, std::move(checked.error()));
            }
            advance(key, [](VerifyRepositoryProgress& progress) { ++progress.objects; });
        }
        return {};
    }

    Result<void> check_logs() {
        auto logs = TRY(read_logs(repository_.store(), repository_.keys(), lookup_, {}, nullptr, stop_));
        for (auto& entry : logs.damaged) damaged(entry.key, std::move(entry.error));
        for (auto const& [writer, log] : logs.writers) {
            for (auto const& [n, item] : log.items) logs_.erase(log_key(writer, n));
        }
        for (auto const& entry : found_.damaged) logs_.erase(entry.key);
        for (auto const& key : logs_) found_.unknown.push_back(key);
        return {};
    }

    Result<void> check_points() {
        auto points = repository_.points(stop_);
        if (!points) {
            // A repository that went back in time.
            if (!is_damage(points.error().kind)) return fail(std::move(points.error()));
            damaged(std::string(kLogPrefix), std::move(points.error()));
            return {};
        }
        for (auto& point : points->damaged) damaged(point.key, std::move(point.error));
        found_.points = points->points.size();
        progress_.points_total = points->points.size();
        auto fetch = TRY(repository_.begin_fetch({}, stop_));
        TRY(take_newer_index());
        for (auto const& point : points->points) {
            TRY(check_tree(*fetch, point));
            advance(point.point.dataset, [](VerifyRepositoryProgress& progress) { ++progress.points; });
        }
        return {};
    }

    // The points were listed after the packs: what backups stored meanwhile, and collections moved, is named by
    // a newer index. What lies there as well is not lost, nor is what it names no more: that was collected.
    Result<void> take_newer_index() {
        {
            std::lock_guard lock(repository_.index_slot().mutex);
            newer_index_ = repository_.index_slot().index;
        }
        // Segments went: what the fetch reads by may be this client's own cache.
        if (newer_index_ != index_) newer_index_ = TRY(refresh_index(repository_, {.afresh = true}, stop_));
        std::erase_if(found_.lost, [&](ChunkId const& id) {
            auto places = newer_index_->find(id).value();
            auto is_new = [&](auto const& place) { return !numbers_.contains(place.pack); };
            return places.empty() || std::ranges::any_of(places, is_new);
        });
        return {};
    }

    static Hash32 digest(Content const& content) {
        ByteWriter writer;
        encode(content, writer);
        return sha256(writer.view());
    }

    // Directories that were walked and found whole are passed over in the points that follow: points
    // of one dataset share most of them.
    Result<void> check_tree(Fetch& fetch, PointInfo const& point) {
        std::map<std::string, Hash32> visited;
        auto affect = [&](std::string const& path, Error error) {
            ++found_.affected_count;
            found_.affected_points.insert(point.id);
            if (found_.affected.size() < Verification::kAffectedMax) {
                found_.affected.push_back({point.id, point.point.dataset, path, std::move(error)});
            }
            // What is above a damaged path is not whole.
            visited.erase(path);
            for (auto at = path.rfind('/'); at != std::string::npos && at > 0; at = path.rfind('/', at - 1)) {
                visited.erase(path.substr(0, at));
            }
            visited.erase("");
        };
        auto visit = [&](std::string const& path, Content const& content) -> Result<bool> {
            if (content.extents.empty()) return true;
            auto hash = digest(content);
            if (whole_.contains(hash)) {
                if (unproven_.contains(hash)) is_unproven_ = true;
                return false;
            }
            auto checked = check_content(fetch, content);
            if (checked) {
                visited.emplace(path, hash);
                return true;
            }
            if (!is_damage(checked.error().kind)) return fail(std::move(checked.error()));
            if (checked.error().kind == ErrorKind::key_refused) {
                found_.sealed_points.emplace(point.id, checked.error().message);
                return false;
            }
            affect(path, std::move(checked.error()));
            // A directory that has lost a part may still show the rest, and says what it can't.
            return true;
        };
        is_unproven_ = false;
        auto root = TRY(visit("", point.point.tree));
        if (root) {
            TRY(walk_(fetch, point.point,
                      {.content = visit,
                       .damaged = [&](std::string const& path, Error const& error) -> Result<void> {
                           if (!is_damage(error.kind)) return fail(error);
                           if (error.kind == ErrorKind::key_refused) {
                               found_.sealed_points.emplace(point.id, error.message);
                               return {};
                           }
                           // check_content() has named it already, mostly.
                           auto named = std::any_of(
                               found_.affected.rbegin(), found_.affected.rend(),
                               [&](auto const& known) { return known.point == point.id && known.path == path; });
                           if (!named) affect(path, error);
                           return {};
                       }},
                      stop_));
        }
        if (found_.sealed_points.contains(point.id)) return {};
        for (auto const& [path, hash] : visited) {
            whole_.insert(hash);
            // Of which part of the point something is unproven is not kept: all that it shares with others
            // counts as unproven there, too.
            if (is_unproven_) unproven_.insert(hash);
        }
        if (is_unproven_) found_.unproven_points.insert(point.id);
        return {};
    }

    // Whether every chunk of the content, its lists included, can be had.
    Result<void> check_content(Fetch& fetch, Content const& content) {
        for (auto const& extent : content.extents) TRY(check_chunk(extent));
        if (content.depth == 0) return {};
        return fetch.extents(
            content,
            [&](std::span<Extent const> run) -> Result<void> {
                for (auto const& extent : run) TRY(check_chunk(extent));
                return {};
            },
            stop_);
    }

    Result<void> check_chunk(Extent const& extent) {
        if (!extent.chunk) return {};
        if (options_.data && !is_unproven_) {
            auto places = find(*extent.chunk);
            // The index may have grown since the packs were looked at.
            is_unproven_ = std::ranges::none_of(places, [&](auto const& place) {
                return place.pack_number < proven_.size() && proven_[place.pack_number];
            });
        }
        if (found_.lost.contains(*extent.chunk)) {
            return fail(ErrorKind::damaged, "chunk " + extent.chunk->brief() + " is lost");
        }
        if (TRY(is_named(*extent.chunk))) return {};
        return fail(ErrorKind::not_found, "chunk " + extent.chunk->brief() + " is in no index");
    }

    // What collections write anew while segments are listed may hide from one look: so another follows as long as each
    // shows something else.
    Result<bool> is_named(ChunkId const& id) {
        for (int look = 1;; ++look) {
            if (!newer_index_->find(id).value().empty()) return true;
            if (looked_in_vain_ || look == kLooksMax) return false;
            auto const before = newer_index_->segments();
            newer_index_ = TRY(refresh_index(repository_, {.afresh = true}, stop_));
            looked_in_vain_ = newer_index_->segments() == before;
        }
    }

    void finish() {
        found_.sealed_packs = sealed_.size();
        // One complaint of each object is enough where two checks came to the same one.
        auto& list = found_.damaged;
        std::stable_sort(list.begin(), list.end(), [](auto const& a, auto const& b) { return a.key < b.key; });
        auto same = [](auto const& a, auto const& b) {
            return a.key == b.key && (a.error.message == b.error.message || !a.key.starts_with("packs/"));
        };
        list.erase(std::unique(list.begin(), list.end(), same), list.end());
        std::sort(found_.unknown.begin(), found_.unknown.end());
    }

    Repository& repository_;
    VerifyRepositoryOptions const options_;
    WalkTree const& walk_;
    VerifyRepositoryCallback const& callback_;
    std::stop_token const stop_;
    Certificates certificates_;
    CertificateLookup const lookup_;
    HmacKey const id_key_;
    std::shared_ptr<DataKeys const> const data_keys_;

    std::shared_ptr<Index> index_;        // as it was when the packs were listed, or grown since
    std::shared_ptr<Index> newer_index_;  // as it was when the points had been listed, or later
    bool looked_in_vain_ = false;         // for one that is newer still
    std::vector<IndexPack> named_;                          // by the index
    std::map<PackId, std::vector<std::uint32_t>> numbers_;    // in named_
    MemoryPool memory_{kBytesInFlight};
    std::map<PackId, std::uint64_t> packs_;                   // in the store, with their sizes
    std::vector<std::string> documents_;
    std::set<std::string> logs_;
    std::set<PackId> sealed_;         // packs whose data key is not held
    std::set<PackId> selected_;       // packs that are read in full
    PackMarks marks_;
    std::vector<bool> proven_;        // by number in named_
    std::set<Hash32> whole_;          // contents that were found whole, with all below them
    std::set<Hash32> unproven_;       // those of them that lie in part in packs that nobody proved
    bool is_unproven_ = false;        // something of the point at hand does

    std::mutex mutex_;  // of what tasks change
    Verification found_;
    VerifyRepositoryProgress progress_;
    std::unordered_map<ChunkId, std::size_t> bad_;  // in how many places
    std::vector<PackMark> new_marks_;
};

}  // namespace

Result<Verification> verify_repository(Repository& repository, VerifyRepositoryOptions options,
                                       WalkTree const& walk, VerifyRepositoryCallback const& progress,
                                       std::stop_token stop) {
    if (!repository.keys().data_private) {
        return fail(ErrorKind::key_refused, "verifying needs a reader's key",
                    "use a reader's key or the password");
    }
    return Verifier(repository, options, walk, progress, std::move(stop)).run();
}

}  // namespace holdfast
