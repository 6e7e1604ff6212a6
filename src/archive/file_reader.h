#pragma once

#include <functional>

#include "archive/posix.h"
#include "archive/randomness.h"
#include "repo/ingest.h"

namespace holdfast {

// What came of reading a file from beginning to end.
struct ReadFile {
    Content content;
    std::vector<ChunkId> lists_chunks;  // all chunks of a content that has lists
    bool says_chunks = true;            // false: there are lists, and the stream can't say what is in them
    std::uint64_t bytes = 0;            // as far as it went, holes included
    Randomness sample;                  // what its bytes look like
    Errno error = 0;                    // the file could not be read; then there is no content
};

// Reads up to `size` bytes of the open file into the repository: data as data, holes as holes. Less
// when the file ends before. Large files are read ahead.
// `on_bytes` hears how many bytes were read since it last did. The error is the ingest's alone.
Result<ReadFile> read_file(int fd, std::uint64_t size, Ingest& ingest, Layout layout,
                           std::function<void(std::uint64_t)> const& on_bytes, std::stop_token stop);

}  // namespace holdfast
