#include "repo/repair.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <map>
#include <optional>

#include "repo/doomed.h"
#include "repo/index.h"
#include "repo/mend.h"
#include "repo/object_check.h"
#include "repo/pack_check.h"
#include "repo/proven.h"
#include "repo/salvage_writer.h"

namespace holdfast {
namespace {

// So many packs are named at once.
constexpr std::size_t kEntriesPerSegment = 32;

class Repairer {
  public:
    Repairer(Repository& repository, RepairOptions options, ScrubCallback const& progress, std::stop_token stop)
        : repository_(repository),
          store_(repository.store()),
          options_(options),
          progress_(progress),
          stop_(std::move(stop)),
          id_key_(repository.keys().id_key.view()),
          data_keys_(repository.data_keys()),
          writer_(repository, stop_) {}

    Result<RepairReport> run() {
        TRY(scrub_everything());
        // Its lease tells a garbage collection that somebody writes; it also checks that this key may.
        if (!options_.dry_run) ingest_ = TRY(repository_.begin_ingest({}, stop_));
        data_keys_ = repository_.data_keys();
        TRY(look());
        TRY(name_unnamed_packs());
        TRY(remove_damaged_segments());
        for (auto const& [id, why] : bad_) TRY(salvage(id, why));
        TRY(finish());
        return std::move(report_);
    }

  private:
    Result<void> scrub_everything() {
        auto report = TRY(scrub(store_, repository_.world().executor,
                                {.shard = {}, .repair = true, .dry_run = options_.dry_run}, progress_, stop_));
        for (auto& item : report.damaged) {
            auto pack = pack_of(ObjectKey(item.key));
            // Those are made again.
            auto replaced = item.key.starts_with("index/") || item.key.starts_with(kProvenPrefix);
            auto helped = item.mended || (options_.dry_run && item.mendable);
            if (pack && !helped) {
                bad_.emplace(*pack, item.error);
            } else if (!helped && !replaced) {
                report_.damaged.push_back({item.key, item.error});
            }
            report_.scrubbed.push_back(std::move(item));
        }
        for (auto const& key : report.unknown) {
            report_.damaged.push_back({key, {ErrorKind::damaged, "it is not known what this object is", {}}});
        }
        return {};
    }

    Result<void> look() {
        // Afresh: what was read earlier says nothing about what is there now. The index before the packs: those
        // that it names were durable before it.
        index_ = TRY(refresh_index(repository_, {.afresh = true}, stop_));
        TRY(refresh_marks(repository_, marks_, stop_));
        auto visit = [&](ObjectInfo const& info) -> Result<void> {
            if (auto id = pack_of(info.key)) packs_.emplace(*id, info.size);
            return {};
        };
        TRY(store_.list("packs/", visit, stop_));
        // After the packs: whatever a collection had deleted by then is named there.
        auto collected = TRY(list_doomed(repository_, stop_));
        doomed_ = collected.packs();
        doomed_lists_ = collected.keys();
        auto const named = TRY(index_->packs());
        for (std::size_t number = 0; number < named.size(); ++number) {
            auto const& pack = named[number];
            records_[pack.id].push_back(number);
            named_.emplace(number, pack);
            auto present = packs_.find(pack.id);
            auto const* mark = marks_.find(pack.id);
            auto given_up = mark != nullptr && mark->verdict == PackVerdict::given_up;
            if (present == packs_.end() && !given_up && !doomed_.contains(pack.id)) {
                bad_.emplace(pack.id, Error{ErrorKind::not_found,
                                            fmt::format("the pack is missing, with {} chunks", pack.chunks), {}});
            }
            auto first = records_[pack.id].size() == 1;
            if (first && mark != nullptr && mark->verdict == PackVerdict::damaged && present != packs_.end()) {
                TRY(look_again(pack.id, present->second));
            }
        }
        return {};
    }

    // A pack that was found to be damaged before may have been put right since, from a second copy.
    Result<void> look_again(PackId const& id, std::uint64_t size) {
        if (bad_.contains(id)) return {};
        auto bytes = read_around_damage(store_, id, size, stop_);
        if (!bytes && !is_local(bytes.error().kind)) return fail(std::move(bytes.error()));
        if (!bytes) {
            bad_.emplace(id, std::move(bytes.error()));
            return {};
        }
        auto report = check_pack(*bytes, id, repository_.id(), *data_keys_, id_key_);
        if (report.errors.empty() && report.sealed) return {};  // who opens it can say so
        if (report.errors.empty()) {
            note(id, PackVerdict::whole, pack_record_hash(*report.summary));
        } else {
            bad_.emplace(id, report.errors.front());
        }
        return {};
    }

    // Packs whose segment is gone or can't be read. Also those of a backup that runs now: that does no harm.
    Result<void> name_unnamed_packs() {
        std::vector<PackSummary> batch;
        auto put = [&]() -> Result<void> {
            if (batch.empty() || options_.dry_run) return {};
            auto object = repository_.seal(DocumentKind::index, encode_segment(batch));
            TRY(store_.put(segment_key(object), object, stop_));
            for (auto const& pack : batch) note(pack.id, PackVerdict::whole, pack_record_hash(pack));
            index_->add(repository_.keys().id, batch);
            batch.clear();
            return renew();
        };
        for (auto const& [id, size] : packs_) {
            if (records_.contains(id)) continue;
            auto bytes = read_around_damage(store_, id, size, stop_);
            if (!bytes && !is_local(bytes.error().kind)) return fail(std::move(bytes.error()));
            if (!bytes) continue;
            // Never what its writer says of it alone: whoever has a writer's key could make this one vouch for
            // garbage.
            auto report = check_pack(*bytes, id, repository_.id(), *data_keys_, id_key_);
            if (report.errors.empty() && report.sealed) {
                report_.damaged.push_back({pack_key(id).text(), sealed_error("no segment of the index names it", *decode_pack_header(ByteView(*bytes).first(kPackHeaderBytes)))});
                continue;
            }
            if (!report.errors.empty()) {
                bad_.emplace(id, report.errors.front());
                if (report.summary) unnamed_.emplace(id, std::move(*report.summary));
                continue;
            }
            ++report_.packs_named;
            batch.push_back(std::move(*report.summary));
            if (batch.size() >= kEntriesPerSegment) TRY(put());
        }
        return put();
    }

    // Proofs that do not open prove nothing; segments go after what they named is named again, as far as it
    // is there.
    Result<void> remove_damaged_segments() {
        for (auto const& [key, error] : marks_.damaged) {
            if (!options_.dry_run) TRY(store_.remove(ObjectKey(key), stop_));
            report_.segments_removed.push_back(key);
        }
        for (auto const& segment : index_->damaged()) {
            ObjectKey key(segment.key);
            auto object = store_.get(key, stop_);
            if (!object && !is_local(object.error().kind)) return fail(std::move(object.error()));
            // One that is whole and does not open may be signed by somebody whose certificate is damaged: that
            // can still be mended.
            if (object && segment_key(*object) == key) {
                report_.damaged.push_back({segment.key, segment.error});
                continue;
            }
            if (!options_.dry_run) TRY(store_.remove(key, stop_));
            report_.segments_removed.push_back(segment.key);
        }
        return {};
    }

    Error sealed_error(std::string const& what, PackHeader const& header) const {
        auto whose = data_keys_->find(header.data_key);
        assert(!whose);
        return {ErrorKind::damaged, what + "; it is " + whose.error().message, "repair with a key that holds it"};
    }

    struct Piece {
        ChunkKind kind;
        Bytes raw;
        std::vector<PackChunk> chunks;
    };

    // What still opens in a pack, by what `directory` says of it.
    Result<void> open_frames(PackId const& id, PackHeader const& header, std::uint64_t size,
                             PackDirectory const& directory, std::map<ChunkId, Bytes>& good) {
        if (!packs_.contains(id)) return {};
        auto bytes = read_around_damage(store_, id, size, stop_);
        if (!bytes && !is_local(bytes.error().kind)) return fail(std::move(bytes.error()));
        auto data = data_keys_->find(header.data_key);
        if (!bytes || !data) return {};
        auto key = PackKey::derive(repository_.id(), **data, header);
        if (!key) return {};
        auto const* chunk = directory.chunks.data();
        std::uint64_t offset = kPackHeaderBytes;
        for (std::uint32_t number = 0; number < directory.frames.size(); ++number) {
            auto const& frame = directory.frames[number];
            auto there = offset + frame.stored <= bytes->size();
            Result<ByteView> raw = fail(ErrorKind::damaged, "beyond the end");
            if (there) {
                raw = open_frame(*key, number, frame, ByteView(*bytes).subspan(offset, frame.stored), scratch_);
            }
            offset += frame.stored;
            std::size_t at = 0;
            for (std::uint32_t i = 0; i < frame.chunks; ++i, ++chunk) {
                if (!raw) continue;
                auto piece = raw->subspan(at, chunk->length);
                at += chunk->length;
                auto found = id_key_.of(piece);
                if (ChunkId::from_bytes(found) == chunk->id) good.emplace(chunk->id, Bytes(piece.begin(), piece.end()));
            }
        }
        return {};
    }

    // Whether the chunk lies in another pack of its key pair that is known to be whole, and that no collection is about
    // to delete.
    bool is_safe_without(PackId const& id, std::string const& pair, ChunkId const& chunk) {
        if (writer_.has(pair, chunk)) return true;
        // Read afresh, the index lies in memory: nothing of it can fail.
        auto const locations = index_->find(chunk).value();
        for (auto const& location : locations) {
            if (location.pack == id || bad_.contains(location.pack) || doomed_.contains(location.pack)) continue;
            if (data_keys_->name_of(location.header.data_key) != pair) continue;
            auto present = packs_.find(location.pack);
            if (present == packs_.end() || present->second != location.pack_bytes) continue;
            if (is_proven_pack(location.pack_number)) return true;
        }
        return false;
    }
    bool is_proven_pack(std::uint32_t number) {
        auto pack = named_.find(number);
        if (pack == named_.end()) return true;  // opened and named by this repair
        auto [known, fresh] = proven_.emplace(number, false);
        if (fresh) known->second = is_proven(pack->second, marks_);
        return known->second;
    }

    Result<void> salvage(PackId const& id, Error const& why) {
        auto key = pack_key(id).text();
        struct Claim {
            PackHeader header;
            std::uint64_t bytes;
            PackDirectory directory;
        };
        std::vector<Claim> claims;
        for (auto number : records_[id]) {
            auto const& pack = named_.at(number);
            claims.push_back({pack.header, pack.bytes, TRY(index_->directory(number))});
        }
        if (auto own = unnamed_.find(id); own != unnamed_.end()) {
            claims.push_back({own->second.header, own->second.bytes, own->second.directory});
        }
        for (auto const& claim : claims) {
            if (data_keys_->opens(claim.header.data_key)) continue;
            // What still opens in it is for somebody who holds its key; so it stays.
            report_.damaged.push_back({key, sealed_error(why.message, claim.header)});
            report_.suspects.insert(id);
            note(id, PackVerdict::damaged, {});
            return {};
        }
        bool lost = claims.empty();  // nobody says what it held
        for (auto const& claim : claims) {
            auto const pair = *data_keys_->name_of(claim.header.data_key);
            std::map<ChunkId, Bytes> good;
            TRY(open_frames(id, claim.header, claim.bytes, claim.directory, good));
            auto const* chunk = claim.directory.chunks.data();
            for (auto const& frame : claim.directory.frames) {
                Piece piece{.kind = frame.kind, .raw = {}, .chunks = {}};
                for (std::uint32_t i = 0; i < frame.chunks; ++i, ++chunk) {
                    if (is_safe_without(id, pair, chunk->id)) continue;
                    auto bytes = TRY(bytes_of(chunk->id, good));
                    if (!bytes) {
                        report_.lost.insert(chunk->id);
                        lost = true;
                        continue;
                    }
                    piece.raw.insert(piece.raw.end(), bytes->begin(), bytes->end());
                    piece.chunks.push_back({chunk->id, static_cast<std::uint32_t>(bytes->size())});
                }
                if (piece.chunks.empty()) continue;
                report_.chunks_salvaged += piece.chunks.size();
                if (!options_.dry_run) TRY(writer_.add(pair, piece.kind, piece.raw, std::move(piece.chunks)));
            }
            TRY(renew());
        }
        if (lost) {
            report_.damaged.push_back({key, why});
            report_.suspects.insert(id);
            note(id, PackVerdict::damaged, {});
        } else {
            report_.packs_given_up.push_back(key);
            given_up_.push_back(id);
        }
        return {};
    }

    // Out of the damaged pack, or from any other place that still has it.
    Result<std::optional<Bytes>> bytes_of(ChunkId const& id, std::map<ChunkId, Bytes> const& good) {
        if (auto found = good.find(id); found != good.end()) return std::optional<Bytes>(found->second);
        if (!fetch_) fetch_ = TRY(repository_.begin_fetch({}, stop_));
        auto bytes = fetch_->chunk(id, stop_);
        if (bytes) return std::optional<Bytes>(std::move(*bytes));
        if (!is_local(bytes.error().kind)) return fail(std::move(bytes.error()));
        return std::optional<Bytes>();
    }

    void note(PackId const& id, PackVerdict verdict, Hash32 const& record) {
        new_marks_.push_back({.pack = id, .record = record, .verdict = verdict, .time = {}});
    }

    // Invariant: stored and named, then marked, then removed. A collection that doomed something meanwhile may
    // have doomed what a pack was given up for.
    Result<void> finish() {
        if (options_.dry_run) return {};
        auto packs = TRY(writer_.flush());
        for (auto const& pack : packs) note(pack.id, PackVerdict::whole, pack_record_hash(pack));
        auto collected = !given_up_.empty() && TRY(list_doomed_keys(store_, stop_)) != doomed_lists_;
        if (!collected) {
            for (auto const& id : given_up_) note(id, PackVerdict::given_up, {});
        }
        TRY(renew());
        TRY(store_marks(repository_, std::move(new_marks_), marks_, stop_));
        if (collected) {
            return fail(ErrorKind::unsafe, "garbage was collected meanwhile, so no pack is given up",
                        "run the repair again: what it stored is found again");
        }
        for (auto const& id : given_up_) TRY(store_.remove(pack_key(id), stop_).within("remove " + pack_key(id).text()));
        return {};
    }

    Result<void> renew() {
        if (!ingest_) return {};
        return ingest_->flush();
    }

    Repository& repository_;
    Store& store_;
    RepairOptions const options_;
    ScrubCallback const& progress_;
    std::stop_token const stop_;
    HmacKey const id_key_;
    std::shared_ptr<DataKeys const> data_keys_;
    SalvageWriter writer_;
    std::unique_ptr<Ingest> ingest_;
    std::unique_ptr<Fetch> fetch_;

    std::shared_ptr<Index> index_;
    PackMarks marks_;
    std::map<PackId, std::uint64_t> packs_;                 // in the store, with their sizes
    std::map<PackId, std::vector<std::size_t>> records_;    // numbers in the index
    std::map<std::size_t, IndexPack> named_;             // by number
    std::map<std::size_t, bool> proven_;                    // by number: what was asked for
    std::map<PackId, PackSummary> unnamed_;                 // damaged, but with a directory that opens
    std::map<PackId, Error> bad_;
    std::set<PackId> doomed_;            // or deleted lately, by a collection
    std::set<std::string> doomed_lists_;  // that say so
    std::vector<PackId> given_up_;
    std::vector<PackMark> new_marks_;
    FrameScratch scratch_;
    RepairReport report_;
};

}  // namespace

Result<RepairReport> repair_repository(Repository& repository, RepairOptions options, ScrubCallback const& progress,
                                       std::stop_token stop) {
    auto const& keys = repository.keys();
    if (!keys.data_private || !keys.has(Role::writer)) {
        return fail(ErrorKind::key_refused, "a repair reads and writes", "use the password, or a key with both roles");
    }
    return Repairer(repository, options, progress, std::move(stop)).run().within("repair " + repository.store().describe());
}

}  // namespace holdfast
