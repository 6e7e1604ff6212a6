#pragma once

#include <array>

#include "repo/repository.h"
#include "repo/wal_key.h"

namespace holdfast {

// The longest run of a log that one object holds: a whole segment of PostgreSQL's default size. Longer
// segments are several objects.
inline constexpr std::size_t kWalObjectRawMax = 16u << 20;

// An object of a log, ready to be stored: its key and the two runs of bytes that it is made of.
struct SealedWal {
    std::string key;
    Bytes head;
    Bytes content;
    std::array<ByteView, 2> parts() const { return {head, content}; }
};

// Seals bytes first … first + raw.size() − 1 of a timeline, at most kWalObjectRawMax of them and not none
// (asserted), and signs them as this repository's bundle. `known` is the sender's clock when it had
// written no more than that. `pair` is the key pair that the dataset has of its own, or empty (usage when there is
// none of that name). Each frame is opened and compared before this returns (`internal`: memory or a codec is
// broken). A writer's key is enough; key_refused without one, or when it was removed.
Result<SealedWal> seal_wal_range(Repository& repository, WalStream const& stream, std::uint32_t timeline,
                                 std::uint64_t first, ByteView raw, Time known, std::string_view pair = {});
// The same for how a timeline came to be, as its server tells it.
Result<SealedWal> seal_wal_history(Repository& repository, WalStream const& stream, std::uint32_t timeline,
                                   ByteView content, std::string_view pair = {});

struct OpenWal {
    WalKey key;
    Time known;
    Bytes raw;
};
// Opens what these sealed. `damaged` for every changed, missing or added byte, and for an object under
// another one's name; key_refused without a reader's key.
Result<OpenWal> open_wal(Repository& repository, std::string_view key, ByteView object, std::stop_token stop);

// The sender's clock that an object states. Any key will do: its signature and its name are checked, its
// content is not read.
Result<Time> wal_known_time(Repository& repository, std::string_view key, std::stop_token stop);

// What can be told without any key: that no accident changed it.
Result<void> check_bare_wal(ByteView object);

// Everything about an object that needs no reader's key: name, signature, the sum of its content.
Result<void> check_wal(Repository& repository, std::string_view key, ByteView object, std::stop_token stop);

}  // namespace holdfast
