#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>

#include "base/result.h"

namespace holdfast {

// A user of this machine.
struct UserId {
    uid_t uid = 0;
    gid_t gid = 0;  // of the primary group
    std::string name;
    std::string home;
};

// not_found when this machine has no such user; `io` when the user database does not answer.
// Thread-safe, never cached.
Result<UserId> lookup_user(std::string_view name);
Result<UserId> lookup_user(uid_t uid);

// Names of owners, for metadata: nullopt when there is none or the user database does not answer.
// Thread-safe; answers (also "none") are remembered for the life of the process, because a backup
// asks the same few questions millions of times.
std::optional<std::string> user_name(uid_t uid);
std::optional<std::string> group_name(gid_t gid);
std::optional<uid_t> user_by_name(std::string_view name);
std::optional<gid_t> group_by_name(std::string_view name);

}  // namespace holdfast
