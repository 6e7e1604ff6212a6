#pragma once

#include <string>
#include <vector>

#include "formats/random_access.h"

namespace holdfast {

// What a model file holds, found out without running any of it.

enum class ModelVerdict {
    verified,      // whole, and nothing in it wants to run
    not_verified,  // not understood, or not all of it: kept byte for byte
    damaged,       // a part of it is not what its own tables say
    suspicious,    // loading it would run what it names
};
std::string_view name(ModelVerdict verdict);

struct ModelTensor {
    std::string name;                    // "encoder.layers.0.weight"
    std::string dtype;                   // as in safetensors: "F32", "BF16" …
    std::vector<std::uint64_t> shape;    // empty: a scalar
    std::vector<std::uint64_t> strides;  // in elements; empty: contiguous, the last dimension fastest
    std::uint64_t offset = 0;            // of its first element in the file
    std::uint64_t bytes = 0;             // from its first to its last element
    std::size_t storage = 0;             // index in ModelFile::storages
};

// A run of the file that holds elements of one type: what tensors are views of.
struct ModelStorage {
    std::uint64_t offset = 0;  // in the file
    std::uint64_t bytes = 0;
    std::string dtype;
};

struct ModelFile {
    std::string format;  // "safetensors", "PyTorch zip", "PyTorch legacy", "TorchScript", "ONNX" …
    ModelVerdict verdict = ModelVerdict::not_verified;
    // Why: the globals that it names, the damaged parts, what was not understood. None when verified.
    std::vector<std::string> reasons;
    std::vector<std::string> warnings;    // odd, and no reason to mistrust it
    std::vector<ModelTensor> tensors;     // in the order of the file's own table
    std::vector<ModelStorage> storages;   // in ascending order of offsets, without overlaps
    std::vector<std::string> files;       // files beside it that it needs (external data)

    // Takes the worse of two verdicts, and keeps its reason.
    void judge(ModelVerdict worse, std::string reason);
};

// How long the lists of a ModelFile can become: what a hostile file makes us hold.
inline constexpr std::size_t kModelTensorsMax = 1'000'000;
inline constexpr std::size_t kModelReasonsMax = 100;

struct ReadModelOptions {
    // Also read all data: sums of zip entries are checked. Else only tables are read.
    bool check_sums = false;
};

// Recognises the format by content, with `file_name` as a hint, and reads its tables. Fails only with the
// error of a read (`io`); whatever the bytes are, there is a verdict.
Result<ModelFile> read_model(RandomAccess const& file, std::string_view file_name, ReadModelOptions options = {});

// Bytes of one element of a type in the spelling of safetensors; nothing when it is not known or does not
// take whole bytes.
std::optional<std::uint64_t> dtype_bytes(std::string_view dtype);
// Elements of a shape; nothing when they do not fit into 64 bits.
std::optional<std::uint64_t> element_count(std::span<std::uint64_t const> shape);

}  // namespace holdfast
