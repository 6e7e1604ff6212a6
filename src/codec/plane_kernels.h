#pragma once

#include "codec/element.h"

namespace holdfast {

// Elements of one block.
inline constexpr std::size_t kPlaneBlock = 256;
inline constexpr std::size_t kPlanesMax = 8;

// The instructions that a kernel may use. Every one of them makes the same bytes.
enum class Instructions : std::uint8_t { portable, avx2, avx512 };

// What is done to one block of kPlaneBlock elements of one width and transform. planes[0] is the lowest byte.
struct PlaneKernel {
    // Transforms the elements at `source` and puts byte k of each into planes[k].
    void (*split)(std::uint8_t const* source, std::uint8_t* const* planes);
    // The inverse.
    void (*merge)(std::uint8_t const* const* planes, std::uint8_t* target);
    // Sum of the kPlaneBlock bytes of one plane.
    std::uint32_t (*sum)(std::uint8_t const* plane);
};

// The most that this machine's processor can do.
Instructions best_instructions();
// `instructions` must be at most best_instructions(). Widths of 8 bytes have a portable kernel alone.
PlaneKernel plane_kernel(ElementForm form, Instructions instructions);

// Defined where the processor family has them; see plane_kernels_x86.cc.
PlaneKernel plane_kernel_avx2(ElementForm form, PlaneKernel portable);
PlaneKernel plane_kernel_avx512(ElementForm form, PlaneKernel portable);

}  // namespace holdfast
