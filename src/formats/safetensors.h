#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace holdfast {

// The safetensors format, as its README specifies it (github.com/huggingface/safetensors, "Format"):
// 8 bytes little-endian header length N, N bytes of JSON, then the tensors' bytes without gaps.

struct SafetensorsTensor {
    std::string name;
    std::string dtype;                 // "F32", "BF16" …
    std::vector<std::uint64_t> shape;  // empty: a scalar
    std::uint64_t begin = 0, end = 0;  // offsets in the data, which starts behind the header
};

struct Safetensors {
    std::uint64_t data_start = 0;             // offset of the data in the file: 8 + N
    std::vector<SafetensorsTensor> tensors;   // in the order of their offsets
    std::map<std::string, std::string> metadata;
    std::vector<std::string> unknown_dtypes;  // their sizes could not be checked
};

// What the reference implementation accepts at most.
inline constexpr std::uint64_t kSafetensorsHeaderMax = 100'000'000;

// Bytes of one element; nothing for a type that the format does not know, or that takes no whole bytes.
std::optional<std::uint64_t> safetensors_element_bytes(std::string_view dtype);

// How many bytes from the start of the file parse_safetensors() needs: 8 + N. `damaged` when N does not
// fit into the file or exceeds kSafetensorsHeaderMax: nothing is ever allocated from an unchecked length.
Result<std::uint64_t> safetensors_head_size(ByteView first_8_bytes, std::uint64_t file_size);

// Checks the head (exactly as many bytes as safetensors_head_size() said) against a file of `file_size`
// bytes: JSON of the right form, no name twice, offsets in order, contiguous and complete, each tensor
// with exactly the bytes that its shape and dtype need. `damaged` says which tensor and why.
Result<Safetensors> parse_safetensors(ByteView head, std::uint64_t file_size);

}  // namespace holdfast
