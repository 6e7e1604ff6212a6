#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "archive/path_filter.h"
#include "archive/progress.h"
#include "base/time.h"

namespace holdfast {

// When a set is all there.
struct CheckpointRules {
    // Nothing was written to its files for so long.
    Duration settle = std::chrono::seconds(2);
    // A file whose name matches this glob lies in its directory, and is not older than its model files: one that is was left
    // by the checkpoint before. Empty: none is needed.
    std::string done = {};
};

// What is in the directories that hold model files, at one moment. The files of one such directory are a checkpoint
// set: shards, index, optimizer, scheduler, tokenizer, configuration belong together, and files of two moments are no
// checkpoint. Nothing is opened but indices of sharded models; what can't be looked at is passed over, the capture
// itself reports that.
class CheckpointSets {
  public:
    // Of all that lies below the paths and is not excluded. Names of files that are still being written
    // (`*.tmp` and the like), and files that say that a set is done, count although they are excluded.
    static CheckpointSets survey(std::vector<std::string> const& paths, PathFilter const& filter, CheckpointRules rules);

    // How long to wait before all sets may have settled; zero when they have. Of a set that lacks only its mark, and was
    // written to in the last minute, that is how soon it is worth looking again. Files that were written to in the future
    // (clocks differ between machines) are none to wait for.
    Duration until_settled(Time now) const;
    // Directories whose files are not those that they were.
    std::vector<std::string> changed_since(CheckpointSets const& before) const;
    // Directories in which a file is not the one that it was at that time, by its time of change.
    std::vector<std::string> changed_after(Time time) const;
    bool holds(std::string const& directory) const { return sets_.contains(directory); }
    // Sets that are not whole, each with its directory and why: an index names a file that is not there, a file is under a
    // temporary name that was written to in the last hour before `now` (older ones were left behind), the file that says that
    // the set is done is missing or older than the set, or the set has not settled.
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
        std::optional<Time> marked;                 // when the newest file that says so said that it is done

        std::optional<Time> last_write(Time now) const;
        // Why it is not marked as done.
        std::optional<std::string> unmarked(std::string const& done) const;
    };
    std::map<std::string, Set> sets_;  // by directory
    CheckpointRules rules_;
};

// Whether the name is one that programs write under before they rename.
bool is_temporary_name(std::string_view name);

}  // namespace holdfast
