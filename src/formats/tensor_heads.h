#pragma once

#include <map>

#include "formats/model.h"

namespace holdfast {

// What stands before the numbers in files of tensors that we write.

// One tensor of a safetensors file that is to be written. It holds `bytes` bytes.
struct NewTensor {
    std::string name;
    std::string dtype;
    std::vector<std::uint64_t> shape;
    std::uint64_t bytes = 0;
};

struct SafetensorsHead {
    Bytes bytes;                     // a multiple of 8 of them
    std::vector<std::size_t> order;  // the tensors' data follow in this order, without gaps
};
// As its reference implementation writes it: wider elements first and then by name, so that each tensor is aligned;
// the JSON padded with spaces. `usage` names the tensor that the format can't hold: elements of a type that it does
// not know, a name that is not UTF-8 or its own, the same name twice; or says that the header is too long.
Result<SafetensorsHead> safetensors_head(std::vector<NewTensor> const& tensors, std::map<std::string, std::string> const& metadata);

// The head of a NumPy .npy file, format version 1.0 (numpy/lib/format.py), or 2.0 where the shape is long. `usage` when
// NumPy has no such type of elements (bfloat16, float8).
Result<Bytes> npy_head(std::string_view dtype, std::span<std::uint64_t const> shape);

}  // namespace holdfast
