#pragma once

#include <atomic>
#include <deque>
#include <mutex>
#include <set>
#include <unordered_map>

#include "mount/chunk_cache.h"
#include "mount/open_file.h"
#include "overlay/copy_on_write_file.h"
#include "overlay/overlay_directory.h"

namespace holdfast {

// The overlay of one directory, open: which local file is which file of the point, and what is home of each. Free of FUSE.
// Thread-safe.
class Overlay {
  public:
    struct Options {
        // Hears what the repository could not give, each once.
        std::function<void(std::string const& message)> warn;
        std::stop_token stop;  // ends every wait
    };
    // An overlay that prepare_overlay() made. What an earlier process had written is made durable first, so that nobody
    // takes it for durable by mistake. `fetch` and `cache` outlive it. `exists` when another process has it open;
    // `damaged` as HomeMap::open().
    static Result<std::unique_ptr<Overlay>> open(std::filesystem::path const& directory, OverlayPart const& part, Fetch& fetch,
                                                 ChunkCache& cache, Options options);

    class File;
    // A file of the point in use: its descriptor is open as long as somebody has one of these.
    using Use = std::shared_ptr<CopyOnWriteFile>;

    // The tree's directory (O_PATH).
    int tree() const { return tree_.get(); }
    // The file of the point that has this inode; nullptr: an ordinary local file.
    File* find(ino_t inode);
    Result<Use> use(File& file);
    // A name of this inode was removed, or something took its place: forgets the file when that was the last one.
    void name_removed(ino_t inode);

    // --- for who brings the rest home ---
    std::size_t file_count() const { return files_.size(); }
    File& file(std::size_t number) { return *files_[number]; }
    // Blocks that somebody waited for, the oldest first, and which are not home yet.
    struct Wanted {
        File* file = nullptr;
        BlockRun run = {};
    };
    std::optional<Wanted> next_wanted();
    // What the point has of a file that is in use, for one reader.
    Result<std::unique_ptr<OpenFile>> open_point(File& file);
    // Whether somebody waits for the repository now.
    bool somebody_waits() const { return waiting_ > 0; }
    std::uint64_t bytes_missing() const;
    std::uint64_t bytes_total() const { return bytes_total_; }
    std::uint64_t complaints() const { return complaints_; }
    void complain(std::string const& path, Error const& error);

  private:
    Overlay(Fetch& fetch, ChunkCache& cache, Options options) : fetch_(fetch), cache_(cache), options_(std::move(options)) {}
    Result<void> load(std::filesystem::path const& directory, OverlayPart const& part);
    Result<std::shared_ptr<FileMap const>> map_of(File& file);  // with its reading_ held
    Result<void> read_lower(File& file, std::uint64_t offset, ByteSpan to);

    Fetch& fetch_;
    ChunkCache& cache_;
    Options const options_;
    Fd lock_, tree_, numbers_;
    std::unique_ptr<HomeMap> map_;
    std::vector<std::unique_ptr<File>> files_;
    std::uint64_t bytes_total_ = 0;
    std::mutex mutex_;  // guards what follows, and the files' own
    std::unordered_map<ino_t, File*> by_inode_;
    std::mutex wanted_mutex_;
    std::deque<Wanted> wanted_;
    std::atomic<int> waiting_ = 0;
    std::mutex complaints_mutex_;
    std::set<std::string> complained_;
    std::atomic<std::uint64_t> complaints_ = 0;
};

// Fills `to` from there, exactly.
Result<void> read_point(OpenFile& file, std::uint64_t offset, ByteSpan to, std::stop_token stop);

// A file of the point that is not known to be wholly home.
class Overlay::File {
  public:
    std::string const& path() const { return lower_.path; }  // as it was in the point
    std::uint64_t size() const { return lower_.content.size; }  // in the point
    // Whether it still has a name.
    bool exists() const { return exists_; }

  private:
    friend class Overlay;
    class Local;
    LowerFile lower_;
    std::uint32_t number_ = 0;
    std::atomic<bool> exists_ = false;
    ino_t inode_ = 0;
    std::unique_ptr<CopyOnWriteFile> content_;
    Local* local_ = nullptr;  // of content_
    unsigned users_ = 0;
    std::mutex reading_;  // guards what follows: there while somebody uses the file
    std::shared_ptr<FileMap const> map_;
    std::shared_ptr<OpenFile> point_;  // of all who read through content_
};

}  // namespace holdfast
