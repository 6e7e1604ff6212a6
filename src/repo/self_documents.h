#pragma once

#include "repo/repository.h"

namespace holdfast {

// What `rescue` needs on a bare machine and is not data: plan, contacts, Holdfast's own catalog. Stored
// under self/<time>-<name>, as documents that are besides sealed to the data key: only readers open
// them. `name` is of [a-z 0-9 . -], at most 64 of them (asserted).

inline constexpr std::string_view kSelfPrefix = "self/";

// Stores `bytes` as the newest document of this name. Durable when it returns. Needs a writer's or an
// admin's key.
Result<void> self_put(Repository& repository, std::string_view name, ByteView bytes,
                      std::stop_token stop);

struct SelfDocument {
    std::string name;
    Time time;
    // Who wrote it. A plan can run commands: whoever acts on one shows whose it is.
    KeyCertificate signer;
    Bytes bytes;
    std::vector<std::string> notices;  // newer ones that are damaged
};
// The newest document of this name that can be opened. not_found when there is none, key_refused
// without a reader's key, damaged when none can be opened.
Result<SelfDocument> self_latest(Repository& repository, std::string_view name,
                                 std::stop_token stop);
// The one of that very time.
Result<SelfDocument> self_get(Repository& repository, std::string_view name, Time time,
                              std::stop_token stop);

struct SelfName {
    std::string name;
    Time time;
};
std::string self_key(SelfName const& name);
// All of them, oldest first.
Result<std::vector<SelfName>> self_list(Repository& repository, std::stop_token stop);

}  // namespace holdfast
