#include "repo/lease.h"

#include <charconv>
#include <fmt/format.h>

#include "repo/json_object.h"

namespace holdfast {

std::string lease_key(LeaseMarker const& marker) {
    return fmt::format("{}{}-{:06}", kLeasesPrefix, to_hex(marker.lease), marker.renewal);
}

Result<LeaseMarker> open_lease(std::string_view key, ByteView object, KeyBundle const& keys,
                               CertificateLookup const& certificates) {
    auto document = TRY(open_document(DocumentKind::lease, keys, object, certificates));
    auto json = TRY(JsonObject::parse(as_text(document.plain)));
    LeaseMarker marker;
    marker.lease = json.array<decltype(marker.lease)>("lease");
    marker.renewal = json.number("renewal");
    marker.time = json.time("time");
    marker.started = json.has("started") ? json.time("started") : marker.time;
    if (!json.ok())
        return fail(ErrorKind::damaged, "lease is malformed");
    if (lease_key(marker) != key)
        return fail(ErrorKind::damaged, "lease is another one's");
    return marker;
}

Result<std::map<std::array<std::uint8_t, 16>, ListedLease>> list_leases(Store& store,
                                                                       std::stop_token stop) {
    std::map<std::array<std::uint8_t, 16>, ListedLease> leases;
    auto visit = [&](ObjectInfo const& info) -> Result<void> {
        auto rest = std::string_view(info.key.text()).substr(kLeasesPrefix.size());
        auto dash = rest.find('-');
        if (dash == std::string_view::npos)
            return {};
        auto id = from_hex(rest.substr(0, dash));
        LeaseMarker marker;
        auto digits = rest.substr(dash + 1);
        auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), marker.renewal);
        if (!id || id->size() != marker.lease.size() || parsed.ptr != digits.data() + digits.size())
            return {};
        std::ranges::copy(*id, marker.lease.begin());
        // What is no marker's name is nobody's lease.
        if (lease_key(marker) != info.key.text())
            return {};
        auto& listed = leases[marker.lease];
        if (listed.keys.empty() || marker.renewal >= listed.renewal) {
            listed.renewal = marker.renewal;
            listed.modified = info.modified;
        }
        if (std::ranges::find(listed.keys, info.key.text()) == listed.keys.end())
            listed.keys.push_back(info.key.text());
        return {};
    };
    TRY(store.list(kLeasesPrefix, visit, stop));
    TRY(store.list(kLeasesPrefix, visit, stop));
    return leases;
}

Result<std::unique_ptr<Lease>> Lease::acquire(Store& store, KeyBundle const& keys, Clock& clock,
                                              Random& random, std::stop_token stop) {
    std::unique_ptr<Lease> lease(new Lease(store, keys, clock, random));
    random.fill(lease->marker_.lease);
    lease->marker_.started = clock.now();
    TRY(lease->put(stop));
    return lease;
}

Lease::~Lease() {
    for (auto const& key : {key_, stale_})
        if (!key.empty())
            (void)store_.remove(ObjectKey(key), {});
}

Result<void> Lease::put(std::stop_token stop) {
    auto begin = clock_.elapsed();
    auto next = marker_;
    ++next.renewal;
    next.time = clock_.now();
    JsonObject json;
    json.set_hex("lease", next.lease);
    json.set("renewal", next.renewal);
    json.set("time", next.time);
    json.set("started", next.started);
    auto object = seal_document(DocumentKind::lease, keys_, as_bytes(json.dump()), random_);
    // A put that failed may still have stored it: the number is used up.
    marker_.renewal = next.renewal;
    auto key = lease_key(next);
    auto stored = store_.put(ObjectKey(key), object, stop);
    if (!stored) {
        if (!stale_.empty())
            (void)store_.remove(ObjectKey(stale_), stop);
        stale_ = key;
        return std::move(stored).within(key);
    }
    // The new marker stands before the old one goes.
    for (auto* old : {&key_, &stale_}) {
        if (!old->empty())
            (void)store_.remove(ObjectKey(*old), stop);
        old->clear();
    }
    key_ = key;
    renewed_ = begin;
    return {};
}

Result<void> Lease::renew_if_due(std::stop_token stop) {
    std::lock_guard lock(mutex_);
    auto now = clock_.elapsed();
    auto silent = now - renewed_;
    if (silent < kLeaseRenewAfter)
        return {};
    if (silent > kLeaseSilenceMax)
        return fail(ErrorKind::unsafe, "this backup was silent for too long and lost its lease",
                    "was the machine asleep? Run the backup again: what is stored is found again");
    // Not at every call while the store does not answer.
    if (tried_ > renewed_ && now - tried_ < std::chrono::minutes(1))
        return {};
    tried_ = now;
    auto renewed = put(stop);
    if (!renewed && silent < kLeaseSilenceMax / 2 && renewed.error().kind != ErrorKind::cancelled)
        return {};
    return renewed;
}

}  // namespace holdfast
