#pragma once

#include <random>

#include "base/bytes.h"

namespace holdfast {

// Incompressible, the same for the same seed. For tests.
inline Bytes random_bytes(std::size_t size, std::uint64_t seed) {
    std::mt19937_64 engine(seed);
    Bytes bytes(size);
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(engine());
    return bytes;
}

}  // namespace holdfast
