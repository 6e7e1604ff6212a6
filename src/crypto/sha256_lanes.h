#pragma once

#include <cstddef>
#include <cstdint>

namespace holdfast {

// Messages that are hashed side by side, one in each lane of a vector.
inline constexpr std::size_t kShaLanes = 16;

// Eight words of state (FIPS 180-4), each for all lanes.
struct ShaLanes {
    alignas(64) std::uint32_t state[8][kShaLanes];
};

// Takes `blocks` of 64 bytes from each `data[lane]`, and moves that on.
using ShaLanesKernel = void (*)(ShaLanes& lanes, std::uint8_t const* (&data)[kShaLanes], std::size_t blocks);

// Null where the processor has no AVX-512.
ShaLanesKernel sha_lanes_kernel();

}  // namespace holdfast
