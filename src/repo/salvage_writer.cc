#include "repo/salvage_writer.h"

#include "repo/index.h"

namespace holdfast {
Result<void> SalvageWriter::add(std::string const& pair, ChunkKind kind, ByteView raw,
                                std::vector<PackChunk> chunks) {
    IngestLimits const limits;
    auto encoded = TRY(encode_frame(raw, {.zstd_level = limits.zstd_level}, scratch_));
    auto& open = open_[pair][kind == ChunkKind::data ? 0 : 1];
    if (open && (open->bytes() >= limits.pack_bytes || !open->fits(encoded.bytes.size()))) TRY(close(open));
    if (!open) {
        auto newest = TRY(repository_.data_keys()->newest(pair));
        open = TRY(PackBuilder::create(repository_.id(), newest, repository_.world().random,
                                       std::make_shared<Memory>(limits.pack_bytes + kPackSlack)));
    }
    auto& frame = open->reserve(encoded.codec, kind, encoded.bytes.size(), chunks);
    TRY(open->seal(frame, encoded.bytes, raw));
    for (auto const& chunk : chunks) chunks_.insert(in_pair(chunk.id, pair_mark(pair)));
    return {};
}

Result<void> SalvageWriter::close(std::unique_ptr<PackBuilder>& builder) {
    auto sealed = std::move(*std::exchange(builder, nullptr)).finish(kParityPercentDefault);
    auto put = repository_.store().put(pack_key(sealed.summary.id), sealed.views(), stop_);
    TRY(std::move(put).within("store pack " + sealed.summary.id.brief()));
    stored_.push_back(std::move(sealed.summary));
    return {};
}

Result<std::vector<PackSummary>> SalvageWriter::flush() {
    for (auto& [pair, lanes] : open_) {
        for (auto& open : lanes) {
            if (open) TRY(close(open));
        }
    }
    auto packs = std::exchange(stored_, {});
    if (packs.empty()) return packs;
    auto object = repository_.seal(DocumentKind::index, encode_segment(packs));
    auto key = segment_key(object);
    TRY(repository_.store().put(key, object, stop_).within("store " + key.text()));
    return packs;
}

}  // namespace holdfast
