#pragma once

#include <functional>
#include <memory>

#include "archive/source.h"
#include "formats/model.h"

namespace holdfast {

// Tensors that were asked for, in a model file or in all the files of a sharded model.
class TensorSet {
  public:
    // Opens a file beside or at `path`, as the set names it.
    using Open = std::function<Result<std::unique_ptr<RandomAccess>>(std::string const& path)>;
    struct Options {
        // Take what is whole although a file is damaged.
        bool skip_damaged = false;
    };
    struct Selected {
        RandomAccess const* file = nullptr;  // the set's
        ModelTensor tensor;
    };

    // Reads the tables of the file at `path`; where that is the index of a sharded model, of those shards that hold
    // tensors that are asked for. A tensor is asked for when its name matches one of the `patterns` (glob_match()).
    // not_found names a pattern that none matches, or a shard that is not there; `check_failed` the file that is damaged,
    // unless the options take it. Nothing but tables is read.
    static Result<TensorSet> open(std::string const& path, std::vector<std::string> const& patterns, Open const& open, Options options);

    // In the order of the files' own tables.
    std::vector<Selected> const& tensors() const { return tensors_; }
    // A verdict for each file that was looked into.
    std::vector<Finding> const& findings() const { return findings_; }
    // What a safetensors file of these tensors should say of itself, so that programs that read the original take it.
    std::map<std::string, std::string> const& metadata() const { return metadata_; }

  private:
    struct Part {
        std::string path;
        std::unique_ptr<RandomAccess> access;
        ModelFile model;
    };
    TensorSet() = default;
    Result<void> add(std::string path, std::vector<std::string> const& patterns, Open const& open, Options options);

    std::vector<Part> parts_;
    std::vector<Selected> tensors_;
    std::vector<Finding> findings_;
    std::map<std::string, std::string> metadata_;
    std::vector<std::string> known_;  // names of all tensors, for "did you mean"
};

}  // namespace holdfast
