#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "os/file_system.h"
#include "overlay/block_set.h"

namespace holdfast {

// What is copied on write, and brought home, at once: PostgreSQL's page.
inline constexpr std::uint64_t kBlockBytes = 8192;
inline std::uint64_t blocks_of(std::uint64_t bytes) { return (bytes + kBlockBytes - 1) / kBlockBytes; }

// What is durably known about a file of the point.
struct HomeState {
    // Blocks whose bytes are those of the local file.
    BlockSet home;
    // The point's bytes from here on were cut off: they are not the file's any more.
    std::uint64_t end = 0;
    bool operator==(HomeState const& other) const { return end == other.end && home.count() == other.home.count(); }
};

// Says durably which blocks of which file of a point are home. A log of statements, each of which is true for good: blocks
// come home and files are cut off, never the other way round. So their order means nothing, and what a crash leaves
// of the last ones may be taken as it is. Thread-safe.
//
// Whoever states something has made it true durably before: the map is believed.
class HomeMap {
  public:
    struct Statement {
        std::uint32_t file = 0;
        enum class Kind : std::uint32_t { home = 1, end = 2 } kind = Kind::home;
        BlockRun run = {};       // that are home
        std::uint64_t end = 0;   // of what is still the point's, in bytes
    };

    // A new one, for files of these sizes (bytes), where nothing is home yet. `identity` (32 bytes) is the point's and
    // its part's: another one's map is refused. Durable when it returns.
    static Result<void> create(FileSystem& files, std::string const& path, ByteView identity,
                               std::span<std::uint64_t const> sizes);
    // Reads the map, and writes it anew without what is superfluous. `damaged` when it is another point's, or a part of
    // it that had been durable is not whole: then nobody knows which blocks are which. What was not made durable when
    // the power went is left out without a word.
    static Result<std::unique_ptr<HomeMap>> open(FileSystem& files, std::string const& path, ByteView identity,
                                                 std::span<std::uint64_t const> sizes);

    // What it said when it was opened: it does not follow what is stated later.
    std::vector<HomeState> const& loaded() const { return loaded_; }
    // Durable when it returns. After a failure the map takes nothing any more: nobody knows what it holds.
    Result<void> state(std::span<Statement const> statements);

  private:
    HomeMap(std::unique_ptr<NewFile> file, std::uint64_t sectors) : file_(std::move(file)), sectors_(sectors) {}

    std::vector<HomeState> loaded_;
    std::mutex mutex_;
    std::unique_ptr<NewFile> file_;
    std::uint64_t sectors_;  // that are durable
    bool failed_ = false;
};

}  // namespace holdfast
