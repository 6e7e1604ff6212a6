#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "repo/envelope.h"
#include "repo/keys.h"

namespace holdfast {

// Objects of a write-ahead log (docs/repository-format.md, "Write-ahead logs"). A *stream* is the log of
// one system under one dataset; a *timeline* is one course of its history; a position is a byte of it.
using StreamId = Id<struct StreamTag, 16>;

struct WalStream {
    DatasetTag dataset;
    StreamId id;
    bool operator==(WalStream const&) const = default;
};
// `system` names whose log it is: "postgres 7123456789012345678". The store learns neither name.
WalStream wal_stream(KeyBundle const& keys, std::string_view dataset, std::string_view system);

// What an object is, by its key: bytes first … end − 1 of a timeline, or how a timeline came to be.
struct WalRangeName {
    std::uint32_t timeline = 0;
    std::uint64_t first = 0;
    std::uint64_t end = 0;
    BundleId writer;
    auto operator<=>(WalRangeName const&) const = default;
};
// Bytes first … end − 1 of a timeline.
struct WalSpan {
    std::uint64_t first = 0;
    std::uint64_t end = 0;
    bool operator==(WalSpan const&) const = default;
};
struct WalHistoryName {
    std::uint32_t timeline = 0;
    // Of its content, under a derived key: two histories of one timeline never hide each other.
    Id<struct WalHistoryTag, 8> content;
    BundleId writer;
    auto operator<=>(WalHistoryName const&) const = default;
};
// What their heads are sealed as: a document of this number, signed by a writer.
inline constexpr auto kWalDocument = static_cast<DocumentKind>(16);
inline constexpr std::string_view kWalPrefix = "wal/";
std::string wal_prefix(DatasetTag const& dataset);
std::string wal_prefix(WalStream const& stream);
std::string wal_key(WalStream const& stream, WalRangeName const& name);
std::string wal_key(WalStream const& stream, WalHistoryName const& name);
WalHistoryName wal_history_name(KeyBundle const& keys, std::uint32_t timeline, ByteView content);

// One of `range` and `history` is set.
struct WalKey {
    WalStream stream;
    std::optional<WalRangeName> range = {};
    std::optional<WalHistoryName> history = {};
};
// nullopt for names that no writer of this version makes.
std::optional<WalKey> parse_wal_key(std::string_view key);

}  // namespace holdfast
