#pragma once

#include "datasets/point_reference.h"
#include "sources/models/tensor_export.h"

namespace holdfast {

struct RestoreTensorsOptions {
    std::string path;                   // of the model file, or of the index of a sharded one, inside the point
    std::vector<std::string> tensors;   // patterns, see TensorSet
    TensorForm form = TensorForm::safetensors;
    std::filesystem::path target;       // a directory, made when it is missing
    bool skip_damaged = false;          // see TensorSet::Options
    bool dry_run = false;               // nothing is written
};

struct RestoredTensors {
    std::vector<ExportedFile> files;
    std::vector<ModelTensor> tensors;   // as they lie in the point
    std::vector<Finding> findings;      // about the files that they were taken out of
    Duration took{};
};

// Takes tensors out of a model file of the point, and only fetches the chunks that hold them and the tables of
// the file. Errors and what is left behind: TensorSet::open(), export_tensors().
Result<RestoredTensors> restore_tensors(Workspace& workspace, PointReference const& point, RestoreTensorsOptions const& options,
                                        ProgressCallback const& progress, Warn const& warn, std::stop_token stop);

}  // namespace holdfast
