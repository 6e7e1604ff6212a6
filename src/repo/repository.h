#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>

#include "os/clock.h"
#include "os/executor.h"
#include "os/random.h"
#include "repo/data_keys.h"
#include "repo/envelope.h"
#include "repo/fetch.h"
#include "repo/index.h"
#include "repo/ingest.h"
#include "repo/keys.h"
#include "repo/point.h"
#include "store/store.h"

namespace holdfast {

// Lists and segments are replaced by newer ones: who finds gone what it has just listed looks again, so often.
inline constexpr int kLooksMax = 8;

// What the repository needs of the world, so that a simulator can give it another one. Outlives it.
struct RepositoryWorld {
    Clock& clock;
    Random& random;
    Executor& executor;
    // This client's own directories: `state` remembers log heads, `cache` what can be rebuilt. Empty:
    // nothing is remembered (tests only).
    std::filesystem::path state;
    std::filesystem::path cache;
};

struct OpenRepositoryOptions {
    // Take what the store shows although this client remembers newer log heads.
    bool accept_rollback = false;
};

struct PointList {
    std::vector<PointInfo> points;  // oldest first
    std::vector<DamagedPoint> damaged;
};

// A repository that is open with one key bundle. Thread-safe except where an Ingest says otherwise.
class Repository {
  public:
    virtual ~Repository() = default;

    virtual RepositoryId id() const = 0;
    virtual KeyBundle const& keys() const = 0;
    virtual Store& store() const = 0;
    virtual RepositoryWorld const& world() const = 0;
    // What was amiss so far and could be helped: "holdfast.json is damaged: its copy was
    // used". For the user to see.
    virtual std::vector<std::string> notices() const = 0;

    // The data key pairs as of the newest key ring that was read: what packs are sealed to, and which
    // of them this bundle opens.
    virtual std::shared_ptr<DataKeys const> data_keys() const;
    // The newest key ring, read again when the store has a newer one. `damaged` when the store shows an
    // older one than this machine has seen.
    virtual Result<LoadedRing> ring(std::stop_token stop);
    // For who writes for months: looks for a newer key ring when that was last done some time ago.
    // key_refused when it says that this bundle was removed. A store that does not answer changes nothing.
    virtual Result<void> keep_up_with_keys(std::stop_token) { return {}; }
    // What a removed key had signed by then, as of the newest key ring that was read; nothing of one that stands.
    virtual std::optional<RemovedKey> removed(BundleId const&) const { return {}; }

    // Seals and signs a document as this bundle's; opens one that any certified bundle signed
    // (certificates are read from keys/ once, and again when a signer is not known).
    virtual Bytes seal(DocumentKind kind, ByteView plain) = 0;
    virtual Result<OpenDocument> open(DocumentKind kind, ByteView bytes, std::stop_token stop) = 0;

    // The certificate of a signer, with when it was removed; `damaged` when the admin certified none.
    virtual Result<KeyCertificate> certificate(BundleId const& id, std::stop_token stop) = 0;

    // Points of all datasets or of one, oldest first; those that an admin dropped are left out. A point
    // that a writer signed after it was removed is among the damaged ones. A
    // repository that went back in time fails with `damaged` (exit 6), unless rollback was accepted.
    // With admin rights, points that have no receipt get one.
    virtual Result<PointList> points(std::stop_token stop) = 0;
    virtual Result<PointList> points_of(std::string_view dataset, std::stop_token stop) = 0;

    // The way in, one capture at a time. Takes a lease, renewed by the calls of the Ingest until it is
    // gone. key_refused without a writer's key; damaged when the repository went back in time.
    virtual Result<std::unique_ptr<Ingest>> begin_ingest(IngestLimits limits, std::stop_token stop) = 0;
    // Flushes, then stores the point, then the log entry (and, as admin, the receipt), in this order.
    // When it returns, the point is acknowledged. `unsafe` when garbage collection took what it needs, or
    // the lease lapsed: the capture has to be done again, with another Ingest.
    virtual Result<PointInfo> publish(Ingest& ingest, RecoveryPoint point, std::stop_token stop) = 0;

    // Drops points for good: notes each in this bundle's log, then removes its object and receipt; the
    // chunks go with the next garbage collection. Done so far stays when it fails; may be repeated.
    // key_refused unless an admin asks; `unsafe`, with nothing done, when a hold names one of
    // them or others have to agree (approval.h).
    virtual Result<void> drop(std::span<PointKey const> points, std::stop_token stop) = 0;
    // Removes what crashes of drop() left behind: objects of points that are dropped, receipts of
    // points that do not exist. Returns how many.
    virtual Result<std::uint64_t> sweep_dropped(std::stop_token stop) = 0;

    // The way out. key_refused without a reader's key.
    virtual Result<std::unique_ptr<Fetch>> begin_fetch(FetchLimits limits, std::stop_token stop) = 0;

    // What was read of the index, for refresh_index() alone.
    IndexSlot& index_slot() { return index_slot_; }

  private:
    IndexSlot index_slot_;
};

// Creates an empty repository with one bundle of all roles, and returns that bundle (not yet wrapped:
// the caller has passed the password, which wraps its copy under keys/). `exists` when the store holds
// anything already. On failure the store is left without holdfast.json.
Result<KeyBundle> create_repository(Store& store, RepositoryWorld const& world, ByteView password,
                                    std::stop_token stop);

// Finds the bundle that `password` unwraps. key_refused when none does; damaged when a key object is
// not what was written (checksum) and no other one fits.
Result<KeyBundle> unlock_repository(Store& store, ByteView password, std::stop_token stop);

// Opens with a bundle that no admin removed (else key_refused). Checks that the repository is the bundle's,
// that its format is one that this version knows (a newer one is `usage`: "newer", never damaged), and holdfast.json's signature.
Result<std::unique_ptr<Repository>> open_repository(Store& store, KeyBundle keys, RepositoryWorld world,
                                                    OpenRepositoryOptions options, std::stop_token stop);

// Another key of the same repository, for `key export`: certified, stored under keys/ (wrapped, when
// there is a password) with its copy under self/keys/. key_refused when `repository` is not open with
// an admin's key, or one without the reading that `roles` give away.
struct AddBundle {
    Roles roles = 0;
    std::string label;
    std::optional<ByteView> password = std::nullopt;
    // Named key pairs that a reader gets besides the repository's own.
    std::vector<std::string> pairs = {};
};
Result<KeyBundle> add_bundle(Repository& repository, AddBundle const& options, std::stop_token stop);

}  // namespace holdfast
