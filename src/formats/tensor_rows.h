#pragma once

#include <functional>

#include "formats/model.h"

namespace holdfast {

// Bytes that the elements of a tensor take when they lie one behind the other. Nothing when its elements are of
// a type that does not take whole bytes, or there are more of them than any file has.
std::optional<std::uint64_t> row_bytes(ModelTensor const& tensor);

// Hands out the elements in the order of their indices, the last one fastest, whatever strides the tensor has in
// its file: what a file holds that knows no strides. In runs of at most 16 MiB; of the file, only bytes between the
// tensor's first and last element are read, and each of them once for a run at most. `damaged` when the tensor leaves
// its own bytes, `io` when the file can't be read, else the sink's error. row_bytes() must have a value.
Result<void> read_rows(RandomAccess const& file, ModelTensor const& tensor, std::function<Result<void>(ByteView)> const& sink);

}  // namespace holdfast
