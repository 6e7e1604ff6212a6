#include "repo/doomed.h"

#include "repo/repository.h"

namespace holdfast {
namespace {

constexpr std::size_t kLeaseBytes = 16 + 8;
constexpr std::size_t kPackBytes = 32 + 1 + 8;

}  // namespace

Bytes encode(DoomedList const& list) {
    ByteWriter writer;
    writer.i64(list.time.time_since_epoch().count());
    writer.u32(static_cast<std::uint32_t>(list.leases.size()));
    for (auto const& lease : list.leases) {
        writer.raw(lease.lease);
        writer.u64(lease.renewal);
    }
    writer.u32(static_cast<std::uint32_t>(list.packs.size()));
    for (auto const& pack : list.packs) {
        writer.raw(pack.id.view());
        writer.u8(pack.deleted ? 1 : 0);
        writer.i64(pack.since.time_since_epoch().count());
    }
    return writer.take();
}

Result<DoomedList> decode_doomed(ByteView plain) {
    auto malformed = [] { return fail(ErrorKind::damaged, "list of doomed packs is malformed"); };
    ByteReader reader(plain);
    DoomedList list;
    list.time = Time(Duration(reader.i64()));
    auto leases = reader.u32();
    if (!reader.ok() || leases > reader.remaining() / kLeaseBytes)
        return malformed();
    list.leases.resize(leases);
    for (auto& lease : list.leases) {
        auto id = reader.raw(lease.lease.size());
        lease.renewal = reader.u64();
        if (!reader.ok())
            return malformed();
        std::ranges::copy(id, lease.lease.begin());
    }
    auto packs = reader.u32();
    if (!reader.ok() || packs > reader.remaining() / kPackBytes)
        return malformed();
    list.packs.resize(packs);
    for (auto& pack : list.packs) {
        auto id = reader.raw(PackId::kSize);
        auto state = reader.u8();
        pack.since = Time(Duration(reader.i64()));
        if (!reader.ok() || state > 1)
            return malformed();
        pack.id = PackId::from_bytes(id);
        pack.deleted = state == 1;
    }
    if (!reader.done())
        return malformed();
    return list;
}

std::string doomed_key(ByteView object) {
    return std::string(kDoomedPrefix) + to_hex(sha256(object));
}

Result<DoomedList> open_doomed(Repository& repository, std::string_view key, ByteView object,
                               std::stop_token stop) {
    if (doomed_key(object) != key)
        return fail(ErrorKind::damaged, "holds other bytes than its name says");
    auto document = TRY(repository.open(DocumentKind::doomed, object, stop));
    return decode_doomed(document.plain);
}

std::set<PackId> Doomed::packs() const {
    std::set<PackId> all;
    for (auto const& [key, list] : lists)
        for (auto const& pack : list.packs)
            all.insert(pack.id);
    return all;
}

std::set<std::string> Doomed::keys() const {
    std::set<std::string> all;
    for (auto const& [key, list] : lists)
        all.insert(key);
    for (auto const& [key, error] : damaged)
        all.insert(key);
    return all;
}

Result<std::set<std::string>> list_doomed_keys(Store& store, std::stop_token stop) {
    std::set<std::string> keys;
    auto visit = [&](ObjectInfo const& info) -> Result<void> {
        keys.insert(info.key.text());
        return {};
    };
    TRY(store.list(kDoomedPrefix, visit, stop));
    return keys;
}

Result<Doomed> list_doomed(Repository& repository, std::stop_token stop) {
    Doomed doomed;
    for (int look = 1;; ++look) {
        auto keys = TRY(list_doomed_keys(repository.store(), stop));
        bool all_there = true;
        for (auto const& key : keys) {
            if (doomed.lists.contains(key) || doomed.damaged.contains(key))
                continue;
            auto object = repository.store().get(ObjectKey(key), stop);
            if (!object && object.error().kind == ErrorKind::not_found) {
                all_there = false;
                continue;
            }
            auto list = object ? open_doomed(repository, key, *object, stop)
                               : Result<DoomedList>(fail(std::move(object).error()));
            if (list) {
                doomed.lists.emplace(key, std::move(*list));
            } else if (list.error().kind == ErrorKind::damaged) {
                doomed.damaged.emplace(key, std::move(list).error().within(key));
            } else {
                return fail(std::move(list).error().within(key));
            }
        }
        if (all_there)
            return doomed;
        if (look == kLooksMax)
            return fail(ErrorKind::unreachable, "what is doomed changes faster than it can be read");
    }
}

Result<DoomedNow> read_doomed(Repository& repository, std::stop_token stop) {
    auto doomed = TRY(list_doomed(repository, stop));
    if (!doomed.damaged.empty())
        return fail(Error{ErrorKind::unsafe, doomed.damaged.begin()->second.message,
                          "nobody can say which packs are about to be deleted: holdfast prune mends it"});
    return DoomedNow{doomed.packs(), doomed.keys()};
}

}  // namespace holdfast
