#pragma once

#include "archive/source.h"
#include "formats/model.h"
#include "repo/ingest.h"

namespace holdfast {

// Whether a file of this name is looked at: not what stands beside weights and holds none (configuration,
// tokenizers, text).
bool may_hold_weights(std::string_view name);

// The verdict about one file in the words of a validation.
Finding finding_of(std::string object, ModelFile const& model);

// What a model file is, found out without running it. Nothing for files that hold no weights. Only its tables
// are read. Fails with `io` when it can't be read.
Result<std::optional<Finding>> inspect_model_file(std::string const& name, int fd);

// How the file is cut: each storage of tensors a chunk of its own (or several), with the type of its elements, so
// that the same tensor is stored once whatever file it sits in. Content-defined when the file is damaged or
// holds no tensors.
Layout layout_of(ModelFile const& model);
Layout layout_of_model_file(std::string const& name, int fd);

}  // namespace holdfast
