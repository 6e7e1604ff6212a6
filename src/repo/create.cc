// How a repository begins, how its keys are found, and how it gets more of them.
#include <set>

#include "os/machine.h"
#include "repo/certificates.h"
#include "repo/chunker.h"
#include "repo/config.h"
#include "repo/key_changes.h"
#include "repo/repository.h"

namespace holdfast {

Result<KeyBundle> create_repository(Store& store, RepositoryWorld const& world, ByteView password,
                                    std::stop_token stop) {
    auto visit = [](ObjectInfo const& info) -> Result<void> {
        return fail(ErrorKind::exists, info.key.text());
    };
    auto empty = store.list("", visit, stop);
    if (!empty && empty.error().kind == ErrorKind::exists) {
        if (store.head(ObjectKey(std::string(kConfigKey)), stop))
            return fail(ErrorKind::exists, store.describe() + " holds a repository already");
        return fail(ErrorKind::exists,
                    store.describe() + " is not empty: it holds '" + empty.error().message + "'",
                    "take an empty place (an `init` that was cut short leaves only keys behind)");
    }
    TRY(std::move(empty));

    auto bundle = generate_first_bundle(world.random, "init on " + host_name());
    RepositoryConfig config;
    config.repository = bundle.repository;
    config.created = world.clock.now();
    config.chunk_min = kChunkMin;
    config.chunk_average = kChunkAverage;
    config.chunk_max = kChunkMax;
    config.pack = IngestLimits{}.pack_bytes;
    config.admin = bundle.admin_public;
    config.data_key = data_key_id(bundle.data_public);
    auto text = encode(config, *bundle.admin_sign);
    auto object = TRY(wrap_bundle(bundle, *bundle.admin_sign, password, world.random));

    // holdfast.json last: before it stands, this is no repository.
    std::pair<std::string, ByteView> const objects[] = {
        {key_copy_key(bundle.id), object},
        {key_object_key(bundle.id), object},
        {std::string(kConfigCopyKey), as_bytes(text)},
        {std::string(kConfigKey), as_bytes(text)},
    };
    std::size_t done = 0;
    Result<void> stored;
    for (; done < std::size(objects); ++done) {
        stored = store.put(ObjectKey(objects[done].first), objects[done].second, stop);
        if (!stored)
            break;
    }
    if (stored)
        return bundle;
    // A put that failed may have stored the object all the same, unless another one was there.
    auto tried = stored.error().kind == ErrorKind::exists ? done : done + 1;
    while (tried-- > 0)
        (void)store.remove(ObjectKey(objects[tried].first), {});
    return fail(std::move(stored).error().within("create repository in " + store.describe()));
}

namespace {

// What is wrong with a key object of another repository than this.
std::optional<Error> of_another_repository(ByteView object, RepositoryId const& repository) {
    auto certificate = read_certificate(object, std::nullopt);
    if (!certificate || certificate->repository == repository)
        return std::nullopt;
    return Error{ErrorKind::damaged,
                 "is a key of repository " + certificate->repository.brief() + ", " + std::string(kConfigKey) + " is of " +
                     repository.brief(),
                 "one of the two was put in another one's place"};
}

}  // namespace

Result<KeyBundle> unlock_repository(Store& store, ByteView password, std::stop_token stop) {
    auto config = TRY(load_config(store, stop)).config;
    std::set<std::string> ids;
    for (auto prefix : {kKeysPrefix, kKeyCopiesPrefix}) {
        auto visit = [&](ObjectInfo const& info) -> Result<void> {
            ids.insert(info.key.text().substr(prefix.size()));
            return {};
        };
        TRY(store.list(prefix, visit, stop));
    }
    std::optional<Error> damaged;
    bool wrapped = false;
    for (auto const& id : ids) {
        for (auto prefix : {kKeysPrefix, kKeyCopiesPrefix}) {
            auto key = std::string(prefix) + id;
            auto object = store.get(ObjectKey(key), stop);
            auto foreign = object ? of_another_repository(*object, config.repository) : std::nullopt;
            if (foreign) {
                // Somebody put it there, or holdfast.json: its copy may be the right one.
                if (!damaged)
                    damaged = std::move(*foreign).within(key);
                continue;
            }
            auto bundle = object ? unwrap_bundle(*object, password)
                                 : Result<KeyBundle>(fail(std::move(object).error()));
            if (bundle)
                return bundle;
            auto kind = bundle.error().kind;
            if (kind == ErrorKind::key_refused) {
                auto certificate = read_certificate(*object, std::nullopt);
                wrapped = wrapped || (certificate && certificate->has_password);
                break;  // the copy says the same
            }
            if (kind == ErrorKind::not_found)
                continue;
            if (kind != ErrorKind::damaged)
                return std::move(bundle).within(key);
            if (!damaged)
                damaged = std::move(bundle).error().within(key);
        }
    }
    if (damaged)
        return fail(std::move(*damaged));
    if (wrapped)
        return fail(ErrorKind::key_refused, "wrong password");
    return fail(ErrorKind::key_refused, "no key of this repository has a password",
                "use a key file: --key FILE");
}

Result<KeyBundle> add_bundle(Repository& repository, AddBundle const& options,
                             std::stop_token stop) {
    auto const& keys = repository.keys();
    if (!keys.admin_sign)
        return fail(ErrorKind::key_refused, "a " + to_text(keys.roles) + "'s key cannot add keys",
                    "use an admin's key or the password");
    auto reads = (options.roles & static_cast<Roles>(Role::reader)) != 0;
    if (reads && !keys.data_private)
        return fail(ErrorKind::key_refused, "a key that cannot read cannot make a reader's key");
    if (!reads && !options.pairs.empty())
        return fail(ErrorKind::usage, "only a reader's key is given key pairs");
    auto& random = repository.world().random;
    auto bundle = generate_bundle(keys, options.roles, options.label, random);
    auto object = TRY(wrap_bundle(bundle, *keys.admin_sign, options.password, random));
    // The grants first: a key that stands reads everything it was made for.
    if (reads)
        TRY(grant_all(repository, bundle, options.pairs, stop));
    TRY(put_key_object(repository.store(), bundle.id, object, stop));
    return bundle;
}

}  // namespace holdfast
