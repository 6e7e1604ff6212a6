#include "mount/node_table.h"

#include <cassert>
#include <xxhash.h>

#include "base/text.h"

namespace holdfast {

std::uint64_t inode_of(std::uint64_t parent, std::string_view name) {
    auto hash = XXH3_64bits_withSeed(name.data(), name.size(), parent);
    return hash > kRootNode ? hash : hash + 2;
}

Entry Node::entry() const {
    if (encoded.empty()) {
        assert(point);
        return point->root;
    }
    auto entry = decode_entry(encoded);
    assert(entry && "we encoded it");
    return std::move(*entry);
}

NodeTable::NodeTable(Held top) {
    top->id = kRootNode;
    nodes_[kRootNode] = {std::move(top), 1};
}

NodeTable::Held NodeTable::get(NodeId id) {
    std::lock_guard lock(mutex_);
    auto found = nodes_.find(id);
    return found == nodes_.end() ? nullptr : found->second.node;
}

NodeTable::Held NodeTable::look_up(Node const& parent, Held fresh, std::uint64_t link_group) {
    std::lock_guard lock(mutex_);
    auto next = next_;
    NodeId id = 0;
    if (link_group != 0) {
        LinkKey key(fresh->point.get(), link_group);
        id = by_link_.try_emplace(key, next).first->second;
        if (id == next) links_[id] = key;
    } else {
        id = by_name_.try_emplace({parent.id, fresh->name}, next).first->second;
    }
    auto& known = nodes_[id];
    if (id == next) {
        ++next_;
        fresh->id = id;
        fresh->parent = parent.id;
        known.node = std::move(fresh);
    }
    ++known.lookups;
    return known.node;
}

void NodeTable::forget(NodeId id, std::uint64_t lookups) {
    std::lock_guard lock(mutex_);
    auto found = nodes_.find(id);
    if (id == kRootNode || found == nodes_.end()) return;
    if (found->second.lookups > lookups) {
        found->second.lookups -= lookups;
        return;
    }
    if (auto link = links_.find(id); link != links_.end()) {
        by_link_.erase(link->second);
        links_.erase(link);
    } else {
        by_name_.erase({found->second.node->parent, found->second.node->name});
    }
    nodes_.erase(found);
}

std::string NodeTable::path(Node const& node) {
    std::lock_guard lock(mutex_);
    std::string path = printable(node.name);
    for (auto id = node.parent; id != kRootNode;) {
        auto found = nodes_.find(id);
        if (found == nodes_.end()) return "…/" + path;
        path = printable(found->second.node->name) + "/" + path;
        id = found->second.node->parent;
    }
    return path;
}

std::size_t NodeTable::size() {
    std::lock_guard lock(mutex_);
    return nodes_.size();
}

}  // namespace holdfast
