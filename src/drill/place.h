#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "drill/evidence.h"
#include "os/fd.h"

namespace holdfast::drill {

struct PlaceOptions {
    std::filesystem::path state;
    // Where the user wants it (--in); empty: below the state directory, or below /var/tmp when the owner of a
    // database's files cannot pass the way to the state directory.
    std::filesystem::path in = {};
    std::string id;  // of the drill: letters, digits and '-'
    bool databases = false;
};

// The directory of one drill: nothing of it is outside, nobody else enters it, and it goes away with everything that
// runs in it.
//
// It is noted below the state directory before it exists, under a lock that lives as long as the drill's process. So
// what a killed drill left is found by the next one, and what a living one uses is not.
class Place {
  public:
    // Makes it with its two parts (see isolated_runbook.h).
    static Result<Place> make(PlaceOptions const& options);
    Place(Place&&) = default;
    // Removes what is left, as far as that is possible; clean_up() says whether it was.
    ~Place();

    std::filesystem::path const& path() const { return path_; }
    // Ends what runs in it, removes it, and looks whether it is gone.
    std::vector<CleanUpEvidence> clean_up();

  private:
    Place() = default;
    std::filesystem::path path_;
    std::filesystem::path note_;
    Fd lock_;
    bool there_ = false;
};

// Cleans up after drills of this state directory whose process is gone. Says for each what was found and done. Never
// touches a directory that does not carry the mark of that very drill.
Result<std::vector<std::string>> sweep_dead_drills(std::filesystem::path const& state);

// Removes a tree whatever its modes; links are removed and not followed. Nothing to remove is a success.
Result<void> remove_tree(std::filesystem::path const& path);

}  // namespace holdfast::drill
