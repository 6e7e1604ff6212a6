#pragma once

#include <atomic>
#include <functional>
#include <set>
#include <string>
#include <sys/stat.h>
#include <variant>

#include "archive/posix.h"
#include "mount/directories.h"
#include "mount/node_table.h"
#include "mount/open_file.h"

namespace holdfast {

class View;

// What a directory holds, one name after the other. Used by one thread at a time.
class Listing {
  public:
    struct Item {
        std::string name;
        EntryType type = EntryType::directory;
        std::uint64_t inode = 0;
        std::optional<Entry> entry = {};  // in a point
    };
    // The item at `offset` (0 is the first), nothing at the end. In order it costs one step; backwards, the
    // directory is read again from its beginning.
    Result<Item const*> at(std::uint64_t offset, std::stop_token stop);

  private:
    friend class View;
    Listing(View& view, NodeTable::Held node) : view_(view), node_(std::move(node)) {}
    Result<void> rewind(std::stop_token stop);
    Result<void> step(std::stop_token stop);

    View& view_;
    NodeTable::Held node_;
    std::vector<Item> above_;  // of what lies above points
    std::optional<DirectoryReader> reader_;
    std::optional<Item> item_;
    std::uint64_t offset_ = 0;
    bool begun_ = false;
};

// Points as a tree of names: what the kernel asks, answered without any kernel. The top is all points by
// dataset and time, or one point. Thread-safe. An error means that the repository could not give what it
// should have: it is told to `warn` with the path and the object, once, and the caller answers EIO.
class View {
  public:
    // All points that `table` knows, or one.
    using Top = std::variant<PointTable*, std::shared_ptr<MountedPoint>>;
    struct Options {
        std::size_t cache_bytes = 0;
        std::function<void(std::string const&)> warn;
        std::stop_token stop;  // ends every wait
    };
    View(Fetch& fetch, Top top, Options options);

    // A name that was looked up, and what is known of it at once.
    struct Seen {
        NodeTable::Held node;
        struct stat status {};
        bool lasting = true;         // the name means this for good: points do not change
        bool status_exact = true;    // off: st_blocks is a guess until status() was asked
    };
    // nullptr for a number that was forgotten.
    NodeTable::Held node(NodeId id) { return nodes_.get(id); }
    // Nothing when there is no such name. Counts a look-up, which forget() takes back.
    Result<std::optional<Seen>> look_up(NodeTable::Held const& parent, std::string_view name);
    // The same for an item of parent's listing, without searching.
    Result<std::optional<Seen>> look_up(NodeTable::Held const& parent, Listing::Item const& item);
    void forget(NodeId id, std::uint64_t lookups) { nodes_.forget(id, lookups); }
    Result<struct stat> status(NodeTable::Held const& node);
    // Of a symlink.
    Result<std::string> target(NodeTable::Held const& node);
    Attributes attributes(Node const& node) const;
    // Of a directory.
    std::unique_ptr<Listing> list(NodeTable::Held const& node);
    Result<Listing::Item const*> item(Listing& listing, std::uint64_t offset);
    // Of a file.
    Result<std::unique_ptr<OpenFile>> open(NodeTable::Held const& node);
    Result<std::vector<Piece>> read(NodeTable::Held const& node, OpenFile& file, std::uint64_t offset,
                                    std::uint64_t size);

    std::size_t known_names() { return nodes_.size(); }
    // How many different complaints there were.
    std::uint64_t complaints() const { return complaints_; }

  private:
    friend class Listing;
    Result<std::optional<Seen>> look_up_above(NodeTable::Held const& parent, std::string_view name);
    Result<Seen> seen_entry(NodeTable::Held const& parent, Entry const& entry);
    Result<struct stat> status_of(Node& node, Entry const& entry, bool exact);
    Result<std::shared_ptr<FileMap const>> map_of(Node& node, Entry const& entry);
    Result<std::vector<Listing::Item>> above(Node const& node);
    void complain(Node const& node, Error const& error);
    template <typename T>
    Result<T> told(Node const& node, Result<T> result) {
        if (!result) complain(node, result.error());
        return result;
    }

    Fetch& fetch_;
    Top const top_;
    Options const options_;
    Directories directories_;
    NodeTable nodes_;
    ChunkCache cache_;
    std::mutex complaints_mutex_;
    std::set<std::string> complained_;
    std::atomic<std::uint64_t> complaints_ = 0;
};

}  // namespace holdfast
