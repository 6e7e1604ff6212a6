#include "repo/rewrap.h"

#include <algorithm>
#include <cassert>
#include <map>

#include "repo/doomed.h"
#include "repo/index.h"
#include "repo/memory_pool.h"
#include "repo/object_check.h"
#include "repo/pack.h"

namespace holdfast {
namespace {

// What an interrupted run has to do again is bounded.
constexpr std::size_t kRewrapPacksPerSegment = 8;

class Rewrapper {
  public:
    Rewrapper(Repository& repository, RewrapOptions options, RewrapCallback const& progress,
              std::stop_token stop)
        : repository_(repository),
          options_(options),
          callback_(progress),
          stop_(std::move(stop)),
          id_key_(repository.keys().id_key.view()) {}

    Result<Rewrapped> run() {
        TRY(repository_.ring(stop_));
        data_keys_ = repository_.data_keys();
        auto doomed = TRY(read_doomed(repository_, stop_));
        index_ = TRY(refresh_index(repository_, {}, stop_));
        auto work = TRY(plan(doomed.packs));
        for (auto const& [id, pack] : work) {
            if (stop_.stop_requested()) return fail(ErrorKind::cancelled, "stopped");
            if (!options_.dry_run) TRY(rewrap(id, pack));
            ++progress_.packs;
            progress_.bytes += pack.bytes;
            if (callback_) callback_(progress_);
        }
        TRY(store_segment());
        if (options_.dry_run) {
            found_.packs = progress_.packs;
            found_.bytes = progress_.bytes;
        }
        return std::move(found_);
    }

  private:
    using Work = std::map<PackId, IndexPack>;

    // What is doomed goes anyway, or is copied by the collection, which seals to the newest epoch, too.
    Result<Work> plan(std::set<PackId> const& doomed) {
        Work work;
        auto const packs = TRY(index_->packs());
        for (std::size_t number = 0; number < packs.size(); ++number) {
            auto const& pack = packs[number];
            if (doomed.contains(pack.id) || !options_.shard.holds(pack_key(pack.id).text())) continue;
            auto name = data_keys_->name_of(pack.header.data_key);
            if (!name || data_keys_->is_newest(pack.header.data_key)) continue;
            if (!data_keys_->opens(pack.header.data_key)) {
                found_.refused.insert(data_keys_->describe(pack.header.data_key));
                continue;
            }
            auto newest = data_keys_->epochs(*name).back();
            auto is_done = [&](ChunkLocation const& location) {
                return location.header.data_key == newest && location.writer == kProven &&
                       !doomed.contains(location.pack);
            };
            auto const directory = TRY(index_->directory(number));
            std::size_t done = 0;
            for (auto const& chunk : directory.chunks) {
                auto const locations = TRY(index_->find(chunk.id));
                if (std::ranges::none_of(locations, is_done)) break;
                ++done;
            }
            if (done == directory.chunks.size()) {
                ++found_.done_before;
                continue;
            }
            if (work.emplace(pack.id, pack).second) progress_.bytes_total += pack.bytes;
        }
        progress_.packs_total = work.size();
        return work;
    }

    // Fails only when the store does.
    Result<void> rewrap(PackId const& id, IndexPack const& pack) {
        auto key = pack_key(id);
        auto object = repository_.store().get(key, stop_);
        if (!object && object.error().kind == ErrorKind::not_found) return {};  // collected meanwhile
        if (!object && !is_local(object.error().kind)) return fail(std::move(object).error().within("read " + key.text()));
        Result<SealedPack> sealed = object ? seal_anew(*object, id)
                                           : Result<SealedPack>(fail(std::move(object).error()));
        if (!sealed && is_local(sealed.error().kind)) {
            found_.damaged.push_back({key.text(), std::move(sealed).error()});
            return {};
        }
        auto anew = TRY(std::move(sealed).within("seal " + key.text() + " anew"));
        auto put = repository_.store().put(pack_key(anew.summary.id), anew.views(), stop_);
        TRY(std::move(put).within("store pack " + anew.summary.id.brief()));
        ++found_.packs;
        found_.bytes += pack.bytes;
        stored_.push_back(std::move(anew.summary));
        if (stored_.size() >= kRewrapPacksPerSegment) return store_segment();
        return {};
    }

    Result<SealedPack> seal_anew(ByteView object, PackId const& id) {
        if (object.size() < kPackHeaderBytes) return fail(ErrorKind::damaged, "the pack was cut off");
        auto header = TRY(decode_pack_header(object.first(kPackHeaderBytes)));
        auto const* old = TRY(data_keys_->find(header.data_key));
        // A damaged pack is healed first: what it still holds must not go by as all of it.
        auto report = check_pack(object, id, repository_.id(), *old, id_key_);
        if (!report.errors.empty()) return fail(std::move(report.errors.front()));
        assert(report.summary && report.lost.empty());
        auto const& directory = report.summary->directory;

        auto name = data_keys_->name_of(header.data_key);
        assert(name);
        auto newest = TRY(data_keys_->newest(*name));
        auto key = TRY(PackKey::derive(repository_.id(), *old, header));
        auto builder = TRY(PackBuilder::create(repository_.id(), newest, repository_.world().random,
                                               memory_.take(object.size() + kPackSlack)));
        auto const* chunk = directory.chunks.data();
        std::uint64_t offset = kPackHeaderBytes;
        for (std::uint32_t number = 0; number < directory.frames.size(); ++number) {
            auto const& frame = directory.frames[number];
            auto sealed = object.subspan(offset, frame.stored);
            offset += frame.stored;
            Bytes encoded(frame.stored - kGcmTagBytes);
            TRY(key.open({.number = number, .kind = static_cast<std::uint8_t>(frame.kind), .raw_length = frame.raw},
                         sealed, encoded));
            auto opened = TRY(open_frame(key, number, frame, sealed, scratch_));
            // It may lie in the scratch, which sealing uses, too.
            Bytes raw(opened.begin(), opened.end());
            auto& place = builder->reserve(frame.codec, frame.kind, encoded.size(), {chunk, frame.chunks});
            TRY(builder->seal(place, encoded, raw));
            chunk += frame.chunks;
        }
        return std::move(*builder).finish(options_.parity_percent);
    }

    // A pack stands before the segment that names it.
    Result<void> store_segment() {
        if (stored_.empty()) return {};
        SegmentGroup group{kProven, std::exchange(stored_, {})};
        auto object = repository_.seal(DocumentKind::merged, encode_merged({&group, 1}));
        auto key = segment_key(object);
        return repository_.store().put(key, object, stop_).within("store " + key.text());
    }

    Repository& repository_;
    RewrapOptions const options_;
    RewrapCallback const& callback_;
    std::stop_token const stop_;
    HmacKey const id_key_;
    std::shared_ptr<DataKeys const> data_keys_;
    std::shared_ptr<Index> index_;
    MemoryPool memory_{SIZE_MAX};
    FrameScratch scratch_;
    std::vector<PackSummary> stored_;  // in no segment yet
    RewrapProgress progress_;
    Rewrapped found_;
};

}  // namespace

Result<Rewrapped> rewrap_packs(Repository& repository, RewrapOptions options,
                               RewrapCallback const& progress, std::stop_token stop) {
    auto const& keys = repository.keys();
    if (!keys.has(Role::admin) || !keys.has(Role::reader))
        return fail(ErrorKind::key_refused,
                    "a " + to_text(keys.roles) + "'s key cannot seal anew what others stored: it takes an admin who reads",
                    "use the password, or a key with both roles");
    return Rewrapper(repository, options, progress, std::move(stop)).run();
}

}  // namespace holdfast
