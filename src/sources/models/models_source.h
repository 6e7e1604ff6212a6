#pragma once

#include "archive/source.h"
#include "sources/models/checkpoint_sets.h"

namespace holdfast {

struct ModelsOptions {
    std::vector<std::string> paths = {};    // absolute
    std::vector<std::string> exclude = {};  // patterns
    CheckpointRules checkpoints = {};
};

// Directories of model files. Every capture and every restored tree is validated natively.
std::unique_ptr<Source> make_models_source(ModelsOptions options);

}  // namespace holdfast
