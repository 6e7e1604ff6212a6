#pragma once

#include <mutex>

#include "repo/certificates.h"
#include "repo/config.h"
#include "repo/heads.h"
#include "repo/repository.h"
#include "repo/ring_file.h"
#include "repo/writer_log.h"

namespace holdfast {

// How often another process with the same bundle may be first before we give up.
inline constexpr int kAppendAttemptsMax = 100;

// A repository in a store. For its own files alone: `repository` opens it, `stored_keys` follows the key ring,
// `stored_logs` the writers' logs, `stored_points` lists, publishes and drops points.
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

// Why a key that was removed may do nothing any more.
Error removed_key(BundleId const& id, KeyRemoval const& removal);

}  // namespace holdfast
