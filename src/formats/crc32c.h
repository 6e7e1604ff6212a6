#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace holdfast {

// CRC-32C (Castagnoli polynomial 0x1EDC6F41, reflected; RFC 3720 appendix B.4), computed piece by piece.
// PostgreSQL uses it for pg_control, for log records and for backup manifests. Uses the processor's
// instruction where it has one.
class Crc32c {
  public:
    void update(ByteView bytes);
    std::uint32_t value() const { return ~state_; }

  private:
    std::uint32_t state_ = ~0u;
};

std::uint32_t crc32c(ByteView bytes);

// The same with tables alone: what processors without the instruction take. For tests.
std::uint32_t crc32c_portable(ByteView bytes);

}  // namespace holdfast
