#include "formats/shard_index.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/text.h"

namespace holdfast {

Result<ShardIndex> parse_shard_index(ByteView json) {
    auto text = as_text(json);
    auto document = nlohmann::json::parse(text, nullptr, false);
    auto map = document.is_object() ? document.find("weight_map") : document.end();
    if (!document.is_object() || map == document.end() || !map->is_object() || map->empty()) {
        return fail(ErrorKind::damaged, "it maps no tensors to files");
    }
    ShardIndex index;
    for (auto const& [tensor, file] : map->items()) {
        if (!file.is_string()) return fail(ErrorKind::damaged, fmt::format("tensor '{}' is in no file", printable(tensor)));
        auto const& name = file.get_ref<std::string const&>();
        if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos ||
            name.find('\\') != std::string::npos || name.find('\0') != std::string::npos) {
            return fail(ErrorKind::unsafe, fmt::format("tensor '{}' is to be read from '{}', which is not beside it",
                                                       printable(tensor), printable(name)));
        }
        index.shards[name].push_back(tensor);
        ++index.tensors;
    }
    return index;
}

}  // namespace holdfast
