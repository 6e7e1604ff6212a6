#include "repo/pack_check.h"

#include "repo/pack_trailer.h"

namespace holdfast {
namespace {

// All that can be said without the pack's data key.
PackReport check_sealed(ByteView pack, PackId const& id) {
    PackReport report;
    report.sealed = true;
    auto trailer = check_sectors(pack);
    if (!trailer) {
        report.errors.push_back(std::move(trailer.error()));
        return report;
    }
    auto name = sha256(pack.subspan(trailer->directory_offset, trailer->directory_bytes));
    if (PackId::from_bytes(name) != id)
        report.errors.push_back({ErrorKind::damaged, "holds another pack under this name", {}});
    return report;
}

}  // namespace

PackReport check_pack(ByteView pack, PackId const& id, RepositoryId const& repository, DataKeys const& data_keys,
                      HmacKey const& id_key) {
    // Without a header that tells, any key shows what is wrong.
    auto data_key = data_keys.epochs("").front();
    if (pack.size() >= kPackHeaderBytes) {
        auto header = decode_pack_header(pack.first(kPackHeaderBytes));
        if (header && data_keys.name_of(header->data_key)) data_key = header->data_key;
    }
    auto data = data_keys.find(data_key);
    if (!data) return check_sealed(pack, id);
    return check_pack(pack, id, repository, **data, id_key);
}

}  // namespace holdfast
