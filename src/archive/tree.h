#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "archive/entry.h"
#include "repo/fetch.h"
#include "repo/ingest.h"

namespace holdfast {

// What a serialised directory says about itself.
struct DirectoryTraits {
    // Metadata of the directory itself: only in roots, which have no parent that could hold it. It has
    // no name and no content.
    std::optional<Entry> self;
    // Not all that was in the directory is in the tree: something could not be read, or the directory
    // only leads to what was asked for. Who compares or deletes must not take the rest for extra.
    bool incomplete = false;
};

// A serialised directory: magic "HFT1", entries in ascending order of their names' bytes, each name
// once, an end mark. Documented byte by byte in docs/repository-format.md.
Bytes encode_directory(std::vector<Entry> const& entries, DirectoryTraits const& traits = {});
// `damaged` on anything that encode_directory() could not have written: names that are empty, ".", "..",
// hold '/' or NUL, are out of order or repeated; unknown types; a missing end; trailing bytes.
Result<std::vector<Entry>> decode_directory(ByteView bytes, DirectoryTraits* traits = nullptr);

// Serialises a directory entry by entry into the repository: memory stays bounded for any directory.
class DirectoryWriter {
  public:
    explicit DirectoryWriter(Ingest& ingest) : ingest_(&ingest) {}
    // First of all, and only in roots.
    Result<void> self(Entry const& entry);
    // Names ascend (asserted).
    Result<void> add(Entry const& entry);
    Result<Content> finish(bool incomplete);

  private:
    Result<void> put(Entry const& entry);
    Result<void> drain();

    Ingest* ingest_;
    std::unique_ptr<Ingest::Stream> stream_;  // opened when the buffer is full for the first time
    ByteWriter buffer_;
    std::string last_name_;
};

// Reads a serialised directory entry by entry: memory stays bounded by a chunk for any directory.
class DirectoryReader {
  public:
    // Reads the beginning, as far as self().
    static Result<DirectoryReader> open(Fetch& fetch, Content const& content, std::stop_token stop);
    // The next entry in the order of names, nothing at the end.
    Result<std::optional<Entry>> next(std::stop_token stop);
    std::optional<Entry> const& self() const { return self_; }
    // Known when next() came to the end.
    bool incomplete() const { return incomplete_; }

  private:
    explicit DirectoryReader(Fetch& fetch) : fetch_(&fetch) {}
    Result<bool> fill(std::size_t bytes, std::stop_token stop);
    Result<std::optional<ByteView>> record(std::stop_token stop);
    Result<void> take_end(std::stop_token stop);

    Fetch* fetch_;
    std::vector<Extent> extents_;
    std::size_t next_extent_ = 0;
    Bytes buffer_;
    std::size_t at_ = 0;
    std::optional<Entry> self_, first_;
    std::string last_name_;
    bool incomplete_ = false, ended_ = false;
};

// Builds a tree bottom-up from entries that come in any order, storing each directory once it is
// complete. Memory is bounded by the directories that are open.
class TreeBuilder {
  public:
    explicit TreeBuilder(Ingest& ingest);
    ~TreeBuilder();
    // Adds an entry at `path` ("a/b/name", relative, no "." or ".."; its last part becomes the entry's
    // name); parents that were not added get plain directories (mode 0755, owner 0). A directory's entry
    // may come before or after its content, which finish() or close_directory() fills in. "" is the root
    // itself. `exists` when the path was added before; `usage` when it can't stand in a tree, or lies
    // below a file or a closed directory.
    Result<void> add(std::string_view path, Entry entry);
    // Nothing more comes below `path`: stores the directory and forgets its entries.
    Result<void> close_directory(std::string_view path);
    // Stores what is left and returns the root directory's content.
    Result<Content> finish();

  private:
    struct Node;
    struct Child;
    Result<Node*> descend(std::span<std::string const> parts);
    Result<Content> store(Node& node, std::optional<Entry> const& self);
    Ingest& ingest_;
    std::unique_ptr<Node> root_;
    std::optional<Entry> self_;
};

// Reads trees of recovery points.
class TreeReader {
  public:
    TreeReader(Fetch& fetch, Content root) : fetch_(fetch), root_(std::move(root)) {}
    // The entry at `path` ("" is the root: a directory with the metadata that the tree has of it, else
    // none). Leading, trailing and repeated '/' do not count. not_found names the longest part that
    // exists.
    Result<Entry> find(std::string_view path, std::stop_token stop);
    // All entries at once: for directories that people look at. See DirectoryReader for the others.
    Result<std::vector<Entry>> list(Entry const& directory, std::stop_token stop);
    // Depth first, a directory before what is in it, in the order of names. `visit` gets the path below
    // `start` ("" when `start` is not a directory) and may return false to skip a directory. A directory
    // that can't be read is given to `damaged` (path, error) and passed over; without `damaged` it ends
    // the walk.
    using Visit = std::function<Result<bool>(std::string const& path, Entry const& entry)>;
    using Damaged = std::function<Result<void>(std::string const& path, Error const& error)>;
    Result<void> walk(std::string_view start, Visit const& visit, Damaged const& damaged,
                      std::stop_token stop);

  private:
    Fetch& fetch_;
    Content root_;
};

}  // namespace holdfast
