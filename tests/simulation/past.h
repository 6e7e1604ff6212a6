#pragma once

#include <map>
#include <vector>

#include "repo/test_files.h"
#include "repo/test_origin.h"

namespace holdfast::simulation {

// Files that points are made of: few, so that they meet again; in packs of a few kilobytes.
inline constexpr std::size_t kPool = 8;
inline constexpr std::size_t kPackBytes = 4u << 10;

// What was asked to be stored.
struct Capture {
    std::vector<std::size_t> files;  // of the pool
    std::string dataset;
};
TestFiles files_of(Capture const& capture);

// What a client knows of a file that it has captured before: a capture cache, however old it is.
struct Remembered {
    Content content;
    std::vector<ChunkId> chunks;
};

// The keys, the same for all.
struct Keys {
    KeyBundle admin;
    std::vector<KeyBundle> writers;
};
Keys const& keys();
Remembered const& remembered(std::size_t file);

// What lies in the repository when a history begins: some months went by undisturbed.
struct Past {
    SimulatedObjects objects;
    Time end;
    std::map<PointId, Capture> promises;  // of all that stand
    std::vector<Capture> captures;        // all that there ever were
};
inline constexpr std::size_t kPasts = 24;
Past const& past(std::size_t number);

}  // namespace holdfast::simulation
