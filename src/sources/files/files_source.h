#pragma once

#include "archive/source.h"

namespace holdfast {

struct FilesOptions {
    std::vector<std::string> paths = {};    // absolute
    std::vector<std::string> exclude = {};  // patterns, see BackUpOptions
};

// Directories and files as they are. Restoring needs no options.
std::unique_ptr<Source> make_files_source(FilesOptions options);

}  // namespace holdfast
