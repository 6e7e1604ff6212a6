#include "repo/certificates.h"

namespace holdfast {

std::string key_object_key(BundleId const& id) {
    return std::string(kKeysPrefix) + id.hex();
}
std::string key_copy_key(BundleId const& id) {
    return std::string(kKeyCopiesPrefix) + id.hex();
}

Result<void> put_key_object(Store& store, BundleId const& id, ByteView object,
                            std::stop_token stop) {
    TRY(store.put(ObjectKey(key_copy_key(id)), object, stop));
    return store.put(ObjectKey(key_object_key(id)), object, stop);
}

Result<KeyCertificate> Certificates::read(std::string const& key, BundleId const& id,
                                          std::stop_token stop) {
    auto object = TRY(store_.get(ObjectKey(key), stop).within(key));
    auto certificate = TRY(read_certificate(object, admin_).within(key));
    if (certificate.id != id || certificate.repository != repository_)
        return fail(ErrorKind::damaged, key + ": certificate of another key");
    return certificate;
}

Result<KeyCertificate> Certificates::find(BundleId const& id, std::stop_token stop) {
    {
        std::lock_guard lock(mutex_);
        auto found = known_.find(id);
        if (found != known_.end())
            return found->second;
    }
    // Without the lock: two threads may read the same certificate, and then know the same.
    auto key = key_object_key(id);
    auto certificate = read(key, id, stop);
    std::string notice;
    if (!certificate) {
        auto kind = certificate.error().kind;
        if (kind != ErrorKind::not_found && kind != ErrorKind::damaged)
            return certificate;
        auto copy = read(key_copy_key(id), id, stop);
        if (!copy) {
            if (copy.error().kind != ErrorKind::not_found &&
                copy.error().kind != ErrorKind::damaged)
                return copy;
            auto why = kind == ErrorKind::damaged ? " (" + certificate.error().message + ")" : "";
            return fail(ErrorKind::damaged,
                        "is signed by " + id.brief() + ", which no admin certified" + why);
        }
        certificate = std::move(copy);
        notice = key + (kind == ErrorKind::not_found ? " is missing" : " is damaged") +
                 ": its copy " + key_copy_key(id) + " was used";
    }
    std::lock_guard lock(mutex_);
    if (known_.emplace(id, *certificate).second && !notice.empty())
        notices_.push_back(notice);
    return certificate;
}

std::vector<std::string> Certificates::notices() const {
    std::lock_guard lock(mutex_);
    return notices_;
}

}  // namespace holdfast
