#pragma once

#include <atomic>
#include <mutex>

#include "archive/posix.h"
#include "archive/problems.h"

namespace holdfast {

// Who an entry belongs to on this machine: by name first, by number where there is no such name.
uid_t owner_here(Entry const& entry);
gid_t group_here(Entry const& entry);

// What differs in metadata, in words: "mode 0644 → 0600", "owner root → anna". Only attributes that a
// restore manages count (see manages_attribute()).
struct MetadataComparison {
    bool owners = true;
    bool times = true;
    bool special_bits = true;  // setuid, setgid and capabilities of files
};
std::vector<std::string> metadata_differences(Entry const& want, struct stat const& live,
                                              Attributes const& live_attributes,
                                              MetadataComparison const& what);

// Attributes that are set and removed to fit the point. Others (security labels of the system at hand)
// are set when the point has them, and never removed.
bool manages_attribute(std::string_view name);

// Gives restored things their owner, mode, attributes and times. What can't be set is a problem, and
// what must not be (special bits), or can't be exactly (times), is counted and named once at the end.
// Thread-safe.
class MetadataSetter {
  public:
    struct Options {
        bool set_owner = true;
        bool set_special_bits = false;
    };
    MetadataSetter(Options options, ProblemList& problems) : options_(options), problems_(problems) {}

    // A file or directory that is open; symlinks and the rest by the name in their directory. Touches only
    // what differs; true when something was changed. `path` is for problems.
    bool apply(int fd, Entry const& entry, std::string const& path);
    bool apply_at(int directory, std::string const& name, Entry const& entry, std::string const& path);
    // The problems that are named once.
    void summarise();

  private:
    class Object;
    bool apply_to(Object const& object, Entry const& entry, std::string const& path);
    bool set_owner(Object const& object, Entry const& entry, struct stat const& live, bool& changed,
                   std::string const& path);
    void set_attributes(Object const& object, Entry const& entry, Attributes const& live, bool acls,
                        bool capabilities, bool& changed, std::string const& path);

    struct Once {
        std::mutex mutex;
        std::uint64_t count = 0;
        std::string first;
        void note(std::string const& path) {
            std::lock_guard lock(mutex);
            if (count++ == 0) first = path;
        }
    };
    Options options_;
    ProblemList& problems_;
    Once special_, times_;
};

}  // namespace holdfast
