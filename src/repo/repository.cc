#include "repo/stored_repository.h"

#include "repo/leased_ingest.h"
#include "repo/repository_parts.h"

namespace holdfast {

Result<void> StoredRepository::check(LoadedConfig const& loaded) {
    auto const& config = loaded.config;
    if (config.repository != keys_.repository)
        return fail(ErrorKind::key_refused,
                    "this key is of repository " + keys_.repository.brief() + ", " +
                        store_.describe() + " is " + config.repository.brief(),
                    "give the key of this repository, or its password");
    if (config.admin != keys_.admin_public)
        return fail(ErrorKind::damaged,
                    std::string(kConfigKey) + ": is signed by an admin that this key does not know",
                    "somebody replaced it: compare the admin key with the emergency kit");
    if (config.data_key != data_key_id(keys_.data_public))
        return fail(ErrorKind::damaged,
                    std::string(kConfigKey) + ": names another data key than this key does");
    notices_ = loaded.notices;
    return {};
}

std::vector<std::string> StoredRepository::notices() const {
    std::vector<std::string> all;
    {
        std::lock_guard lock(mutex_);
        all = notices_;
    }
    for (auto& text : certificates_.notices())
        all.push_back(std::move(text));
    return all;
}

void StoredRepository::notice(std::string text) {
    std::lock_guard lock(mutex_);
    if (std::ranges::find(notices_, text) == notices_.end())
        notices_.push_back(std::move(text));
}

Result<void> StoredRepository::is_certified(std::stop_token stop) {
    auto ring = TRY(this->ring(stop));
    if (ring.newer)
        return fail(ErrorKind::damaged, "the newest key ring can't be read: " + ring.newer->message,
                    "nothing is written until it is brought back from a copy of the repository");
    if (auto removal = ring.ring.removed.find(keys_.id); removal != ring.ring.removed.end())
        return fail(removed_key(keys_.id, removal->second.removal));
    auto own = certificates_.find(keys_.id, stop);
    if (!own && own.error().kind == ErrorKind::damaged)
        return fail(ErrorKind::damaged,
                    "the certificate of this key, " + key_object_key(keys_.id) +
                        ", is gone or damaged: nobody would accept what it signs",
                    "export a new key with `holdfast key export`");
    if (!own)
        return fail(std::move(own).error());
    if (own->roles != keys_.roles || own->sign_public != keys_.sign.public_key)
        return fail(ErrorKind::damaged,
                    key_object_key(keys_.id) + ": is not this key's certificate");
    return {};
}

Result<std::unique_ptr<Ingest>> StoredRepository::begin_ingest(IngestLimits limits,
                                                               std::stop_token stop) {
    TRY(may_write(stop));
    TRY(read_logs_checked(Scope::ends, stop));
    // The lease before anything is relied on: a collector that does not see it has doomed its packs
    // before, and this writer sees that.
    auto lease = TRY(Lease::acquire(store_, keys_, world_.clock, world_.random, stop));
    auto ingest = TRY(make_ingest(*this, limits, stop));
    return with_lease(std::move(ingest), std::move(lease), stop);
}

Result<std::unique_ptr<Fetch>> StoredRepository::begin_fetch(FetchLimits limits,
                                                             std::stop_token stop) {
    if (!keys_.data_private)
        return fail(ErrorKind::key_refused, "a " + to_text(keys_.roles) + "'s key cannot read",
                    "use a reader's key or the password");
    TRY(ring(stop));
    return make_fetch(*this, limits, stop);
}

Result<std::unique_ptr<Repository>> open_repository(Store& store, KeyBundle keys,
                                                    RepositoryWorld world,
                                                    OpenRepositoryOptions options,
                                                    std::stop_token stop) {
    auto loaded = TRY(load_config(store, stop));
    auto repository =
        std::make_unique<StoredRepository>(store, std::move(keys), std::move(world), options);
    TRY(repository->check(loaded));
    auto ring = TRY(repository->ring(stop));
    auto own = repository->keys().id;
    if (auto removal = ring.ring.removed.find(own); removal != ring.ring.removed.end())
        return fail(removed_key(own, removal->second.removal));
    return std::unique_ptr<Repository>(std::move(repository));
}

}  // namespace holdfast
