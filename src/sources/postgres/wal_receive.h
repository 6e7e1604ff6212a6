#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "formats/pg_lsn.h"
#include "repo/repository.h"
#include "sources/postgres/connection.h"

namespace holdfast::postgres {

// Something that happened to a receiver and that people or machines want to know.
struct WalEvent {
    enum class Kind {
        receiving,       // the log comes in, on this timeline, from this position
        timeline,        // a timeline ended; the next one is followed
        disconnected,    // the server is gone for now; we try again
        slot_made,       // the server keeps the log for us from now on
        slot_lost,       // it did not: what it kept is gone
        gap,             // a part of the log is missing for good: a new base backup is needed
        repository,      // goes away or comes back
        spool,           // fills, or has room again
        lag,             // the server has to keep more and more log for us, or does not any more
        position,        // from time to time, how far it is
    };
    Kind kind = Kind::position;
    std::string message;
    bool alarm = false;  // somebody must do something
    std::uint32_t timeline = 0;
    Lsn durable;         // all before is in the repository
    Lsn server;          // the end of the server's log, as far as it told
    // All that the server had written by then (our clock) is durable; nullopt: not known yet.
    std::optional<Time> complete = {};
};
std::string_view name(WalEvent::Kind kind);

struct WalReceiveOptions {
    std::string conninfo;
    std::string dataset;
    std::string pair = {};             // the key pair that the dataset has of its own; empty: none
    std::string slot = {};             // empty: slot_name()
    std::filesystem::path spool = {};  // empty: none
    std::uint64_t spool_bytes_max = 1u << 30;
    // Ends when all that the server had when we connected is durable.
    bool catch_up = false;
    // How often a position is told.
    Duration tell_every = std::chrono::seconds(60);
    // A server that restarts is back sooner; when it is not, somebody must do something.
    Duration down_alarm_after = std::chrono::seconds(30);
    std::function<void(WalEvent const&)> tell = [](WalEvent const&) {};  // on the caller's thread
};

// The replication slot of a dataset's log: "holdfast_wal_" and 16 digits of its tag.
std::string slot_name(KeyBundle const& keys, std::string_view dataset);

// Makes the slot when it is missing, so that the server keeps its log from now on: before the base backup that the
// log shall follow.
Result<void> keep_log(Connection& connection, std::string const& slot, std::stop_token stop);

// Receives the log of a cluster into the repository until `stop` is requested (a success), tries again when the
// server or the repository goes away, and follows it to other timelines. It tells the server that a position is
// flushed only when the repository has it durably: as synchronous standby (application_name `holdfast`) it
// loses nothing that was acknowledged.
//
// Ends with `unsafe` when another system answers, `damaged` when the server sends another log than it did before,
// `usage` and key_refused as the connection and the repository say.
Result<void> receive_wal(Repository& repository, WalReceiveOptions const& options, std::stop_token stop);

}  // namespace holdfast::postgres
