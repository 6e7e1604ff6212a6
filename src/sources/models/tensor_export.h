#pragma once

#include <stop_token>

#include "os/file_system.h"
#include "os/random.h"
#include "sources/models/tensor_set.h"

namespace holdfast {

enum class TensorForm {
    safetensors,  // one file
    npy,          // a file for each tensor
};

struct ExportOptions {
    TensorForm form = TensorForm::safetensors;
    std::string directory;     // exists, absolute
    std::string name;          // of the safetensors file
    unsigned mode = 0600;      // of the files
    bool dry_run = false;      // nothing is read but tables, nothing written
};

struct ExportedFile {
    std::string name;      // in the directory
    std::uint64_t bytes = 0;
};

// Writes the tensors with their elements in order (read_rows()). Each file appears whole or not at all and survives
// power loss when this returns: written beside its place under a temporary name, synced, renamed. A file of that name is
// replaced. On failure files that were finished before stay, the temporary one is removed. `usage` names the tensor that
// the form can't hold, before anything is written; `damaged`, `io`, `no_space`, `cancelled` name the file and the tensor.
Result<std::vector<ExportedFile>> export_tensors(TensorSet const& set, ExportOptions const& options, FileSystem& files,
                                                 Random& random, std::function<void(std::uint64_t bytes)> const& written,
                                                 std::stop_token stop);

// The name of the file that holds one tensor: what is no name (a slash, a percent sign, control characters) as %XX.
std::string npy_name(std::string_view tensor);

}  // namespace holdfast
