#pragma once

#include "base/time.h"
#include "repo/envelope.h"

namespace holdfast {

// When a point was first seen by an admin: retention counts from here, never from a client's clock.
// The first receipt that is stored stays, as every object does.
struct Receipt {
    PointId point;
    Time received;  // by the admin's clock
};

inline constexpr std::string_view kReceiptsPrefix = "receipts/";
std::string receipt_key(PointId const& point);
Bytes seal_receipt(Receipt const& receipt, KeyBundle const& keys, Random& random);
// Opens the object found under `key`, which must name the same point.
Result<Receipt> open_receipt(std::string_view key, ByteView object, KeyBundle const& keys,
                             CertificateLookup const& certificates);

}  // namespace holdfast
