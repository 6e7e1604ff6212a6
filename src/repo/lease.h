#pragma once

#include <array>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "os/clock.h"
#include "repo/envelope.h"
#include "store/store.h"

namespace holdfast {

inline constexpr std::string_view kLeasesPrefix = "writers/";
// Part of the format: a writer whose newest marker is older than this (by the garbage collector's
// own watch over it) does not run any more, or will notice and give up.
inline constexpr Duration kLeaseSilenceMax = std::chrono::hours(6);
inline constexpr Duration kLeaseRenewAfter = std::chrono::minutes(15);

struct LeaseMarker {
    std::array<std::uint8_t, 16> lease{};  // drawn at random for each lease
    std::uint64_t renewal = 0;
    Time time;     // by the writer's clock: for people
    Time started;  // by the same clock, when the lease was taken
};
std::string lease_key(LeaseMarker const& marker);  // writers/<lease>-<renewal, 6 digits>
Result<LeaseMarker> open_lease(std::string_view key, ByteView object, KeyBundle const& keys,
                               CertificateLookup const& certificates);

// A lease as a listing shows it: its newest marker.
struct SeenLease {
    std::array<std::uint8_t, 16> lease{};
    std::uint64_t renewal = 0;
    auto operator<=>(SeenLease const&) const = default;
};
struct ListedLease {
    std::uint64_t renewal = 0;
    Time modified;                  // by the store's clock: a hint
    std::vector<std::string> keys;  // all its markers
};
// A lease that is over shows in no listing; one that is renewed meanwhile shows in one of two.
Result<std::map<std::array<std::uint8_t, 16>, ListedLease>> list_leases(Store& store, std::stop_token stop);

// A running writer's marker: while it is there, nothing that the writer relies on is collected.
// A renewal is a new object, then the removal of the old one. Thread-safe.
class Lease {
  public:
    // `store`, `keys`, `clock` and `random` outlive the lease.
    static Result<std::unique_ptr<Lease>> acquire(Store& store, KeyBundle const& keys, Clock& clock,
                                                  Random& random, std::stop_token stop);
    // Removes the marker; one that can't be removed ends by its silence.
    ~Lease();
    Lease(Lease const&) = delete;
    Lease& operator=(Lease const&) = delete;

    // Renews it when kLeaseRenewAfter has passed; cheap when not. A renewal that fails is tried
    // again at the next call, until half of the longest silence has passed: then the error is
    // returned, and `unsafe` when the lease lapsed altogether (the machine slept): what was stored
    // since may be gone.
    Result<void> renew_if_due(std::stop_token stop);

  private:
    Lease(Store& store, KeyBundle const& keys, Clock& clock, Random& random)
        : store_(store), keys_(keys), clock_(clock), random_(random) {}
    Result<void> put(std::stop_token stop);

    Store& store_;
    KeyBundle const& keys_;
    Clock& clock_;
    Random& random_;
    std::mutex mutex_;  // of what follows
    LeaseMarker marker_;
    Duration renewed_{};  // by Clock::elapsed, taken before the put
    Duration tried_{};
    std::string key_;    // of the object that stands; empty: none
    std::string stale_;  // of one that may stand and should not
};

}  // namespace holdfast
