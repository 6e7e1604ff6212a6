#pragma once

#include <filesystem>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "sources/postgres/connection.h"

namespace holdfast::postgres {

struct ClusterOptions {
    std::filesystem::path data;  // a restored data directory
    // How the server gets log that is not in its pg_wal. Empty: not at all.
    std::string restore_command = {};
    // Libraries without which the data can't be read (timescaledb). What the old configuration
    // preloaded is not: it may reach out.
    std::vector<std::string> preload_libraries = {};
    // Roles to connect as, the first that exists; then "postgres" and the owner of the files.
    std::vector<std::string> users = {};
    std::uint64_t shared_buffers_bytes = 128u << 20;
    // Nothing that it writes has to survive a crash: it does not wait for disks.
    bool disposable = false;
    Duration ready_timeout = std::chrono::hours(12);  // replaying log takes as long as it takes
    Duration stop_grace = std::chrono::seconds(60);
};

struct QueryOptions {
    std::string database = "postgres";
    Duration timeout = std::chrono::minutes(10);  // the server gives up after it
    bool read_only = true;
};

// A restored cluster that runs where it can reach nothing and nobody can mistake it for production: see
// isolation.h for its settings; where the system allows it, in a network namespace without any
// interface. Connections go through a socket in a private directory. As root, it runs as the owner of
// the data directory.
//
// The cluster is a real one: what queries write is written. Its configuration files are left as they
// are. It dies with us.
class IsolatedCluster {
  public:
    // Returns when the cluster accepts queries. not_found: no cluster, or no server program for its
    // version; unsafe: a server runs in it already, or its restore is not finished; usage: owned by root,
    // or its owner can't reach it; check_failed: it does not start (with the end of its log); cancelled.
    static Result<std::unique_ptr<IsolatedCluster>> start(ClusterOptions options, std::stop_token stop);
    ~IsolatedCluster();

    // Stops it (fast: clean, connections are ended). check_failed when it had to be killed.
    Result<void> stop();

    // From the start of the server to the first query that it answered.
    Duration time_to_ready() const;
    bool network_isolated() const;
    int major() const;
    pid_t pid() const;
    std::string const& user() const;              // of the database
    std::string const& socket_directory() const;
    int port() const;
    std::string conninfo(std::string const& database) const;
    std::string log() const;                      // its last 64 KiB

    // check_failed names what the server said.
    Result<Rows> query(std::string const& sql, QueryOptions const& options, std::stop_token stop) const;
    // Those that accept connections, without templates.
    Result<std::vector<std::string>> databases(std::stop_token stop) const;

  private:
    IsolatedCluster();
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace holdfast::postgres
