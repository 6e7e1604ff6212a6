#include "repo/key_changes.h"

#include <algorithm>
#include <fmt/format.h>
#include <set>

#include "base/text.h"
#include "repo/approval.h"
#include "repo/certificates.h"
#include "repo/self_documents.h"
#include "repo/wal_key.h"
#include "repo/writer_log.h"

namespace holdfast {
namespace {

// How often another admin may be first before we give up.
constexpr int kRingAttemptsMax = 100;
constexpr std::size_t kSelfLooksMax = 16;

Result<void> is_admin(Repository& repository) {
    if (repository.keys().has(Role::admin)) return {};
    return fail(ErrorKind::key_refused,
                "a " + to_text(repository.keys().roles) + "'s key cannot change keys",
                "use an admin's key or the password");
}

// Puts the next ring, as `change` makes it of the newest one; again when another admin was first. The ring
// itself is put before its copy: only one of two admins gets the number.
template <typename Change>
Result<void> change_ring(Repository& repository, Change const& change, std::stop_token stop) {
    TRY(is_admin(repository));
    auto const& world = repository.world();
    auto& store = repository.store();
    for (int attempt = 1;; ++attempt) {
        auto loaded = TRY(repository.ring(stop));
        if (loaded.newer)
            return fail(ErrorKind::damaged, "the newest key ring can't be read: " + loaded.newer->message,
                        "bring it back from a copy of the repository first");
        auto ring = std::move(loaded.ring);
        // A crash may have come between a ring and its copy.
        if (ring.n > 0 && !store.head(ObjectKey(ring_copy_key(ring.n)), stop)) {
            auto object = store.get(ObjectKey(ring_key(ring.n)), stop);
            if (object) TRY(store.put(ObjectKey(ring_copy_key(ring.n)), *object, stop));
        }
        TRY(change(ring));
        ++ring.n;
        ring.previous = loaded.hash;
        ring.time = world.clock.now();
        auto object = seal_ring(ring, repository.keys(), world.random);
        auto key = ring_key(ring.n);
        auto put = store.put(ObjectKey(key), object, stop);
        if (!put && put.error().kind == ErrorKind::exists && attempt < kRingAttemptsMax) continue;
        TRY(std::move(put).within(key));
        TRY(repository.ring(stop));
        return store.put(ObjectKey(ring_copy_key(ring.n)), object, stop).within(ring_copy_key(ring.n));
    }
}

// The newest self documents of each name that the key signed, among the kSelfLooksMax newest: an older one serves
// nobody.
Result<std::map<std::string, Hash32>> self_documents_of(Repository& repository, BundleId const& id,
                                                        std::stop_token stop) {
    std::map<std::string, Hash32> found;
    std::map<std::string, std::size_t> looks;
    auto names = TRY(self_list(repository, stop));
    for (auto name = names.rbegin(); name != names.rend(); ++name) {
        if (looks[name->name]++ >= kSelfLooksMax) continue;
        auto key = self_key(*name);
        auto object = repository.store().get(ObjectKey(key), stop);
        if (!object && object.error().kind == ErrorKind::not_found) continue;
        if (!object && object.error().kind != ErrorKind::damaged) return fail(std::move(object).error().within(key));
        auto document = object ? repository.open(DocumentKind::self, *object, stop)
                               : Result<OpenDocument>(fail(object.error()));
        if (document && document->signer.id == id) found.emplace(key, sha256(*object));
    }
    return found;
}

// What the key has signed so far, as the store has it.
Result<RemovedKey> take_stock(Repository& repository, BundleId const& id, std::stop_token stop) {
    RemovedKey removed;
    // Gives every point that is there its receipt: what an admin has seen stays.
    TRY(repository.points(stop));
    auto lookup = [&](BundleId const& signer) { return repository.certificate(signer, stop); };
    auto logs = TRY(read_logs(repository.store(), repository.keys(), lookup, {}, nullptr, stop));
    auto heads = logs.heads();
    if (auto head = heads.find(id); head != heads.end()) {
        removed.removal.last_entry = head->second.n;
        removed.removal.last_hash = head->second.hash;
    }
    removed.self = TRY(self_documents_of(repository, id, stop));
    auto visit = [&](ObjectInfo const& info) -> Result<void> {
        auto name = parse_wal_key(info.key.text());
        if (name && name->range && name->range->writer == id)
            removed.log[removed_log_name(name->stream, name->range->timeline)].push_back(
                {name->range->first, name->range->end});
        if (name && name->history && name->history->writer == id) removed.histories.insert(info.key.text());
        return {};
    };
    TRY(repository.store().list(kWalPrefix, visit, stop));
    for (auto& [timeline, spans] : removed.log) {
        std::ranges::sort(spans, {}, &WalSpan::first);
        std::vector<WalSpan> joined;
        for (auto const& span : spans) {
            if (joined.empty() || span.first > joined.back().end)
                joined.push_back(span);
            else
                joined.back().end = std::max(joined.back().end, span.end);
        }
        spans = std::move(joined);
    }
    removed.removal.time = repository.world().clock.now();
    return removed;
}

// Certificates of all keys that stand and were not removed.
Result<std::vector<KeyCertificate>> standing(Repository& repository, std::stop_token stop) {
    std::vector<KeyCertificate> found;
    auto const list = TRY(list_keys(repository, stop));
    for (auto const& listed : list.keys)
        if (!listed.certificate.removed) found.push_back(listed.certificate);
    return found;
}

bool is_reader(KeyCertificate const& certificate) {
    return (certificate.roles & static_cast<Roles>(Role::reader)) != 0;
}

Result<void> grant(KeyRing& ring, Repository& repository, BundleId const& to, SignPublicKey const& sign,
                   BoxKey const& data) {
    ring.grants[to][data_key_id(data.public_key)] =
        TRY(seal_grant(repository.id(), to, sign, data, repository.world().random));
    return {};
}

// All pairs of that name: of the repository's own, those that the ring has.
Result<void> grant_name(KeyRing& ring, Repository& repository, std::string_view name, BundleId const& to,
                        SignPublicKey const& sign) {
    auto data_keys = TRY(DataKeys::create(repository.keys(), ring));
    for (auto const& pair : ring.pairs) {
        if (pair.name != name) continue;
        auto const* data = TRY(data_keys.find(data_key_id(pair.public_key)));
        TRY(grant(ring, repository, to, sign, *data));
    }
    return {};
}

}  // namespace

Result<DataKeyId> rotate_pair(Repository& repository, std::string_view name, std::stop_token stop) {
    TRY(is_admin(repository));
    auto readers = TRY(standing(repository, stop));
    std::erase_if(readers, [](auto const& one) { return !is_reader(one); });
    auto data = BoxKey::generate(repository.world().random);
    auto change = [&](KeyRing& ring) -> Result<void> {
        auto data_keys = TRY(DataKeys::create(repository.keys(), ring));
        auto before = data_key_id(TRY(data_keys.newest(name)));
        ring.pairs.push_back({std::string(name), data.public_key, repository.world().clock.now()});
        for (auto const& reader : readers) {
            // Of a named pair, those who read it so far.
            auto granted = ring.grants.find(reader.id);
            if (!name.empty() && (granted == ring.grants.end() || !granted->second.contains(before))) continue;
            TRY(grant(ring, repository, reader.id, reader.sign_public, data));
        }
        return {};
    };
    TRY(change_ring(repository, change, stop));
    return data_key_id(data.public_key);
}

Result<DataKeyId> add_pair(Repository& repository, std::string const& name,
                           std::span<BundleId const> readers, std::stop_token stop) {
    TRY(is_admin(repository));
    if (!is_pair_name(name))
        return fail(ErrorKind::usage, fmt::format("'{}' names no key pair", printable(name)),
                    "take up to 64 of a-z 0-9 . _ -");
    std::vector<KeyCertificate> certificates;
    for (auto const& id : readers) {
        auto certificate = repository.certificate(id, stop);
        if (!certificate) return fail(ErrorKind::not_found, "there is no key " + id.brief());
        if (!is_reader(*certificate) || certificate->removed)
            return fail(ErrorKind::usage, fmt::format("key {} reads nothing: it is {}", id.brief(),
                                                      certificate->removed ? "removed" : "no reader's"));
        certificates.push_back(std::move(*certificate));
    }
    if (certificates.empty())
        return fail(ErrorKind::usage, "a key pair that nobody can read keeps nothing safe",
                    "name a reader's key: holdfast key list shows them");
    auto data = BoxKey::generate(repository.world().random);
    auto change = [&](KeyRing& ring) -> Result<void> {
        if (ring.has_pair(name))
            return fail(ErrorKind::exists, fmt::format("there is a key pair '{}'", name),
                        "holdfast key rotate --pair makes a new epoch of it");
        ring.pairs.push_back({name, data.public_key, repository.world().clock.now()});
        for (auto const& reader : certificates)
            TRY(grant(ring, repository, reader.id, reader.sign_public, data));
        return {};
    };
    TRY(change_ring(repository, change, stop));
    return data_key_id(data.public_key);
}

Result<void> grant_pair(Repository& repository, std::string_view name, BundleId const& reader,
                        std::stop_token stop) {
    auto certificate = TRY(repository.certificate(reader, stop));
    if (!is_reader(certificate) || certificate.removed)
        return fail(ErrorKind::usage, "key " + reader.brief() + " is no reader's");
    auto change = [&](KeyRing& ring) -> Result<void> {
        if (!ring.has_pair(name))
            return fail(ErrorKind::usage, fmt::format("the repository has no key pair '{}'", printable(name)));
        return grant_name(ring, repository, name, reader, certificate.sign_public);
    };
    return change_ring(repository, change, stop);
}

Result<void> grant_all(Repository& repository, KeyBundle const& bundle, std::span<std::string const> pairs,
                       std::stop_token stop) {
    auto loaded = TRY(repository.ring(stop));
    if (!loaded.ring.has_pair("") && pairs.empty()) return {};
    auto change = [&](KeyRing& ring) -> Result<void> {
        TRY(grant_name(ring, repository, "", bundle.id, bundle.sign.public_key));
        for (auto const& name : pairs) {
            if (!ring.has_pair(name))
                return fail(ErrorKind::usage, fmt::format("the repository has no key pair '{}'", printable(name)));
            TRY(grant_name(ring, repository, name, bundle.id, bundle.sign.public_key));
        }
        return {};
    };
    return change_ring(repository, change, stop);
}

Result<KeyRemoval> remove_key(Repository& repository, BundleId const& id, std::stop_token stop) {
    TRY(is_admin(repository));
    auto certificate = repository.certificate(id, stop);
    if (!certificate && certificate.error().kind == ErrorKind::damaged)
        return fail(ErrorKind::not_found, "no admin certified a key " + id.hex());
    if (!certificate) return fail(std::move(certificate).error());
    if ((certificate->roles & static_cast<Roles>(Role::admin)) != 0)
        return fail(ErrorKind::unsafe,
                    "key " + id.brief() + " is an admin's: whoever holds it can certify another one",
                    "make a new repository, copy what is needed, and keep this one read-only");
    if (certificate->removed && !certificate->removed->closing) return *certificate->removed;
    auto permission = TRY(Permission::load(repository, Deletion::key, stop));
    TRY(permission.require({id.hex()}, stop));
    // Invariant: it is told before we note how far it went. Whoever publishes looks at the ring after the log
    // entry and before it tells anybody, so what it has told is noted.
    auto now = [&] { return repository.world().clock.now(); };
    auto close = [&](KeyRing& ring) -> Result<void> {
        ring.removed.try_emplace(id, RemovedKey{.removal = {.time = now(), .closing = true}});
        ring.grants.erase(id);
        return {};
    };
    if (!certificate->removed) TRY(change_ring(repository, close, stop));
    auto removed = TRY(take_stock(repository, id, stop));
    auto settle = [&](KeyRing& ring) -> Result<void> {
        auto& standing = ring.removed.try_emplace(id, RemovedKey{.removal = {.time = now(), .closing = true}}).first->second;
        // Another admin may have been first: what that one saw counts.
        if (standing.removal.closing) standing = removed;
        removed.removal = standing.removal;
        return {};
    };
    TRY(change_ring(repository, settle, stop));
    TRY(permission.note_used({id.hex()}, stop));
    return removed.removal;
}

Result<void> change_settings(Repository& repository, std::map<std::string, std::uint64_t> const& settings,
                             std::stop_token stop) {
    auto change = [&](KeyRing& ring) -> Result<void> {
        for (auto const& [name, value] : settings) ring.settings[name] = value;
        return {};
    };
    return change_ring(repository, change, std::move(stop));
}

Result<KeyList> list_keys(Repository& repository, std::stop_token stop) {
    auto ring = TRY(repository.ring(stop)).ring;
    std::set<std::string> names;
    for (auto prefix : {kKeysPrefix, kKeyCopiesPrefix}) {
        auto visit = [&](ObjectInfo const& info) -> Result<void> {
            names.insert(info.key.text().substr(prefix.size()));
            return {};
        };
        TRY(repository.store().list(prefix, visit, stop));
    }
    KeyList list;
    for (auto const& pair : ring.pairs) list.pairs.push_back(pair);
    for (auto const& name : names) {
        auto id = BundleId::from_hex(name);
        if (!id) continue;  // verify names what has no business there
        auto certificate = repository.certificate(*id, stop);
        if (!certificate) {
            if (certificate.error().kind != ErrorKind::damaged) return fail(std::move(certificate).error());
            list.damaged.push_back({key_object_key(*id), std::move(certificate).error()});
            continue;
        }
        ListedKey one{std::move(*certificate), {}, *id == repository.keys().id};
        std::set<std::string> pairs;
        if (auto granted = ring.grants.find(*id); granted != ring.grants.end())
            for (auto const& [key, sealed] : granted->second)
                if (auto const* pair = ring.find(key); pair != nullptr && !pair->name.empty())
                    pairs.insert(pair->name);
        one.pairs.assign(pairs.begin(), pairs.end());
        list.keys.push_back(std::move(one));
    }
    return list;
}

}  // namespace holdfast
