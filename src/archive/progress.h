#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace holdfast {

// How far long work has come. Totals are 0 while they are unknown.
struct Progress {
    std::string what;     // "reading", "restoring", "checking": one word for people
    std::string current;  // the path or object at hand; bytes
    std::uint64_t files = 0, files_total = 0;
    std::uint64_t bytes = 0, bytes_total = 0;
    std::uint64_t stored = 0;  // backup: bytes added to the repository
};

// Called often and from one thread at a time; it throttles itself.
using ProgressCallback = std::function<void(Progress const&)>;

// Something that could not be read, set or trusted, while the rest went on.
struct Problem {
    std::string path;     // bytes
    std::string message;
};

}  // namespace holdfast
