#pragma once

#include <filesystem>
#include <memory>
#include <stop_token>
#include <string>

#include "base/result.h"

struct fuse_lowlevel_ops;

namespace holdfast {

// A file system that is mounted: what all of ours need of libfuse 3 (its low-level interface), whatever they answer.
class FuseMount {
  public:
    struct Options {
        std::string settings;    // of mount(8), by commas: "ro,nosuid"
        unsigned threads = 8;    // requests that are answered at once
    };
    // Mounts at a directory that exists. `operations` are copied and hear `data`, which outlives the mount. not_found
    // without the directory; `unsafe` when a mount whose process was killed is still there; `io` when the kernel or
    // fusermount3 refuses, with what it says.
    static Result<std::unique_ptr<FuseMount>> mount(fuse_lowlevel_ops const& operations, void* data,
                                                    std::filesystem::path const& at, Options const& options);
    // Unmounts, also from under programs that have files open: they get errors from then on.
    ~FuseMount();

    // Answers the kernel until `stop` is requested or somebody unmounts; `io` when its requests can't be read any more.
    Result<void> serve(std::stop_token stop);
    // Unmounts if nobody uses it: false when somebody does. serve() returns then.
    Result<bool> unmount_unused(std::stop_token stop);

  private:
    struct Impl;
    explicit FuseMount(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

// Whether a mount is at the directory whose process was killed.
bool is_dead_mount(std::filesystem::path const& at);
// Takes it away, unless a program still has files of it open (`unsafe`).
Result<void> remove_dead_mount(std::filesystem::path const& at, std::stop_token stop);

}  // namespace holdfast
