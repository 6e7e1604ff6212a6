// The readers of model files. The first byte chooses the name that the file goes by, the rest is the file.
#include "formats/model.h"

#include <array>
#include <cstdlib>

#include "seeds.h"

using namespace holdfast;

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    static constexpr std::array<std::string_view, 4> kNames = {"m.pt", "m.safetensors", "m.onnx", "m.gguf"};
    if (size == 0) return 0;
    MemoryAccess file({data + 1, size - 1});
    auto model = read_model(file, kNames[data[0] % kNames.size()], {.check_sums = true});
    if (!model) std::abort();  // memory can always be read
    // What is said to lie in the file lies in it, and a verdict has its reason.
    for (auto const& tensor : model->tensors) {
        if (tensor.offset > file.size() || tensor.bytes > file.size() - tensor.offset) std::abort();
        if (tensor.storage >= model->storages.size()) std::abort();
    }
    for (auto const& storage : model->storages) {
        if (storage.offset > file.size() || storage.bytes > file.size() - storage.offset) std::abort();
    }
    if ((model->verdict == ModelVerdict::verified) != model->reasons.empty()) std::abort();
    return 0;
}

std::vector<Bytes> seeds() { return {}; }
