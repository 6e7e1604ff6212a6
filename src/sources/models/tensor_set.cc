#include "sources/models/tensor_set.h"

#include <algorithm>
#include <fmt/format.h>

#include "base/text.h"
#include "formats/safetensors.h"
#include "formats/shard_index.h"
#include "os/file.h"
#include "sources/models/model_file.h"
#include "sources/models/shard_set.h"

namespace holdfast {
namespace {

bool is_wanted(std::string_view tensor, std::vector<std::string> const& patterns) {
    return std::ranges::any_of(patterns, [&](auto const& pattern) { return glob_match(pattern, tensor); });
}

Result<ShardIndex> read_index(std::string const& path, TensorSet::Open const& open) {
    auto access = TRY(open(path));
    auto bytes = TRY(read_run(*access, 0, access->size(), kShardIndexMax));
    auto index = parse_shard_index(bytes);
    if (!index) return fail(ErrorKind::check_failed, fmt::format("as an index of shards: {}", index.error().message));
    return index;
}

// What programs look for in a safetensors file: of another one, what it says; else where the layout comes from.
Result<std::map<std::string, std::string>> metadata_of(RandomAccess const& file, ModelFile const& model) {
    if (model.format != "safetensors") {
        if (model.format.starts_with("PyTorch") || model.format == "TorchScript") return std::map<std::string, std::string>{{"format", "pt"}};
        return std::map<std::string, std::string>();
    }
    auto first = TRY(read_run(file, 0, 8, 8));
    auto size = TRY(safetensors_head_size(first, file.size()));
    auto head = TRY(read_run(file, 0, size, kSafetensorsHeaderMax + 8));
    auto parsed = TRY(parse_safetensors(head, file.size()));
    return std::move(parsed.metadata);
}

bool lies_within(ModelTensor const& tensor, RandomAccess const& file) {
    return tensor.offset <= file.size() && tensor.bytes <= file.size() - tensor.offset;
}

}  // namespace

Result<void> TensorSet::add(std::string path, std::vector<std::string> const& patterns, Open const& open, Options options) {
    auto access = TRY(open(path));
    auto model = TRY(read_model(*access, path));
    findings_.push_back(finding_of(path, model));
    if (model.verdict == ModelVerdict::damaged && !options.skip_damaged) {
        return fail(ErrorKind::check_failed, fmt::format("it is damaged: {}", findings_.back().detail),
                    "--skip-damaged takes the tensors that are whole; without --tensor the file comes back as it was captured");
    }
    if (model.verdict != ModelVerdict::damaged) {
        auto metadata = TRY(metadata_of(*access, model));
        metadata_.merge(metadata);
    }
    for (auto const& tensor : model.tensors) {
        known_.push_back(tensor.name);
        if (is_wanted(tensor.name, patterns) && lies_within(tensor, *access)) tensors_.push_back({access.get(), tensor});
    }
    parts_.push_back({std::move(path), std::move(access), std::move(model)});
    return {};
}

Result<TensorSet> TensorSet::open(std::string const& path, std::vector<std::string> const& patterns, Open const& open, Options options) {
    auto context = fmt::format("'{}'", printable(path));
    TensorSet set;
    if (is_shard_index(path)) {
        auto index = TRY(read_index(path, open).within(context));
        auto slash = path.rfind('/');
        auto directory = slash == std::string::npos ? std::string() : path.substr(0, slash + 1);
        for (auto const& [shard, tensors] : index.shards) {
            set.known_.insert(set.known_.end(), tensors.begin(), tensors.end());
            if (std::ranges::none_of(tensors, [&](auto const& tensor) { return is_wanted(tensor, patterns); })) continue;
            TRY(set.add(directory + shard, patterns, open, options).within(fmt::format("{}: '{}'", context, printable(shard))));
        }
    } else {
        TRY(set.add(path, patterns, open, options).within(context));
    }
    for (auto const& pattern : patterns) {
        auto matches = [&](Selected const& selected) { return glob_match(pattern, selected.tensor.name); };
        if (std::ranges::any_of(set.tensors_, matches)) continue;
        auto near = nearest(pattern, set.known_);
        std::string hint = near.empty() ? "holdfast models inspect lists them; * does not match '/', ** does"
                                        : fmt::format("is '{}' meant?", printable(near));
        if (set.known_.empty() && !set.findings_.empty()) hint = set.findings_.front().detail;
        return fail(ErrorKind::not_found, fmt::format("{}: no tensor matches '{}'", context, printable(pattern)), std::move(hint));
    }
    return set;
}

}  // namespace holdfast
