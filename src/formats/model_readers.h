#pragma once

#include "formats/model.h"
#include "formats/pickle.h"
#include "formats/zip.h"

namespace holdfast {

// The readers behind read_model(), one a format. Each fills in a ModelFile whose verdict is `verified` so far,
// and judges it down. They fail only with `io`.

// Tables of pickles and texts larger than this are not read.
inline constexpr std::uint64_t kModelTableMax = 256u << 20;

// model_npy.cc: NumPy's .npy, format versions 1 to 3 (numpy/lib/format.py). `offset` of `file` in the whole.
Result<void> read_npy(RandomAccess const& file, std::uint64_t offset, std::string const& tensor, ModelFile& model);
// model_zip.cc: archives of PyTorch, TorchScript, NumPy (.npz), and others.
Result<void> read_zip_model(RandomAccess const& file, ReadModelOptions options, ModelFile& model);
// model_torch_legacy.cc: what torch.save wrote before 1.6, five pickles and the storages.
Result<void> read_torch_legacy(RandomAccess const& file, ModelFile& model);
// model_gguf.cc, model_onnx.cc
Result<void> read_gguf(RandomAccess const& file, ModelFile& model);
Result<void> read_onnx(RandomAccess const& file, ModelFile& model);

// model_torch.cc: what the pickle of a PyTorch file says of its tensors.
struct TorchStorage {
    std::string key;
    std::string dtype;       // "U8" where it is untyped
    std::uint64_t elements = 0;
};
struct TorchView {
    std::string name;
    std::string dtype;
    std::size_t storage = 0;  // index in TorchTable::storages
    std::uint64_t offset = 0;  // elements
    std::vector<std::uint64_t> shape, strides;
};
struct TorchTable {
    std::vector<TorchStorage> storages;
    std::vector<TorchView> views;
    std::vector<std::string> damaged;  // what makes no sense, by name
};
TorchTable torch_table(Pickle const& pickle);
// Adds the views to the model, once it is known where each storage lies (parallel to table.storages; nothing:
// it is missing, which was judged). Judges views that leave their storage.
struct Place {
    std::uint64_t offset = 0, bytes = 0;
};
void add_views(TorchTable const& table, std::vector<std::optional<Place>> const& places, ModelFile& model);
// What a pickle wants to run and where it breaks.
void judge_pickle(Pickle const& pickle, std::string_view what, ModelFile& model);

// Adds a storage and a tensor that is all of it. False when the model holds too many.
bool add_tensor(ModelFile& model, ModelTensor tensor, std::string dtype);
// Sorts the storages, joins equal ones, judges overlaps; tensors follow.
void settle_storages(ModelFile& model);

}  // namespace holdfast
