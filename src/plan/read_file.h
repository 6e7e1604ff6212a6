#pragma once

#include <cstddef>
#include <string>
#include <sys/types.h>

#include "base/result.h"

namespace holdfast::plan {

struct ReadFile {
    std::string text;
    mode_t mode = 0;
};

// All of a small file: a plan or a secret. Refuses (usage) what is larger than `bytes_max` or not a
// regular file, a FIFO for instance, which would block.
Result<ReadFile> read_file(std::string const& path, std::size_t bytes_max);

}  // namespace holdfast::plan
