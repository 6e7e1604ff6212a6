#pragma once

#include "archive/source.h"
#include "repo/ingest.h"

namespace holdfast {

// What a model file is, found out without running it: `verified` with the number of tensors, `damaged`
// with the tensor and why, `not_verified` for a format that is not understood yet. Nothing for files
// that hold no weights (configuration, tokenizers, text). `name` decides which format is expected; only
// the head of the file is read. Fails with `io` when it can't be read.
Result<std::optional<Finding>> inspect_model_file(std::string const& name, int fd);

// Where the tensors of the file begin, for Layout::Cut::stated: content-defined when it is not a whole
// safetensors file.
Layout layout_of_model_file(std::string const& name, int fd);

}  // namespace holdfast
