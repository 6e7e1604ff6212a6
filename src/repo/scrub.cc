#include "repo/scrub.h"

#include <algorithm>
#include <mutex>
#include <optional>

#include "crypto/crypto.h"
#include "os/fan_out.h"
#include "repo/config.h"
#include "repo/copies.h"
#include "repo/mend.h"
#include "repo/object_check.h"

namespace holdfast {
namespace {

constexpr std::uint64_t kScrubBytesInFlight = 128u << 20;
// Nothing but packs is larger.
constexpr std::uint64_t kDocumentBytesMax = 1u << 30;

bool is_rotten(ErrorKind kind) { return kind == ErrorKind::damaged || kind == ErrorKind::io; }

class Scrubber {
  public:
    Scrubber(Store& store, Executor& executor, ScrubOptions const& options, ScrubCallback const& callback,
             std::stop_token stop)
        : store_(store), executor_(executor), options_(options), callback_(callback), stop_(std::move(stop)) {}

    Result<ScrubReport> run() {
        TRY(check_copies());
        TRY(list());
        TRY(read_all());
        std::ranges::sort(report_.damaged, {}, [](auto const& item) { return item.key; });
        return std::move(report_);
    }

  private:
    struct Item {
        std::string key;
        std::uint64_t size = 0;
    };

    // Both halves of a pair belong to the share of the first one.
    Result<void> check_copies() {
        auto config = load_config(store_, stop_);
        if (config) repository_ = config->config.repository;
        if (!config && config.error().kind == ErrorKind::not_found) {
            return fail(ErrorKind::not_found, store_.describe() + " holds no repository");
        }
        if (!config && !is_rotten(config.error().kind)) return fail(std::move(config.error()));
        if (options_.shard.index != 0) return {};
        auto faults = TRY(mend_copies(store_, {.repair = options_.repair && !options_.dry_run}, stop_));
        for (auto& fault : faults) {
            report_.damaged.push_back({fault.key, std::move(fault.error), fault.mendable, fault.mended});
        }
        return {};
    }

    Result<void> list() {
        auto visit = [&](ObjectInfo const& info) -> Result<void> {
            auto const& key = info.key.text();
            if (!options_.shard.holds(key)) return {};
            auto room = room_of(key);
            if (room == ObjectRoom::unknown) {
                report_.unknown.push_back(key);
                return {};
            }
            ++report_.objects;
            if (room == ObjectRoom::pack) ++report_.packs;
            // They have been looked at in pairs.
            if (room == ObjectRoom::config || room == ObjectRoom::key || room == ObjectRoom::ring) return {};
            items_.push_back({key, info.size});
            progress_.bytes_total += info.size;
            return {};
        };
        TRY(store_.list("", visit, stop_));
        progress_.objects_total = items_.size();
        return {};
    }

    Result<void> read_all() {
        FanOut all(executor_, kScrubBytesInFlight, stop_);
        for (auto const& item : items_) {
            all.add(item.size, [this, &item] { return settle(item); });
        }
        return all.finish();
    }

    // A task. Fails only when the store does.
    Result<void> settle(Item const& item) {
        auto checked = check(item);
        std::optional<ScrubReport::Damaged> damaged;
        if (!checked && is_rotten(checked.error().kind)) {
            damaged = ScrubReport::Damaged{item.key, std::move(checked.error())};
            if (room_of(item.key) == ObjectRoom::pack) TRY(mend(item, *damaged));
        } else if (!checked && checked.error().kind != ErrorKind::not_found) {  // removed meanwhile: no damage
            return fail(std::move(checked.error()).within("read " + item.key));
        }
        std::lock_guard lock(mutex_);
        if (damaged) report_.damaged.push_back(std::move(*damaged));
        report_.bytes += item.size;
        ++progress_.objects;
        progress_.bytes += item.size;
        progress_.current = item.key;
        if (callback_) callback_(progress_);
        return {};
    }

    Result<void> check(Item const& item) {
        auto most = room_of(item.key) == ObjectRoom::pack ? kPackBytesMax : kDocumentBytesMax;
        if (item.size > most) return fail(ErrorKind::damaged, "is larger than any such object");
        Bytes object(item.size);
        TRY(store_.read(ObjectKey(item.key), 0, object, stop_));
        return check_bare_object(repository_, item.key, object);
    }

    Result<void> mend(Item const& item, ScrubReport::Damaged& damaged) {
        auto id = *pack_of(ObjectKey(item.key));
        auto bytes = read_mended(store_, id, {}, stop_);
        if (!bytes) {
            if (is_rotten(bytes.error().kind) || bytes.error().kind == ErrorKind::not_found) return {};
            return fail(std::move(bytes.error()));
        }
        // Also when it was only a read that went wrong: the new object lies elsewhere on the disk.
        damaged.mendable = true;
        if (!options_.repair || options_.dry_run) return {};
        TRY(store_.replace(ObjectKey(item.key), *bytes, stop_).within("mend " + item.key));
        damaged.mended = true;
        return {};
    }

    Store& store_;
    Executor& executor_;
    ScrubOptions const& options_;
    ScrubCallback const& callback_;
    std::stop_token const stop_;
    std::optional<RepositoryId> repository_;
    std::vector<Item> items_;

    std::mutex mutex_;  // of what tasks change
    ScrubProgress progress_;
    ScrubReport report_;
};

}  // namespace

bool Shard::holds(std::string_view key) const {
    if (count <= 1) return true;
    auto hash = sha256(as_bytes(key));
    ByteReader reader(hash);
    return reader.u64() % count == index;
}

bool ScrubReport::whole() const {
    return unknown.empty() && std::ranges::all_of(damaged, [](auto const& item) { return item.mended; });
}

Result<ScrubReport> scrub(Store& store, Executor& executor, ScrubOptions const& options,
                          ScrubCallback const& progress, std::stop_token stop) {
    return Scrubber(store, executor, options, progress, std::move(stop)).run().within("scrub " + store.describe());
}

}  // namespace holdfast
