#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>

#include "archive/posix.h"
#include "repo/repository.h"

namespace holdfast {

// What the last published capture of a dataset read, so that the next one takes unchanged files over
// unread. It is this client's own: authenticated under a key derived from the index key and bound to
// the dataset, the root and the writer. A damaged or foreign one is no cache; nothing but a full
// re-read is lost.
//
// The file: "HFC1", 16 random bytes (cache id), then blocks: u32 length, u8 last, bytes, HMAC-SHA-256
// of (what it is bound to ‖ cache id ‖ u64 block number ‖ last ‖ bytes). Records lie in the order of
// the walk: paths compared name by name.
struct CachedFile {
    std::string path;  // below the root
    FileStamp stamp;
    Entry entry;
    std::vector<ChunkId> chunks;  // all that the content needs
};

// What a cache belongs to, and where its files lie.
struct CaptureCachePlace {
    std::filesystem::path directory, file, pending;
    Bytes key;      // 32 bytes
    Bytes binding;  // dataset, writer, root
    // Nothing when the client keeps no cache.
    static std::optional<CaptureCachePlace> of(Repository& repository, std::string_view dataset,
                                               std::string_view root);
};

// -1, 0, 1: the order of the walk, in which '/' comes before every byte of a name.
int compare_paths(std::string_view a, std::string_view b);

class CaptureCacheReader {
  public:
    // Reads and checks all of it; nothing when there is none that can be trusted.
    static std::unique_ptr<CaptureCacheReader> open(CaptureCachePlace const& place);
    ~CaptureCacheReader();
    // The record of `path`, or nullptr. Paths are asked for in the order of the walk.
    CachedFile const* find(std::string_view path);
    // Hears of records that nobody asked for: files that are gone. pass_rest() after the last find().
    std::function<void(CachedFile const&)> on_passed;
    void pass_rest();

  private:
    struct State;
    void pass();
    explicit CaptureCacheReader(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

class CaptureCacheWriter {
  public:
    // Nothing when it can't be written: a capture does not depend on it.
    static std::unique_ptr<CaptureCacheWriter> create(CaptureCachePlace const& place, Random& random);
    ~CaptureCacheWriter();  // removes what was not finished
    void add(CachedFile const& file);
    // Puts the whole cache beside the current one, to be made current by commit_capture_cache().
    void finish();

  private:
    struct State;
    explicit CaptureCacheWriter(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace holdfast
