#pragma once

#include "formats/model.h"

namespace holdfast {

// What the numbers of a tensor are like. Read a part at a time, whatever its size.
struct TensorValues {
    std::uint64_t count = 0;     // numbers that were read
    std::uint64_t nan = 0, infinite = 0, zero = 0;
    double low = 0, high = 0;    // of the finite ones
    double square_sum = 0;       // of the finite ones
    bool constant() const { return count > 1 && nan + infinite == 0 && low == high; }
    double norm() const;
};

// Nothing when the elements are of a type that cannot be read as numbers (quantised blocks, complex numbers).
// All bytes between the first and the last element are read, also those that strides pass over. `io` when the
// file can't be read.
Result<std::optional<TensorValues>> tensor_values(RandomAccess const& file, ModelTensor const& tensor);

// How far `b` is from `a`: the norm of the difference by the norm of `a`, over finite numbers; infinity when `a`
// is zero and `b` is not. Nothing when they differ in shape or type, or cannot be read as numbers.
struct TensorDistance {
    bool same = false;      // every byte
    double relative = 0;
};
Result<std::optional<TensorDistance>> tensor_distance(RandomAccess const& a_file, ModelTensor const& a,
                                                      RandomAccess const& b_file, ModelTensor const& b);

}  // namespace holdfast
