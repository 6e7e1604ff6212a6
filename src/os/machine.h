#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <sys/types.h>

#include "base/result.h"

namespace holdfast {

// "db1.example.com": what the kernel says, not unique.
std::string host_name();
// "Linux 6.1.0-28-amd64 x86_64".
std::string system_name();
// A UUID that the kernel draws at each boot; empty where it is not told.
std::string boot_id();
pid_t process_id();

// Names this process in a way that no other process ever shares: made of boot id, pid name space,
// pid and start time, of the characters [a-z 0-9 -] only, at most 80 of them.
std::string process_name();
// Whether the process of that name may still be running. True when it cannot be told: it runs on
// another machine, in another container, or before the last boot.
bool process_may_live(std::string_view name);

struct Space {
    std::uint64_t available;  // bytes that we may still write
    std::uint64_t total;      // bytes
};
// Of the file system that holds `path`.
Result<Space> space_of(std::string const& path);

}  // namespace holdfast
