#pragma once

#include <map>
#include <string>
#include <vector>

#include "archive/path_filter.h"
#include "archive/progress.h"
#include "base/time.h"

namespace holdfast {

// What is in the directories that hold model files, at one moment. The files of one such directory are a checkpoint
// set: shards, index, optimizer, scheduler, tokenizer, configuration belong together, and files of two moments are no
// checkpoint. Nothing is opened but indices of sharded models; what can't be looked at is passed over, the capture
// itself reports that.
class CheckpointSets {
  public:
    // Of all that lies below the paths and is not excluded. Names of files that are still being written
    // (`*.tmp` and the like) count although they are excluded.
    static CheckpointSets survey(std::vector<std::string> const& paths, PathFilter const& filter);

    // When a file of a set was last written to, of those that are not in the future (clocks differ between machines).
    // Nothing without any.
    std::optional<Time> last_write(Time now) const;
    // Directories whose files are not those that they were.
    std::vector<std::string> changed_since(CheckpointSets const& before) const;
    // Sets that are not whole, each with its directory and why: an index names a file that is not there, or a file is
    // under a temporary name that was written to in the last hour before `now` (older ones were left behind).
    std::vector<Problem> faults(Time now) const;

  private:
    struct File {
        std::uint64_t inode = 0, size = 0;
        Time modified, changed;
        bool operator==(File const&) const = default;
    };
    struct Set {
        std::map<std::string, File> files;
        std::map<std::string, Time> being_written;  // by name, when last
    };
    std::map<std::string, Set> sets_;  // by directory
};

// Whether the name is one that programs write under before they rename.
bool is_temporary_name(std::string_view name);

}  // namespace holdfast
