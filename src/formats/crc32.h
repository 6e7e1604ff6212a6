#pragma once

#include "base/bytes.h"

namespace holdfast {

// The sum of zip and gzip (ISO 3309, polynomial 0xedb88320 reflected). `before` is the sum of what came
// before: crc32(b, crc32(a)) is that of both.
std::uint32_t crc32(ByteView bytes, std::uint32_t before = 0);

}  // namespace holdfast
