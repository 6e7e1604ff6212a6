#include "repo/receipt.h"

#include "repo/json_object.h"

namespace holdfast {

std::string receipt_key(PointId const& point) {
    return std::string(kReceiptsPrefix) + point.hex();
}

Bytes seal_receipt(Receipt const& receipt, KeyBundle const& keys, Random& random) {
    JsonObject json;
    json.set_hex("point", receipt.point.view());
    json.set("received", receipt.received);
    return seal_document(DocumentKind::receipt, keys, as_bytes(json.dump()), random);
}

Result<Receipt> open_receipt(std::string_view key, ByteView object, KeyBundle const& keys,
                             CertificateLookup const& certificates) {
    auto document = TRY(open_document(DocumentKind::receipt, keys, object, certificates));
    auto json = TRY(JsonObject::parse(as_text(document.plain)));
    Receipt receipt;
    receipt.point = json.id<PointId>("point");
    receipt.received = json.time("received");
    if (!json.ok())
        return fail(ErrorKind::damaged, "receipt is malformed");
    if (receipt_key(receipt.point) != key)
        return fail(ErrorKind::damaged, "receipt is of another point");
    return receipt;
}

}  // namespace holdfast
