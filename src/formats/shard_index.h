#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace holdfast {

// The index of a model in several files, `*.safetensors.index.json` or `*.bin.index.json`: which tensor is in which
// file beside it (huggingface.co/docs/safetensors, "weight_map"; transformers' modeling_utils.py writes it).
struct ShardIndex {
    std::map<std::string, std::vector<std::string>> shards;  // file → tensors
    std::size_t tensors = 0;
};

inline constexpr std::uint64_t kShardIndexMax = 64u << 20;

// `damaged` when it is no such index; `unsafe` when it names a file that is not beside it.
Result<ShardIndex> parse_shard_index(ByteView json);

}  // namespace holdfast
