#include "repo/self_documents.h"

#include <algorithm>
#include <cassert>

namespace holdfast {
namespace {

constexpr std::size_t kNameSizeMax = 64;

bool is_name(std::string_view name) {
    auto good = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-';
    };
    return !name.empty() && name.size() <= kNameSizeMax && std::ranges::all_of(name, good);
}

std::optional<SelfName> parse_key(std::string_view key) {
    if (!key.starts_with(kSelfPrefix))
        return std::nullopt;
    auto rest = key.substr(kSelfPrefix.size());
    if (rest.size() < kKeyTimeSize + 2 || rest[kKeyTimeSize] != '-')
        return std::nullopt;
    auto time = parse_key_time(rest.substr(0, kKeyTimeSize));
    auto name = rest.substr(kKeyTimeSize + 1);
    if (!time || !is_name(name))
        return std::nullopt;
    return SelfName{std::string(name), *time};
}

// The key for one ephemeral key pair, as in a pack.
Result<Secret> document_key(KeyBundle const& keys, ByteView private_key, BoxPublicKey const& peer,
                            BoxPublicKey const& ephemeral, BoxPublicKey const& data_public) {
    auto shared = TRY(x25519(private_key, peer));
    ByteWriter salt;
    salt.raw(keys.repository.view());
    salt.raw(ephemeral);
    salt.raw(data_public);
    return hkdf_sha256(shared.view(), salt.view(), as_bytes("holdfast 1 self document"), 32);
}

Result<SelfDocument> open_self(Repository& repository, SelfName const& name, std::stop_token stop) {
    auto const& keys = repository.keys();
    if (!keys.data_private)
        return fail(ErrorKind::key_refused, "a " + to_text(keys.roles) + "'s key cannot read",
                    "use a reader's key or the password");
    auto key = self_key(name);
    auto object = TRY(repository.store().get(ObjectKey(key), stop).within(key));
    auto document = TRY(repository.open(DocumentKind::self, object, stop).within(key));
    ByteReader reader(document.plain);
    Time time{Duration(reader.i64())};
    auto written_name = reader.text();
    BoxPublicKey ephemeral{};
    auto raw = reader.raw(ephemeral.size());
    if (!reader.ok() || time != name.time || written_name != name.name)
        return fail(ErrorKind::damaged, key + ": is stored under a name of another one");
    std::ranges::copy(raw, ephemeral.begin());
    if (auto removed = repository.removed(document.signer.id)) {
        auto stood = removed->self.find(key);
        auto stands = stood != removed->self.end() && stood->second == sha256(object);
        if (!removed->removal.closing && !stands)
            return fail(ErrorKind::damaged, key + ": refused: signed by key " +
                                                document.signer.id.brief() +
                                                ", which was removed before an admin saw it");
    }
    auto sealed = reader.raw(reader.remaining());
    // It does not say to which epoch of the repository's own pair it is sealed: the newest first.
    auto data_keys = repository.data_keys();
    auto epochs = data_keys->epochs("");
    Result<Bytes> opened = fail(ErrorKind::damaged, "does not open");
    for (auto epoch = epochs.rbegin(); epoch != epochs.rend() && !opened; ++epoch) {
        auto data = data_keys->find(*epoch);
        if (!data)
            continue;
        auto secret = TRY(document_key(keys, (*data)->private_key.view(), ephemeral, ephemeral,
                                       (*data)->public_key)
                              .within(key));
        opened = xchacha_open(secret.view(), as_bytes(name.name), sealed);
    }
    SelfDocument result{name.name, name.time, std::move(document.signer), {}, {}};
    result.bytes = TRY(std::move(opened).within(key));
    return result;
}

}  // namespace

std::string self_key(SelfName const& name) {
    return std::string(kSelfPrefix) + to_key_time(name.time) + "-" + name.name;
}

Result<void> self_put(Repository& repository, std::string_view name, ByteView bytes,
                      std::stop_token stop) {
    assert(is_name(name));
    auto const& keys = repository.keys();
    if ((keys.roles & roles_that_sign(DocumentKind::self)) == 0)
        return fail(ErrorKind::key_refused, "a " + to_text(keys.roles) + "'s key cannot write");
    auto& random = repository.world().random;
    auto data_public = TRY(repository.data_keys()->newest(""));
    auto time = repository.world().clock.now();
    // Two processes in the same nanosecond: one of them is later.
    for (int attempt = 0;; ++attempt, time += Duration(1)) {
        auto ephemeral = BoxKey::generate(random);
        auto secret = TRY(document_key(keys, ephemeral.private_key.view(), data_public,
                                       ephemeral.public_key, data_public));
        ByteWriter plain;
        plain.i64(time.time_since_epoch().count());
        plain.blob(name);
        plain.raw(ephemeral.public_key);
        plain.raw(xchacha_seal(secret.view(), random, as_bytes(name), bytes));
        auto object = repository.seal(DocumentKind::self, plain.view());
        auto key = self_key({std::string(name), time});
        auto stored = repository.store().put(ObjectKey(key), object, stop);
        if (stored || stored.error().kind != ErrorKind::exists || attempt == 100)
            return std::move(stored).within(key);
    }
}

Result<std::vector<SelfName>> self_list(Repository& repository, std::stop_token stop) {
    std::vector<SelfName> names;
    auto visit = [&](ObjectInfo const& info) -> Result<void> {
        auto name = parse_key(info.key.text());
        if (name)
            names.push_back(std::move(*name));
        return {};
    };
    TRY(repository.store().list(kSelfPrefix, visit, stop));
    std::ranges::sort(names, {},
                      [](SelfName const& name) { return std::tie(name.time, name.name); });
    return names;
}

Result<SelfDocument> self_get(Repository& repository, std::string_view name, Time time,
                              std::stop_token stop) {
    return open_self(repository, {std::string(name), time}, stop);
}

Result<SelfDocument> self_latest(Repository& repository, std::string_view name,
                                 std::stop_token stop) {
    auto names = TRY(self_list(repository, stop));
    std::optional<Error> newest;
    std::vector<std::string> notices;
    for (auto at = names.rbegin(); at != names.rend(); ++at) {
        if (at->name != name)
            continue;
        auto document = open_self(repository, *at, stop);
        if (document) {
            document->notices = std::move(notices);
            return document;
        }
        auto kind = document.error().kind;
        if (kind != ErrorKind::damaged && kind != ErrorKind::not_found)
            return document;
        notices.push_back(document.error().message);
        if (!newest)
            newest = std::move(document).error();
    }
    if (newest)
        return fail(std::move(*newest));
    return fail(ErrorKind::not_found, "the repository holds no '" + std::string(name) + "'");
}

}  // namespace holdfast
