#pragma once

#include <filesystem>
#include <memory>
#include <stop_token>

#include "mount/fuse_mount.h"

namespace holdfast {

class View;
struct MountWorld;

struct MountOptions {
    // Others than the user who mounts may look, as far as modes and ACLs of what is in the points let them.
    // Off: he alone may, and sees everything.
    bool allow_other = false;
};

// A view that is mounted: answers what the kernel asks.
class FuseSession {
  public:
    // Mounts `view` at a directory that exists: read-only, without devices and setuid. not_found without the
    // directory; `unsafe` when a mount whose process was killed is still there; `io` when the kernel or
    // fusermount3 refuses, with what it says.
    static Result<std::unique_ptr<FuseSession>> mount(View& view, std::filesystem::path const& at,
                                                      MountOptions const& options);
    // Unmounts, also from under programs that have files open: they get errors from then on.
    ~FuseSession();

    // Answers the kernel until `stop` is requested or somebody unmounts.
    Result<void> serve(std::stop_token stop);

  private:
    FuseSession(std::unique_ptr<MountWorld> world, std::unique_ptr<FuseMount> mount);
    std::unique_ptr<MountWorld> world_;  // outlives the mount
    std::unique_ptr<FuseMount> mount_;
};

}  // namespace holdfast
