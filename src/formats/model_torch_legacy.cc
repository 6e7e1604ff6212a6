#include <fmt/format.h>
#include <unordered_map>

#include "base/text.h"
#include "formats/model_readers.h"

namespace holdfast {
namespace {

// torch/serialization.py, _legacy_save: pickles of a magic number, a protocol version, facts of the system, the
// object, and the sorted keys of the storages; then each storage in that order: u64 elements, the elements.
constexpr std::size_t kPickles = 5;

}  // namespace

Result<void> read_torch_legacy(RandomAccess const& file, ModelFile& model) {
    model.format = "PyTorch legacy";
    // The pickles come first and say nowhere how long they are: what is read of the file is bounded.
    auto head = TRY(read_run(file, 0, std::min(file.size(), kModelTableMax), kModelTableMax));
    std::vector<Pickle> pickles;
    std::uint64_t at = 0;
    for (std::size_t i = 0; i < kPickles; ++i) {
        auto pickle = read_pickle(ByteView(head).subspan(at));
        judge_pickle(pickle, fmt::format("pickle {}", i + 1), model);
        if (!pickle.whole()) return {};
        at += pickle.bytes;
        if (i >= 3) pickles.push_back(std::move(pickle));
    }
    head = {};
    auto table = torch_table(pickles[0]);
    auto const& keys = pickles[1];
    std::vector<std::optional<Place>> places(table.storages.size());
    std::unordered_map<std::string_view, std::size_t> by_key;
    for (std::size_t k = 0; k < table.storages.size(); ++k) by_key.emplace(table.storages[k].key, k);
    for (auto item : keys[keys.root].items) {
        auto const& key = keys[item];
        auto text = key.kind == PickleNode::Kind::integer ? std::to_string(key.integer) : key.text;
        auto known = by_key.find(text);
        if (known == by_key.end()) {
            model.judge(ModelVerdict::damaged, fmt::format("storage '{}' belongs to nothing", printable(text)));
            return {};
        }
        auto i = known->second;
        auto what = fmt::format("storage '{}'", printable(text));
        auto count = read_run(file, at, 8, 8);
        if (!count && count.error().kind != ErrorKind::damaged) return fail(count.error());
        auto element = dtype_bytes(table.storages[i].dtype);
        if (!element) return model.judge(ModelVerdict::not_verified, what + " holds elements of an unknown type"), Result<void>();
        std::uint64_t elements = count ? ByteReader(*count).u64() : 0, bytes = 0;
        if (!count || places[i] || elements != table.storages[i].elements || __builtin_mul_overflow(elements, *element, &bytes) ||
            bytes > file.size() - at - 8) {
            model.judge(ModelVerdict::damaged, what + " is not whole");
            break;
        }
        places[i] = Place{at + 8, bytes};
        at += 8 + bytes;
    }
    for (std::size_t i = 0; i < places.size(); ++i) {
        if (!places[i]) model.judge(ModelVerdict::damaged, fmt::format("storage '{}' is missing", printable(table.storages[i].key)));
    }
    if (model.verdict == ModelVerdict::verified && at != file.size()) {
        model.judge(ModelVerdict::not_verified, fmt::format("{} bytes behind its end", file.size() - at));
    }
    add_views(table, places, model);
    return {};
}

}  // namespace holdfast
