#include "repo/copies.h"

#include <optional>
#include <set>

#include "repo/certificates.h"
#include "repo/config.h"
#include "repo/key_ring.h"

namespace holdfast {
namespace {

bool mendable(ErrorKind kind) {
    return kind == ErrorKind::damaged || kind == ErrorKind::io || kind == ErrorKind::not_found;
}

class CopyMender {
  public:
    CopyMender(Store& store, MendCopiesOptions options, std::stop_token stop)
        : store_(store), options_(options), stop_(std::move(stop)) {}

    Result<std::vector<CopyFault>> run() {
        std::optional<RepositoryConfig> config;
        TRY(settle(std::string(kConfigKey), std::string(kConfigCopyKey), [&](std::string const&, ByteView object) -> Result<void> {
            config = TRY(parse_config(as_text(object)));
            return {};
        }));
        // Without it nobody knows which admin's signature counts.
        if (!config) return std::move(faults_);
        for (auto const& id : TRY(names_behind(kKeysPrefix, kKeyCopiesPrefix))) {
            auto check = [&](std::string const&, ByteView object) -> Result<void> {
                auto certificate = TRY(read_certificate(object, config->admin));
                if (certificate.repository != config->repository || certificate.id.hex() != id) {
                    return fail(ErrorKind::damaged, "is another key's object");
                }
                return {};
            };
            TRY(settle(std::string(kKeysPrefix) + id, std::string(kKeyCopiesPrefix) + id, check));
        }
        for (auto const& n : TRY(names_behind(kRingsPrefix, kRingCopiesPrefix))) {
            auto check = [](std::string const&, ByteView object) { return check_bare_ring(object); };
            TRY(settle(std::string(kRingsPrefix) + n, std::string(kRingCopiesPrefix) + n, check));
        }
        return std::move(faults_);
    }

  private:
    using Check = std::function<Result<void>(std::string const&, ByteView)>;

    // What stands behind either of the prefixes.
    Result<std::set<std::string>> names_behind(std::string_view first, std::string_view second) {
        std::set<std::string> found;
        for (auto prefix : {first, second}) {
            auto visit = [&](ObjectInfo const& info) -> Result<void> {
                found.insert(info.key.text().substr(prefix.size()));
                return {};
            };
            TRY(store_.list(prefix, visit, stop_));
        }
        return found;
    }

    Result<Bytes> read(std::string const& key, Check const& check) {
        auto object = TRY(store_.get(ObjectKey(key), stop_));
        TRY(check(key, object));
        return object;
    }

    // A half that is whole takes the place of one that is not.
    Result<void> settle(std::string const& first, std::string const& second, Check const& check) {
        std::string const keys[2] = {first, second};
        std::optional<Bytes> whole[2];
        std::optional<Error> faults[2];
        for (int i = 0; i < 2; ++i) {
            auto object = read(keys[i], check);
            if (object) {
                whole[i] = std::move(*object);
            } else if (mendable(object.error().kind)) {
                faults[i] = std::move(object.error());
            } else {
                return fail(std::move(object.error()).within(keys[i]));
            }
        }
        for (int i = 0; i < 2; ++i) {
            if (!faults[i]) continue;
            CopyFault fault{.key = keys[i], .error = std::move(*faults[i])};
            auto const& twin = whole[1 - i];
            fault.mendable = twin.has_value();
            if (twin && options_.repair) {
                TRY(store_.replace(ObjectKey(keys[i]), *twin, stop_));
                fault.mended = true;
            }
            faults_.push_back(std::move(fault));
        }
        return {};
    }

    Store& store_;
    MendCopiesOptions const options_;
    std::stop_token const stop_;
    std::vector<CopyFault> faults_;
};

}  // namespace

Result<std::vector<CopyFault>> mend_copies(Store& store, MendCopiesOptions options, std::stop_token stop) {
    return CopyMender(store, options, std::move(stop)).run();
}

}  // namespace holdfast
