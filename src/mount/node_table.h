#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "mount/file_map.h"
#include "mount/point_table.h"

namespace holdfast {

// The number under which the kernel knows a name. Never used again for another one.
using NodeId = std::uint64_t;
inline constexpr NodeId kRootNode = 1;

// What the kernel knows by a number, until it forgets it.
struct Node {
    enum class Kind { top, dataset, latest, entry };
    Kind kind = Kind::entry;
    NodeId id = 0;
    NodeId parent = 0;
    std::string name;
    // What programs see as st_ino: the same for the same thing although the kernel forgot it meanwhile, so
    // that rsync and tar know hard links again. A hash: a collision would need some 10^9 names.
    std::uint64_t inode = 0;
    std::shared_ptr<MountedPoint> point;  // shared by all nodes in it; none above points
    // The entry as bytes: a fifth of its decoded size. Empty: the root of `point`.
    Bytes encoded;

    std::mutex mutex;
    std::weak_ptr<FileMap const> map;          // of whoever has it open
    std::optional<std::uint64_t> data_bytes;   // once it was counted

    // The entry, decoded.
    Entry entry() const;
};

// All nodes that the kernel knows. Thread-safe; a node stays whole as long as somebody holds it.
class NodeTable {
  public:
    using Held = std::shared_ptr<Node>;
    // The top of the mount has kRootNode and is never forgotten.
    explicit NodeTable(Held top);

    // The node of that number; nullptr when the kernel asks for one that it forgot.
    Held get(NodeId id);
    // The node of `name` in `parent`, made of `fresh` when it is not known; counts one more look-up. Names of
    // one hard-linked file are one node.
    Held look_up(Node const& parent, Held fresh, std::uint64_t link_group);
    void forget(NodeId id, std::uint64_t lookups);
    // For messages: "dataset/time/some/path", as far as it is known.
    std::string path(Node const& node);
    std::size_t size();

  private:
    struct Known {
        Held node;
        std::uint64_t lookups = 0;
    };
    // (parent, name) of single names; (point, link group) of the others.
    using NameKey = std::pair<NodeId, std::string>;
    using LinkKey = std::pair<MountedPoint const*, std::uint64_t>;

    std::mutex mutex_;
    NodeId next_ = kRootNode + 1;
    std::unordered_map<NodeId, Known> nodes_;
    std::map<NameKey, NodeId> by_name_;
    std::map<LinkKey, NodeId> by_link_;
    std::unordered_map<NodeId, LinkKey> links_;
};

// st_ino of what is called `name` below what has `parent`.
std::uint64_t inode_of(std::uint64_t parent, std::string_view name);

}  // namespace holdfast
