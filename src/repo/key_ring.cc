#include "repo/key_ring.h"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <set>

#include "repo/json_object.h"

namespace holdfast {
namespace {

constexpr std::size_t kRingDigits = 6;
constexpr std::uint64_t kRingBytesMax = 16u << 20;
constexpr std::size_t kPairNameMax = 64;

// Of a ring's key or its copy's.
std::optional<std::uint64_t> number_of(std::string_view key) {
    for (auto prefix : {kRingsPrefix, kRingCopiesPrefix}) {
        if (!key.starts_with(prefix)) continue;
        auto digits = key.substr(prefix.size());
        std::uint64_t n = 0;
        auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), n);
        if (parsed.ptr != digits.data() + digits.size() || n == 0) return {};
        if (digits != fmt::format("{:0{}}", n, kRingDigits)) return {};
        return n;
    }
    return {};
}

Bytes grant_associated(RepositoryId const& repository, BundleId const& to, BoxPublicKey const& data) {
    ByteWriter writer;
    writer.raw(repository.view());
    writer.raw(to.view());
    writer.raw(data);
    return writer.take();
}

// "<first>-<end>" in hexadecimal, several behind each other with commas.
std::string spell(std::vector<WalSpan> const& spans) {
    std::string text;
    for (auto const& span : spans) text += fmt::format("{}{:x}-{:x}", text.empty() ? "" : ",", span.first, span.end);
    return text;
}

std::optional<std::vector<WalSpan>> parse_spans(std::string const& text) {
    std::vector<WalSpan> spans;
    auto const* at = text.data();
    auto const* end = at + text.size();
    while (at < end) {
        WalSpan span;
        at = std::from_chars(at, end, span.first, 16).ptr;
        if (at < end && *at == '-') at = std::from_chars(at + 1, end, span.end, 16).ptr;
        if (at < end && *at == ',') ++at;
        spans.push_back(span);
        if (span.end <= span.first) return {};
    }
    // One list has one spelling.
    if (spell(spans) != text) return {};
    return spans;
}

JsonObject to_json(RemovedKey const& key) {
    JsonObject json, self, log, histories;
    json.set("time", key.removal.time);
    json.set("closing", key.removal.closing ? std::uint64_t{1} : std::uint64_t{0});
    json.set("n", key.removal.last_entry);
    json.set_hex("hash", key.removal.last_hash);
    for (auto const& [name, hash] : key.self) self.set_hex(name, hash);
    for (auto const& [timeline, spans] : key.log) log.set(timeline, spell(spans));
    for (auto const& name : key.histories) histories.set(name, std::uint64_t{1});
    json.set("self", self);
    json.set("log", log);
    json.set("histories", histories);
    return json;
}

std::optional<RemovedKey> removed_from_json(JsonObject json) {
    RemovedKey key{.removal = {.time = json.time("time"),
                               .closing = json.number("closing") != 0,
                               .last_entry = json.number("n"),
                               .last_hash = json.array<Hash32>("hash")}};
    auto self = json.object("self"), log = json.object("log"), histories = json.object("histories");
    for (auto const& name : self.names()) key.self.emplace(name, self.array<Hash32>(name));
    for (auto const& timeline : log.names()) {
        auto spans = parse_spans(log.text(timeline));
        if (!spans) return {};
        key.log.emplace(timeline, std::move(*spans));
    }
    for (auto const& name : histories.names()) key.histories.insert(name);
    if (!json.ok() || !self.ok() || !log.ok()) return {};
    return key;
}

Result<Secret> grant_key(RepositoryId const& repository, ByteView private_key, BoxPublicKey const& peer,
                         BoxPublicKey const& ephemeral, BoxPublicKey const& recipient) {
    auto shared = TRY(x25519(private_key, peer));
    ByteWriter salt;
    salt.raw(repository.view());
    salt.raw(ephemeral);
    salt.raw(recipient);
    return hkdf_sha256(shared.view(), salt.view(), as_bytes("holdfast 1 grant"), 32);
}

}  // namespace

bool is_pair_name(std::string_view name) {
    auto good = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
    };
    return !name.empty() && name.size() <= kPairNameMax && std::ranges::all_of(name, good);
}

std::string removed_log_name(WalStream const& stream, std::uint32_t timeline) {
    return wal_prefix(stream).substr(kWalPrefix.size()) + fmt::format("{:08x}", timeline);
}

bool RemovedKey::had_stored(std::string_view key, WalKey const& name) const {
    if (removal.closing) return true;
    if (!name.range) return histories.contains(std::string(key));
    auto found = log.find(removed_log_name(name.stream, name.range->timeline));
    if (found == log.end()) return false;
    return std::ranges::any_of(found->second, [&](WalSpan const& span) {
        return span.first <= name.range->first && name.range->end <= span.end;
    });
}

DataPair const* KeyRing::find(DataKeyId const& id) const {
    auto found = std::ranges::find(pairs, id, [](DataPair const& pair) { return data_key_id(pair.public_key); });
    return found == pairs.end() ? nullptr : &*found;
}

bool KeyRing::has_pair(std::string_view name) const {
    return std::ranges::find(pairs, name, &DataPair::name) != pairs.end();
}

std::string ring_key(std::uint64_t n) { return fmt::format("{}{:0{}}", kRingsPrefix, n, kRingDigits); }
std::string ring_copy_key(std::uint64_t n) {
    return fmt::format("{}{:0{}}", kRingCopiesPrefix, n, kRingDigits);
}

Bytes seal_ring(KeyRing const& ring, KeyBundle const& keys, Random& random) {
    JsonObject pairs, removed, grants, settings;
    for (auto const& pair : ring.pairs) {
        JsonObject one;
        one.set("name", pair.name);
        one.set_hex("public", pair.public_key);
        one.set("created", pair.created);
        pairs.set(data_key_id(pair.public_key).hex(), one);
    }
    for (auto const& [id, key] : ring.removed) removed.set(id.hex(), to_json(key));
    for (auto const& [to, sealed] : ring.grants) {
        JsonObject one;
        for (auto const& [key, bytes] : sealed) one.set_hex(key.hex(), bytes);
        grants.set(to.hex(), one);
    }
    JsonObject json;
    json.set("n", ring.n);
    json.set_hex("previous", ring.previous);
    json.set("time", ring.time);
    json.set("pairs", pairs);
    json.set("removed", removed);
    for (auto const& [name, value] : ring.settings) settings.set(name, value);
    json.set("grants", grants);
    json.set("settings", settings);
    auto object = seal_document(DocumentKind::ring, keys, as_bytes(json.dump()), random);
    auto sum = sha256(object);
    object.insert(object.end(), sum.begin(), sum.end());
    return object;
}

Result<void> check_bare_ring(ByteView object) {
    auto bytes = object.size() - std::min(object.size(), sizeof(Hash32));
    if (bytes == 0 || !std::ranges::equal(object.subspan(bytes), sha256(object.first(bytes))))
        return fail(ErrorKind::damaged, "does not fit its checksum");
    return {};
}

Result<KeyRing> open_ring(std::string_view key, ByteView object, KeyBundle const& keys,
                          CertificateLookup const& certificates) {
    auto malformed = [] { return fail(ErrorKind::damaged, "key ring is malformed"); };
    auto number = number_of(key);
    if (!number) return fail(ErrorKind::damaged, "not the name of a key ring");
    TRY(check_bare_ring(object));
    auto envelope = object.first(object.size() - sizeof(Hash32));
    auto document = TRY(open_document(DocumentKind::ring, keys, envelope, certificates));
    auto json = TRY(JsonObject::parse(as_text(document.plain)));
    KeyRing ring;
    ring.n = json.number("n");
    ring.previous = json.array<Hash32>("previous");
    ring.time = json.time("time");
    auto pairs = json.object("pairs");
    auto removed = json.object("removed");
    auto grants = json.object("grants");
    auto settings = json.object("settings");
    if (!json.ok()) return malformed();
    for (auto const& id : pairs.names()) {
        auto one = pairs.object(id);
        DataPair pair{one.text("name"), one.array<BoxPublicKey>("public"), one.time("created")};
        if (!one.ok() || data_key_id(pair.public_key).hex() != id) return malformed();
        if (!pair.name.empty() && !is_pair_name(pair.name)) return malformed();
        ring.pairs.push_back(std::move(pair));
    }
    for (auto const& id : removed.names()) {
        auto bundle = BundleId::from_hex(id);
        auto key = removed_from_json(removed.object(id));
        if (!bundle || !key) return malformed();
        ring.removed.emplace(*bundle, std::move(*key));
    }
    for (auto const& id : grants.names()) {
        auto one = grants.object(id);
        auto to = BundleId::from_hex(id);
        if (!to) return malformed();
        for (auto const& data : one.names()) {
            auto data_key = DataKeyId::from_hex(data);
            auto sealed = one.hex(data);
            if (!data_key || !one.ok() || ring.find(*data_key) == nullptr) return malformed();
            ring.grants[*to][*data_key] = std::move(sealed);
        }
    }
    for (auto const& name : settings.names()) ring.settings[name] = settings.number(name);
    if (!pairs.ok() || !removed.ok() || !grants.ok() || !settings.ok()) return malformed();
    if (ring.n != *number) return fail(ErrorKind::damaged, fmt::format("key ring is number {}", ring.n));
    return ring;
}

Result<Bytes> seal_grant(RepositoryId const& repository, BundleId const& to, SignPublicKey const& sign,
                         BoxKey const& data, Random& random) {
    auto recipient = TRY(box_public_of(sign));
    auto ephemeral = BoxKey::generate(random);
    auto key = TRY(grant_key(repository, ephemeral.private_key.view(), recipient, ephemeral.public_key,
                             recipient));
    ByteWriter writer;
    writer.raw(ephemeral.public_key);
    writer.raw(xchacha_seal(key.view(), random, grant_associated(repository, to, data.public_key),
                            data.private_key.view()));
    return writer.take();
}

Result<BoxKey> open_grant(KeyBundle const& keys, BoxPublicKey const& data, ByteView sealed) {
    auto not_ours = [] { return fail(ErrorKind::damaged, "a grant in the key ring does not open"); };
    BoxPublicKey ephemeral{};
    if (sealed.size() != ephemeral.size() + kXChaChaOverheadBytes + 32) return not_ours();
    std::copy_n(sealed.begin(), ephemeral.size(), ephemeral.begin());
    auto own = box_key_of(keys.sign);
    auto key = TRY(grant_key(keys.repository, own.private_key.view(), ephemeral, ephemeral, own.public_key));
    auto plain = xchacha_open(key.view(), grant_associated(keys.repository, keys.id, data),
                              sealed.subspan(ephemeral.size()));
    if (!plain) return not_ours();
    auto pair = BoxKey::from_private(*plain);
    wipe(*plain);
    if (pair.public_key != data) return not_ours();
    return pair;
}

Result<LoadedRing> load_ring(Store& store, KeyBundle const& keys, CertificateLookup const& certificates,
                             std::uint64_t known, std::stop_token stop) {
    std::set<std::uint64_t> numbers;
    if (known > 0) numbers.insert(known);
    for (auto prefix : {kRingsPrefix, kRingCopiesPrefix}) {
        auto visit = [&](ObjectInfo const& info) -> Result<void> {
            if (auto n = number_of(info.key.text())) numbers.insert(*n);
            return {};
        };
        TRY(store.list(prefix, visit, stop));
    }
    for (auto next = numbers.empty() ? 1 : *numbers.rbegin() + 1;; ++next) {
        auto info = store.head(ObjectKey(ring_key(next)), stop);
        if (!info && info.error().kind == ErrorKind::not_found) break;
        if (!info) return fail(std::move(info).error().within(ring_key(next)));
        numbers.insert(next);
    }
    LoadedRing loaded;
    auto read = [&](std::string const& key) -> Result<KeyRing> {
        auto info = TRY(store.head(ObjectKey(key), stop));
        if (info.size > kRingBytesMax) return fail(ErrorKind::damaged, "key ring is too long");
        auto object = TRY(store.get(ObjectKey(key), stop));
        auto ring = TRY(open_ring(key, object, keys, certificates));
        loaded.hash = sha256(object);
        return ring;
    };
    auto is_passing = [](Error const& error) {
        return error.kind != ErrorKind::damaged && error.kind != ErrorKind::not_found;
    };
    for (auto n = numbers.rbegin(); n != numbers.rend(); ++n) {
        auto ring = read(ring_key(*n)).within(ring_key(*n));
        if (!ring && is_passing(ring.error())) return fail(std::move(ring).error());
        if (!ring) {
            auto copy = read(ring_copy_key(*n)).within(ring_copy_key(*n));
            if (!copy && is_passing(copy.error())) return fail(std::move(copy).error());
            if (!copy) {
                // One that only this machine knows of was not damaged: it is gone, and that is for the caller.
                auto gone = ring.error().kind == ErrorKind::not_found && copy.error().kind == ErrorKind::not_found;
                if (!gone && !loaded.newer) loaded.newer = ring.error();
                continue;
            }
            auto missing = ring.error().kind == ErrorKind::not_found;
            loaded.notices.push_back(ring_key(*n) + (missing ? " is missing" : " is damaged") +
                                     ": its copy " + ring_copy_key(*n) + " was used");
            ring = std::move(copy);
        }
        loaded.ring = std::move(*ring);
        return loaded;
    }
    return loaded;
}

}  // namespace holdfast
