#include "repo/index_segment.h"

#include <algorithm>

#include "os/fan_out.h"
#include "repo/repository.h"

namespace holdfast {
namespace {

// Of a pack with one frame of one chunk.
constexpr std::size_t kPackRecordBytesMin = 32 + 8 + 8 + 32 + 12 + 12 + 36;
constexpr std::string_view kSegmentPrefix = "index/";

}  // namespace

Bytes encode_segment(std::span<PackSummary const> packs) {
    ByteWriter writer;
    writer.u32(static_cast<std::uint32_t>(packs.size()));
    for (auto const& pack : packs) {
        writer.raw(pack.id.view());
        writer.u64(pack.bytes);
        writer.raw(pack.header.data_key.view());
        writer.raw(pack.header.ephemeral);
        encode(pack.directory, writer);
    }
    return writer.take();
}

Result<std::vector<PackSummary>> decode_segment(ByteView plain) {
    auto malformed = [](char const* what) {
        return fail(ErrorKind::damaged, std::string("index segment: ") + what);
    };
    ByteReader reader(plain);
    auto count = reader.u32();
    if (!reader.ok() || count > reader.remaining() / kPackRecordBytesMin) return malformed("ends early");
    std::vector<PackSummary> packs(count);
    for (auto& pack : packs) {
        auto id = reader.raw(PackId::kSize);
        pack.bytes = reader.u64();
        auto data_key = reader.raw(DataKeyId::kSize);
        auto ephemeral = reader.raw(pack.header.ephemeral.size());
        if (!reader.ok()) return malformed("ends early");
        pack.id = PackId::from_bytes(id);
        pack.header.data_key = DataKeyId::from_bytes(data_key);
        std::copy(ephemeral.begin(), ephemeral.end(), pack.header.ephemeral.begin());
        auto directory = decode_directory(reader);
        pack.directory = TRY(std::move(directory).within("index segment"));
        std::uint64_t end = kPackHeaderBytes;
        for (auto const& frame : pack.directory.frames) end += frame.stored;
        if (pack.bytes > kPackBytesMax || end >= pack.bytes) return malformed("frames beyond their pack's end");
    }
    if (!reader.done()) return malformed("bytes behind its end");
    return packs;
}

ObjectKey segment_key(ByteView object) {
    return ObjectKey(std::string(kSegmentPrefix) + to_hex(sha256(object)));
}

Bytes encode_merged(std::span<SegmentGroup const> groups) {
    ByteWriter writer;
    writer.u32(static_cast<std::uint32_t>(groups.size()));
    for (auto const& group : groups) {
        writer.raw(group.writer.view());
        writer.blob(encode_segment(group.packs));
    }
    return writer.take();
}

Result<std::vector<SegmentGroup>> decode_merged(ByteView plain) {
    ByteReader reader(plain);
    std::vector<SegmentGroup> groups;
    auto count = reader.u32();
    for (std::uint32_t i = 0; i < count && reader.ok(); ++i) {
        auto writer = reader.raw(BundleId::kSize);
        auto segment = reader.blob();
        if (!reader.ok()) break;
        auto packs = TRY(decode_segment(segment));
        groups.push_back({BundleId::from_bytes(writer), std::move(packs)});
    }
    if (!reader.done()) return fail(ErrorKind::damaged, "merged index segment: malformed");
    return groups;
}

Result<std::vector<SegmentGroup>> load_segment(Repository& repository, ObjectKey const& key,
                                               std::stop_token stop) {
    auto object = TRY(repository.store().get(key, stop));
    if (segment_key(object) != key) {
        return fail(ErrorKind::damaged, "holds other bytes than its name says");
    }
    if (kind_of_document(object) == DocumentKind::merged) {
        auto document = TRY(repository.open(DocumentKind::merged, object, stop));
        return decode_merged(document.plain);
    }
    auto document = TRY(repository.open(DocumentKind::index, object, stop));
    auto packs = TRY(decode_segment(document.plain));
    std::vector<SegmentGroup> groups;
    groups.push_back({document.signer.id, std::move(packs)});
    return groups;
}

std::vector<LoadedSegment> load_segments(Repository& repository, std::vector<ObjectKey> const& keys,
                                         LoadSegments how, std::stop_token stop) {
    std::vector<LoadedSegment> results(keys.size());
    if (how == LoadSegments::on_this_thread) {
        for (std::size_t i = 0; i < keys.size(); ++i) results[i] = load_segment(repository, keys[i], stop);
        return results;
    }
    auto& executor = repository.world().executor;
    FanOut all(executor, store_requests(executor), stop);
    for (auto& result : results) result = fail(ErrorKind::cancelled, "stopped");
    for (std::size_t i = 0; i < keys.size(); ++i) {
        all.add(1, [&repository, &keys, &results, stop, i]() -> Result<void> {
            results[i] = load_segment(repository, keys[i], stop);
            return {};
        });
    }
    static_cast<void>(all.finish());  // each says for itself how it went
    return results;
}

}  // namespace holdfast
