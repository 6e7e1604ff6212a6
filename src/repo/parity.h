#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"

namespace holdfast {

// Reed–Solomon over the sectors of a pack: with n parity sectors, any n sectors that are known to be bad,
// parity ones included, can be computed from the others. Arithmetic in GF(2^8) with the polynomial 0x11d,
// through ISA-L; parity sector r is the sum over all data sectors j of data[j] / ((k + r) xor j), k being
// their number (a Cauchy matrix: every square part of it can be inverted).
// docs/repository-format.md, "Parity".

// Data and parity sectors of one pack together: the elements of the field, less one.
inline constexpr std::size_t kParitySectorsMax = 255;

// Of the sectors that parity covers.
struct ParityShape {
    std::size_t sector = 0;  // bytes; the last data sector may be shorter, and counts as filled up with zeros
    std::size_t data = 0;    // sectors, at least 1
    std::size_t parity = 0;  // sectors, at least 1; together at most kParitySectorsMax
};

// Computes the parity of `parts`, joined. `parity` has shape.parity × shape.sector bytes.
void compute_parity(ParityShape const& shape, std::span<ByteView const> parts, ByteSpan parity);

// Computes the data sectors `bad` (each once, in ascending order) of `data` in place, from the others and
// from parity sectors that are good (as many as are bad, or more). Asserts the shapes.
void reconstruct_data(ParityShape const& shape, ByteSpan data, ByteView parity, std::span<std::uint32_t const> bad,
                      std::span<std::uint32_t const> good_parity);

}  // namespace holdfast
