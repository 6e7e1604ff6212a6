#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "archive/entry.h"
#include "repo/fetch.h"
#include "repo/ingest.h"

namespace holdfast {

// A serialised directory: magic "HFT1", varint count, entries in ascending order of their names' bytes,
// each name once. Documented byte by byte in docs/repository-format.md.
Bytes encode_directory(std::vector<Entry> const& entries);
// `damaged` on anything that encode_directory() could not have written: names that are empty, ".", "..",
// hold '/' or NUL, are out of order or repeated; unknown types; trailing bytes.
Result<std::vector<Entry>> decode_directory(ByteView bytes);

// Builds a tree bottom-up from entries that come in any order, storing each directory once it is
// complete. Memory is bounded by the directories that are open.
class TreeBuilder {
  public:
    explicit TreeBuilder(Ingest& ingest);
    ~TreeBuilder();
    // Adds an entry at `path` ("a/b/name", relative, no "." or ".."); parents that were not added get
    // plain directories (mode 0755, owner 0). A directory's entry may come before or after its content.
    // `exists` when the path was added before.
    Result<void> add(std::string_view path, Entry entry);
    // Nothing more comes below `path`: stores the directory and forgets its entries.
    Result<void> close_directory(std::string_view path);
    // Stores what is left and returns the root directory's content.
    Result<Content> finish();

  private:
    struct Node;
    Ingest& ingest_;
    std::unique_ptr<Node> root_;
};

// Reads trees of recovery points.
class TreeReader {
  public:
    TreeReader(Fetch& fetch, Content root) : fetch_(fetch), root_(std::move(root)) {}
    // The entry at `path` ("" is the root: a directory without metadata of its own). not_found names
    // the longest part that exists.
    Result<Entry> find(std::string_view path, std::stop_token stop);
    Result<std::vector<Entry>> list(Entry const& directory, std::stop_token stop);
    // Depth first, a directory before what is in it, in the order of names. `visit` gets the path below
    // `start` and may return false to skip a directory. A directory that can't be read is given to
    // `damaged` (path, error) and passed over; without `damaged` it ends the walk.
    using Visit = std::function<Result<bool>(std::string const& path, Entry const& entry)>;
    using Damaged = std::function<Result<void>(std::string const& path, Error const& error)>;
    Result<void> walk(std::string_view start, Visit const& visit, Damaged const& damaged,
                      std::stop_token stop);

  private:
    Fetch& fetch_;
    Content root_;
};

}  // namespace holdfast
