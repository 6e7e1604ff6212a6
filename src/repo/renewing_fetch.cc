// Garbage collection moves chunks to other packs while somebody reads. What is not where the index said is
// looked for where a newer index says, before anybody hears that it is gone.
#include <mutex>
#include <optional>

#include "repo/index.h"
#include "repo/repository_parts.h"

namespace holdfast {
namespace {

// So long nobody looks for a newer index again when there was none.
constexpr Duration kRenewAfter = std::chrono::seconds(30);

bool may_have_moved(ErrorKind kind) { return kind == ErrorKind::not_found || kind == ErrorKind::damaged; }

class RenewingFetch : public Fetch {
  public:
    RenewingFetch(Repository& repository, std::shared_ptr<Index> index, FetchLimits limits)
        : repository_(repository),
          limits_(limits),
          index_(index),
          fetch_(make_fetch_of(repository, std::move(index), limits, this)) {}

    Result<void> chunks(std::span<ChunkId const> wants, Sink const& sink, std::stop_token stop) override {
        auto fetch = current();
        std::vector<std::size_t> indices;  // of what is left, in wants; at first that is all of it
        std::vector<ChunkId> left;
        for (int look = 1;; ++look) {
            std::mutex mutex;
            std::map<std::size_t, Error> failed;  // by where it stands in wants
            Sink hear = [&](std::size_t at, Result<ByteView> const& bytes) -> Result<void> {
                auto const index = indices.empty() ? at : indices[at];
                if (bytes || !may_have_moved(bytes.error().kind)) return sink(index, bytes);
                std::lock_guard lock(mutex);
                failed.emplace(index, bytes.error());
                return {};
            };
            TRY(fetch->chunks(indices.empty() ? wants : std::span<ChunkId const>(left), hear, stop));
            if (failed.empty()) return {};
            auto newer = look < kLooksMax ? TRY(renewed(fetch, stop)) : nullptr;
            if (!newer) {
                for (auto& [index, error] : failed) TRY(sink(index, Result<ByteView>(fail(std::move(error)))));
                return {};
            }
            fetch = std::move(newer);
            indices.clear();
            left.clear();
            for (auto const& [index, error] : failed) {
                indices.push_back(index);
                left.push_back(wants[index]);
            }
        }
    }

    Result<Bytes> chunk(ChunkId const& id, std::stop_token stop) override {
        auto fetch = current();
        for (int look = 1;; ++look) {
            auto bytes = fetch->chunk(id, stop);
            if (bytes || !may_have_moved(bytes.error().kind) || look == kLooksMax) return bytes;
            auto newer = TRY(renewed(fetch, stop));
            if (!newer) return bytes;
            fetch = std::move(newer);
        }
    }

    Result<void> extents(Content const& content,
                         std::function<Result<void>(std::span<Extent const>)> const& visit,
                         std::stop_token stop) override {
        return current()->extents(content, visit, stop);
    }
    Result<Bytes> content(Content const& content, std::uint64_t size_max, std::stop_token stop) override {
        return current()->content(content, size_max, stop);
    }
    std::vector<PackId> locations(ChunkId const& id) const override { return current()->locations(id); }
    ChunkId id_of(ByteView bytes) const override { return current()->id_of(bytes); }

  private:
    std::shared_ptr<Fetch> current() const {
        std::lock_guard lock(mutex_);
        return fetch_;
    }

    // By an index that is newer than `known` has: what collections write anew while segments are listed may hide from one
    // look, and then from another. Nothing when there is none, or when it was looked for a
    // moment ago. May be called from a task.
    Result<std::shared_ptr<Fetch>> renewed(std::shared_ptr<Fetch> const& known, std::stop_token stop) {
        std::lock_guard lock(mutex_);
        if (fetch_ != known) return fetch_;
        auto now = repository_.world().clock.elapsed();
        if (looked_ && now - *looked_ < kRenewAfter) return std::shared_ptr<Fetch>();
        auto segments = index_->segments();
        auto newer = TRY(refresh_index(repository_, {.load = LoadSegments::on_this_thread}, stop));
        if (newer == index_ && newer->segments() == segments) {
            looked_ = now;
            return std::shared_ptr<Fetch>();
        }
        index_ = newer;
        fetch_ = make_fetch_of(repository_, std::move(newer), limits_, this);
        return fetch_;
    }

    Repository& repository_;
    FetchLimits const limits_;
    mutable std::mutex mutex_;  // of what follows
    std::shared_ptr<Index> index_;
    std::shared_ptr<Fetch> fetch_;    // shared: others may still read by the one before
    std::optional<Duration> looked_;  // for a newer index, in vain
};

}  // namespace

Result<std::unique_ptr<Fetch>> make_fetch(Repository& repository, FetchLimits limits, std::stop_token stop) {
    auto index = TRY(refresh_index(repository, {}, stop));
    return std::unique_ptr<Fetch>(std::make_unique<RenewingFetch>(repository, std::move(index), limits));
}

}  // namespace holdfast
