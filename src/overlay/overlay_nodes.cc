#include "overlay/overlay_nodes.h"

#include <cerrno>
#include <fcntl.h>

namespace holdfast {

int OverlayNodes::fd(std::uint64_t id) {
    if (id == kRoot) return overlay_.tree();
    std::lock_guard lock(mutex_);
    auto found = nodes_.find(id);
    return found == nodes_.end() ? -1 : found->second->path.get();
}

Overlay::File* OverlayNodes::file(std::uint64_t id) {
    std::lock_guard lock(mutex_);
    auto found = nodes_.find(id);
    return found == nodes_.end() ? nullptr : found->second->file;
}

std::expected<OverlayNodes::Seen, Errno> OverlayNodes::look_up(std::uint64_t parent, char const* name) {
    Fd path(::openat(fd(parent), name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (!path) return std::unexpected(errno);
    Seen seen;
    if (::fstatat(path.get(), "", &seen.status, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0) return std::unexpected(errno);
    auto inode = seen.status.st_ino;
    auto* file = S_ISREG(seen.status.st_mode) ? overlay_.find(inode) : nullptr;
    {
        std::lock_guard lock(mutex_);
        auto& node = by_inode_[inode];
        if (!node) {
            auto fresh = std::make_unique<OverlayNode>(OverlayNode{next_++, std::move(path), inode, file, 0});
            node = fresh.get();
            nodes_.emplace(node->id, std::move(fresh));
        }
        ++node->lookups;
        seen.id = node->id;
    }
    hide_second_name(seen.status);
    return seen;
}

std::expected<struct stat, Errno> OverlayNodes::status(std::uint64_t id) {
    struct stat status {};
    if (::fstatat(fd(id), "", &status, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0) return std::unexpected(errno);
    hide_second_name(status);
    return status;
}

void OverlayNodes::hide_second_name(struct stat& status) {
    if (S_ISREG(status.st_mode) && status.st_nlink > 1 && overlay_.find(status.st_ino)) --status.st_nlink;
}

void OverlayNodes::forget(std::uint64_t id, std::uint64_t lookups) {
    if (id == kRoot) return;
    std::lock_guard lock(mutex_);
    auto found = nodes_.find(id);
    if (found == nodes_.end()) return;
    auto& node = *found->second;
    node.lookups -= std::min(node.lookups, lookups);
    if (node.lookups > 0) return;
    by_inode_.erase(node.inode);
    nodes_.erase(found);
}

}  // namespace holdfast
