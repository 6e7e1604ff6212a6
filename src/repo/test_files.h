#pragma once

// For tests alone: recovery points of the simplest kind. A tree is the contents of its files behind each
// other; what a directory is stands elsewhere.

#include "repo/repository.h"
#include "repo/verify.h"

namespace holdfast {

using TestFiles = std::vector<Bytes>;

inline Result<void> walk_test_files(Fetch& fetch, RecoveryPoint const& point, TreeVisitor const& visitor,
                                    std::stop_token stop) {
    auto tree = fetch.content(point.tree, 1u << 20, stop);
    if (!tree) return visitor.damaged("", tree.error());
    ByteReader reader(*tree);
    for (int i = 0; reader.remaining() > 0; ++i) {
        auto content = TRY(decode_content(reader));
        TRY(visitor.content(std::to_string(i), content));
    }
    return {};
}

// The point that publish() may store. Its time is not set.
inline Result<RecoveryPoint> capture_test_files(Ingest& ingest, TestFiles const& files, std::string dataset) {
    ByteWriter tree;
    for (auto const& file : files) {
        auto stream = ingest.open_stream(ChunkKind::data, {});
        TRY(stream->append(file));
        auto content = TRY(stream->finish());
        encode(content, tree);
    }
    auto stream = ingest.open_stream(ChunkKind::tree, {});
    TRY(stream->append(tree.view()));
    RecoveryPoint point;
    point.dataset = std::move(dataset);
    point.kind = "files";
    point.tree = TRY(stream->finish());
    return point;
}

inline Result<TestFiles> restore_test_files(Fetch& fetch, RecoveryPoint const& point) {
    auto tree = TRY(fetch.content(point.tree, 1u << 20, {}));
    ByteReader reader(tree);
    TestFiles files;
    while (reader.remaining() > 0) {
        auto content = TRY(decode_content(reader));
        auto bytes = TRY(fetch.content(content, 1u << 24, {}));
        files.push_back(std::move(bytes));
    }
    return files;
}

}  // namespace holdfast
