#pragma once

#include <memory>

#include "mount/fuse_mount.h"
#include "overlay/overlay.h"

namespace holdfast {

// An overlay that is mounted, for reading and writing: names go to the tree on the local disk as they are, files of the
// point through the overlay. Who is asked for durability (fsync, fdatasync, fsync of a directory) has it when he answers.
class OverlaySession {
  public:
    // Mounts over the very directory the overlay lies in, which it hides. As root for all users, by the modes and owners of
    // the files; otherwise for this user alone. Errors as FuseMount::mount().
    static Result<std::unique_ptr<OverlaySession>> mount(Overlay& overlay, std::filesystem::path const& at);
    ~OverlaySession();

    // Answers the kernel until `stop` is requested or somebody unmounts.
    Result<void> serve(std::stop_token stop);
    // Unmounts if nobody uses it: false when somebody does. serve() returns then.
    Result<bool> unmount_unused(std::stop_token stop);

  private:
    struct Impl;
    explicit OverlaySession(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast
