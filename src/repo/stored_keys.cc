#include "repo/stored_repository.h"

namespace holdfast {
namespace {

// Whoever writes for months hears of a new key ring after so long.
constexpr Duration kRingLookEvery = std::chrono::seconds(10);

}  // namespace

Error removed_key(BundleId const& id, KeyRemoval const& removal) {
    return {ErrorKind::key_refused,
            "key " + id.brief() + " was removed by an admin (" + to_rfc3339(removal.time) + ")",
            "an admin exports a new one with `holdfast key export`"};
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

}  // namespace holdfast
