#pragma once

#include <map>
#include <string>
#include <vector>

#include "formats/pg_control.h"

namespace holdfast::postgres {

struct IsolationOptions {
    int major = 15;
    std::string data;        // data directory
    std::string directory;   // private: socket, configuration
    int port = 0;
    std::string restore_command;  // empty: none
    // It recovers to a target first (recovery.signal): it opens when it is there, and not before.
    bool recovering = false;
    std::vector<std::string> preload_libraries;
    std::uint64_t shared_buffers_bytes = 128u << 20;
    bool disposable = false;  // nothing that it writes has to survive a crash: it does not wait for disks
};

// The settings that a restored cluster runs with in isolation, given on the server's command line,
// where they win over everything that came back with the cluster: postgresql.conf (which is not read
// at all), ALTER SYSTEM's postgresql.auto.conf, settings of roles and databases as far as they can
// reach the server.
//
// What they see to: no port, no socket outside the private directory, no archiving, no upstream, no
// log from elsewhere unless asked, nothing waits for standbys, no subscription workers, no libraries
// that came preloaded, no commands of the old configuration, no files outside, memory of a guest.
// Counts that recovery needs are at least the primary's, from pg_control.
std::map<std::string, std::string> isolation_settings(IsolationOptions const& options, PgControl const& control);

// Those of them that keep the cluster from reaching anything: what must be read back from the running
// server, and its cluster stopped when one differs.
std::vector<std::string> isolation_guards(int major);

}  // namespace holdfast::postgres
