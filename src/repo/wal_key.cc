#include "repo/wal_key.h"

#include <fmt/format.h>

#include <charconv>

#include "base/text.h"

namespace holdfast {
namespace {

constexpr std::string_view kHistory = "history";

template <typename T>
std::optional<T> hex_number(std::string_view text) {
    T value = 0;
    if (text.size() != 2 * sizeof(T) || text.find_first_not_of("0123456789abcdef") != text.npos) return std::nullopt;
    std::from_chars(text.data(), text.data() + text.size(), value, 16);
    return value;
}

template <typename T>
std::optional<T> id_of(std::string_view text) {
    auto id = T::from_hex(text);
    return id ? std::optional(*id) : std::nullopt;
}

}  // namespace

WalStream wal_stream(KeyBundle const& keys, std::string_view dataset, std::string_view system) {
    auto key = derive_from_index_key(keys, "holdfast 1 log stream");
    auto tag = HmacKey(key.view()).of(as_bytes(system));
    return {dataset_tag(keys, dataset), StreamId::from_bytes(ByteView(tag).first(StreamId::kSize))};
}

std::string wal_prefix(DatasetTag const& dataset) { return fmt::format("{}{}/", kWalPrefix, dataset.hex()); }

std::string wal_prefix(WalStream const& stream) {
    return fmt::format("{}{}/", wal_prefix(stream.dataset), stream.id.hex());
}

std::string wal_key(WalStream const& stream, WalRangeName const& name) {
    return fmt::format("{}{:08x}/{:016x}-{:016x}-{}", wal_prefix(stream), name.timeline, name.first, name.end,
                       name.writer.hex());
}

std::string wal_key(WalStream const& stream, WalHistoryName const& name) {
    return fmt::format("{}{:08x}/{}-{}-{}", wal_prefix(stream), name.timeline, kHistory, name.content.hex(),
                       name.writer.hex());
}

WalHistoryName wal_history_name(KeyBundle const& keys, std::uint32_t timeline, ByteView content) {
    auto key = derive_from_index_key(keys, "holdfast 1 log history");
    auto tag = HmacKey(key.view()).of(content);
    return {timeline, decltype(WalHistoryName::content)::from_bytes(ByteView(tag).first(8)), keys.id};
}

std::optional<WalKey> parse_wal_key(std::string_view key) {
    auto parts = split(key, '/');
    if (parts.size() != 5 || parts[0] != "wal") return std::nullopt;
    auto dataset = id_of<DatasetTag>(parts[1]);
    auto stream = id_of<StreamId>(parts[2]);
    auto timeline = hex_number<std::uint32_t>(parts[3]);
    auto fields = split(parts[4], '-');
    if (!dataset || !stream || !timeline || *timeline == 0 || fields.size() != 3) return std::nullopt;
    auto writer = id_of<BundleId>(fields[2]);
    if (!writer) return std::nullopt;
    WalKey result{{*dataset, *stream}};
    if (fields[0] == kHistory) {
        auto content = id_of<decltype(WalHistoryName::content)>(fields[1]);
        if (!content) return std::nullopt;
        result.history = WalHistoryName{*timeline, *content, *writer};
        return result;
    }
    auto first = hex_number<std::uint64_t>(fields[0]);
    auto end = hex_number<std::uint64_t>(fields[1]);
    if (!first || !end || *first >= *end) return std::nullopt;
    result.range = WalRangeName{*timeline, *first, *end, *writer};
    return result;
}

}  // namespace holdfast
