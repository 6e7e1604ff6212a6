#pragma once

#include <memory>
#include <string_view>

#include "archive/source.h"
#include "plan/plan.h"
#include "sources/models/models_source.h"

namespace holdfast {

// What the plan says of a models dataset.
ModelsOptions models_options(plan::Dataset const& dataset);
// The source that captures the dataset. `partial` for a kind whose engine does not exist yet
// (kubernetes, hardware).
Result<std::unique_ptr<Source>> make_source(plan::Dataset const& dataset);
// What the points of the dataset say of their kind.
std::string_view point_kind(plan::Dataset const& dataset);
// The source that restores points of `kind` ("files", "models", "postgres", "postgres-export"), without a dataset.
Result<std::unique_ptr<Source>> make_restoring_source(std::string_view kind);

}  // namespace holdfast
