#pragma once

#include <map>
#include <string>

#include "cli/command.h"

namespace holdfast::cli {

// What `--tablespace OLD=NEW` says, each time that it is given.
Result<std::map<std::string, std::string>> tablespace_map(Invocation const& invocation);

}  // namespace holdfast::cli
