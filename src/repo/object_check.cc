#include "repo/object_check.h"

#include <fmt/format.h>

#include <cassert>

#include "repo/approval.h"
#include "repo/certificates.h"
#include "repo/config.h"
#include "repo/doomed.h"
#include "repo/hold.h"
#include "repo/index.h"
#include "repo/key_ring.h"
#include "repo/lease.h"
#include "repo/pack.h"
#include "repo/proven.h"
#include "repo/receipt.h"
#include "repo/reserve.h"
#include "repo/self_documents.h"
#include "repo/wal_object.h"
#include "repo/writer_log.h"

namespace holdfast {
namespace {

constexpr std::string_view kIndexPrefix = "index/";
constexpr std::string_view kPacksPrefix = "packs/";

// self/<time>-<name>
std::optional<SelfName> self_name_of(std::string_view key) {
    auto rest = key.substr(kSelfPrefix.size());
    auto dash = rest.find('-');
    if (dash == std::string_view::npos || dash + 1 == rest.size()) return {};
    auto time = parse_key_time(rest.substr(0, dash));
    if (!time) return {};
    return SelfName{std::string(rest.substr(dash + 1)), *time};
}

Result<void> check_config(Repository& repository, ByteView object) {
    auto config = TRY(parse_config(as_text(object)));
    if (config.repository != repository.id()) {
        return fail(ErrorKind::damaged, "belongs to another repository (" + config.repository.brief() + ")");
    }
    if (config.admin != repository.keys().admin_public) {
        return fail(ErrorKind::damaged, "is signed by another admin than this repository's first");
    }
    return {};
}

Result<void> check_key_object(Repository& repository, std::string const& key, ByteView object) {
    auto certificate = TRY(read_certificate(object, repository.keys().admin_public));
    if (certificate.repository != repository.id()) {
        return fail(ErrorKind::damaged,
                    "belongs to another repository (" + certificate.repository.brief() + ")");
    }
    if (key != key_object_key(certificate.id) && key != key_copy_key(certificate.id)) {
        return fail(ErrorKind::damaged, "is stored under the name of another key");
    }
    return {};
}

// The header of an envelope is in the clear.
Result<void> check_bare_document(std::optional<RepositoryId> const& repository, ByteView object) {
    if (object.size() < kEnvelopeOverheadBytes) {
        return fail(ErrorKind::damaged, fmt::format("has {} bytes, which is less than any document", object.size()));
    }
    if (as_text(object.first(4)) != "HFE1") return fail(ErrorKind::damaged, "is no document");
    auto of = RepositoryId::from_bytes(object.subspan(5, RepositoryId::kSize));
    if (repository && of != *repository) {
        return fail(ErrorKind::damaged, "belongs to another repository (" + of.brief() + ")");
    }
    return {};
}

Result<void> check_bare_pack(std::string const& key, ByteView object) {
    auto trailer = TRY(check_sectors(object));
    auto hash = sha256(object.subspan(trailer.directory_offset, trailer.directory_bytes));
    auto id = PackId::from_bytes(hash);
    if (pack_key(id).text() != key) return fail(ErrorKind::damaged, "holds pack " + id.brief() + " under this name");
    return {};
}

}  // namespace

Result<void> check_bare_object(std::optional<RepositoryId> const& repository, std::string const& key,
                               ByteView object) {
    switch (room_of(key)) {
        case ObjectRoom::pack:
            return check_bare_pack(key, object);
        case ObjectRoom::proven:
            if (std::string(kProvenPrefix) + to_hex(sha256(object)) != key) {
                return fail(ErrorKind::damaged, "holds other bytes than its name says");
            }
            break;
        case ObjectRoom::index:
            if (segment_key(object).text() != key) return fail(ErrorKind::damaged, "holds other bytes than its name says");
            break;
        case ObjectRoom::doomed:
            if (doomed_key(object) != key) return fail(ErrorKind::damaged, "holds other bytes than its name says");
            break;
        case ObjectRoom::point: {
            auto name = TRY(parse_point_key(key));
            auto hash = sha256(object);
            if (PointId::from_bytes(hash) != name.id) return fail(ErrorKind::damaged, "holds other bytes than its name says");
            break;
        }
        case ObjectRoom::config:
            TRY(parse_config(as_text(object)));
            return {};
        case ObjectRoom::key:
            TRY(read_certificate(object, std::nullopt));
            return {};
        case ObjectRoom::wal:
            return check_bare_wal(object);
        case ObjectRoom::ring:
            return check_bare_ring(object);
        case ObjectRoom::reserve:
        case ObjectRoom::unknown:
            return {};
        default:
            break;
    }
    return check_bare_document(repository, object);
}

ObjectRoom room_of(std::string_view key) {
    if (key == kConfigKey || key == kConfigCopyKey) return ObjectRoom::config;
    if (key.starts_with(kRingsPrefix) || key.starts_with(kRingCopiesPrefix)) return ObjectRoom::ring;
    if (key.starts_with(kApprovalsPrefix)) return ObjectRoom::approval;
    if (key.starts_with(kKeysPrefix) || key.starts_with(kKeyCopiesPrefix)) return ObjectRoom::key;
    if (key.starts_with(kPacksPrefix)) {
        return pack_of(ObjectKey(std::string(key))) ? ObjectRoom::pack : ObjectRoom::unknown;
    }
    if (key.starts_with(kIndexPrefix)) return ObjectRoom::index;
    if (key.starts_with(kPointsPrefix)) return ObjectRoom::point;
    if (key.starts_with(kLogPrefix)) return ObjectRoom::log;
    if (key.starts_with(kReceiptsPrefix)) return ObjectRoom::receipt;
    if (key.starts_with(kLeasesPrefix)) return ObjectRoom::lease;
    if (key.starts_with(kHoldsPrefix)) return ObjectRoom::hold;
    if (key.starts_with(kProvenPrefix)) return ObjectRoom::proven;
    if (key.starts_with(kDoomedPrefix)) return ObjectRoom::doomed;
    if (key.starts_with(kReservePrefix)) return ObjectRoom::reserve;
    if (key.starts_with(kSelfPrefix) && self_name_of(key)) return ObjectRoom::self;
    if (key.starts_with(kWalPrefix) && parse_wal_key(key)) return ObjectRoom::wal;
    return ObjectRoom::unknown;
}

Result<void> check_object(Repository& repository, CertificateLookup const& certificates,
                          std::string const& key, std::stop_token stop) {
    auto room = room_of(key);
    if (room == ObjectRoom::self) {
        auto name = self_name_of(key);
        TRY(self_get(repository, name->name, name->time, stop));
        return {};
    }
    auto object = TRY(repository.store().get(ObjectKey(key), stop));
    auto const& keys = repository.keys();
    switch (room) {
        case ObjectRoom::config:
            return check_config(repository, object);
        case ObjectRoom::key:
            return check_key_object(repository, key, object);
        case ObjectRoom::point:
            TRY(open_point(key, object, keys, certificates));
            return {};
        case ObjectRoom::receipt:
            TRY(open_receipt(key, object, keys, certificates));
            return {};
        case ObjectRoom::lease:
            TRY(open_lease(key, object, keys, certificates));
            return {};
        case ObjectRoom::proven:
            TRY(open_marks(repository, key, object, stop));
            return {};
        case ObjectRoom::hold:
            TRY(open_hold(key, object, keys, certificates));
            return {};
        case ObjectRoom::ring:
            TRY(open_ring(key, object, keys, certificates));
            return {};
        case ObjectRoom::approval:
            return check_approval_object(repository, key, object, stop);
        case ObjectRoom::wal:
            return check_wal(repository, key, object, stop);
        case ObjectRoom::doomed:
            TRY(open_doomed(repository, key, object, stop));
            return {};
        default:
            assert(false && "checked elsewhere");
    }
    return {};
}

}  // namespace holdfast
