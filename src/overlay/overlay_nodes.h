#pragma once

#include <mutex>
#include <sys/stat.h>
#include <unordered_map>

#include "os/fd.h"
#include "overlay/overlay.h"

namespace holdfast {

// What the kernel knows of an overlay by a number. As long as it knows it, the descriptor keeps the inode, so that its
// number is no other file's.
struct OverlayNode {
    std::uint64_t id = 0;
    Fd path;                        // O_PATH
    ino_t inode = 0;
    Overlay::File* file = nullptr;  // of the point
    std::uint64_t lookups = 0;
};

// All of them. Thread-safe. The kernel forgets a node only when no request about it is under way.
class OverlayNodes {
  public:
    static constexpr std::uint64_t kRoot = 1;  // FUSE_ROOT_ID
    explicit OverlayNodes(Overlay& overlay) : overlay_(overlay) {}

    // The descriptor of what has this number.
    int fd(std::uint64_t id);
    Overlay::File* file(std::uint64_t id);
    // What is called so in the directory, and its status. Counts a look-up. The error is errno.
    struct Seen {
        std::uint64_t id = 0;
        struct stat status {};
    };
    std::expected<Seen, Errno> look_up(std::uint64_t parent, char const* name);
    std::expected<struct stat, Errno> status(std::uint64_t id);
    void forget(std::uint64_t id, std::uint64_t lookups);

  private:
    // The second name of files of the point is nobody's business.
    void hide_second_name(struct stat& status);

    Overlay& overlay_;
    std::mutex mutex_;
    std::uint64_t next_ = kRoot + 1;
    std::unordered_map<std::uint64_t, std::unique_ptr<OverlayNode>> nodes_;
    std::unordered_map<ino_t, OverlayNode*> by_inode_;
};

}  // namespace holdfast
