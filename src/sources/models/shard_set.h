#pragma once

#include "archive/source.h"

namespace holdfast {

// Whether the file is the index of a model in several files.
bool is_shard_index(std::string_view name);

// Holds the index at `path` against the files beside it: each is there, is whole, and holds the tensors that it
// should. `object` is what the finding calls it. Fails with `io` when the index can't be read.
Result<Finding> inspect_shard_set(std::string const& path, std::string object);

}  // namespace holdfast
