#pragma once

#include <filesystem>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "repo/index_file.h"

namespace holdfast {

// This client's own copy of a repository's index: tables, each made of segments that it opened. A table counts
// only while the store lists all of its segments, whose names are their contents' hashes; whatever is lost,
// damaged or stale is read from the store again. Several processes may use it at once.
class IndexCache {
  public:
    // Nothing when the client keeps no cache.
    static std::shared_ptr<IndexCache> of(Repository& repository);

    // The tables that may be used beside each other when the store lists `segments`. Removes what can't be used.
    std::vector<std::shared_ptr<FileTable>> tables(std::set<Hash32> const& segments);
    // Writes what `tables` hold into one. A failure leaves everything as it was.
    Result<std::shared_ptr<FileTable>> write(std::span<IndexTable const* const> tables, std::vector<Hash32> segments);
    // Those who have it open go on reading it.
    static void remove(FileTable const& table);

  private:
    IndexCache(std::filesystem::path directory, SealedBlocksOwner owner, Random& random);

    std::filesystem::path directory_;
    SealedBlocksOwner owner_;
    Random& random_;
    std::shared_ptr<BlockCache> blocks_;
};

}  // namespace holdfast
