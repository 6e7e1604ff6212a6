#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>

#include "archive/source.h"
#include "base/result.h"
#include "steps/expectation.h"

namespace holdfast::steps {

// A restored cluster that runs for this process alone, on a Unix socket. Goes down when it is destroyed.
class RunningCluster {
  public:
    virtual ~RunningCluster() = default;
    // Asks in a session that can only read, prints times in UTC. `database` empty: the cluster's only database
    // beside postgres, else postgres.
    virtual Result<AnswerRows> query(std::string const& database, std::string const& sql,
                                     std::stop_token stop) = 0;
    // Looks at the structure of every table and index (pg_amcheck): a finding for each database.
    virtual Result<std::vector<Finding>> check_structure(std::stop_token stop) = 0;
    // Where its socket is.
    virtual std::filesystem::path socket_directory() const = 0;
    // "15.9"
    virtual std::string version() const = 0;
    // "ready in 1.2 s, without any network"
    virtual std::string standing() const = 0;
};

// Starts the cluster in the data directory, isolated.
using StartCluster = std::function<Result<std::unique_ptr<RunningCluster>>(std::filesystem::path const& data,
                                                                          std::stop_token stop)>;

// The restored clusters that this run has started. A cluster runs while somebody uses it, and until the pool
// goes when it was told to keep it; so a step that starts the database for good finds it stopped. Thread-safe.
class ClusterPool {
  public:
    using Handle = std::shared_ptr<RunningCluster>;

    explicit ClusterPool(StartCluster start) : start_(std::move(start)) {}
    // Every handle is gone by then.
    ~ClusterPool() { stop_all(); }
    ClusterPool(ClusterPool const&) = delete;

    // The running cluster; starts it when it does not run. It stops when the last handle goes.
    Result<Handle> use(std::filesystem::path const& data, std::stop_token stop);
    // The same, and it runs until stop_all().
    Result<Handle> keep(std::filesystem::path const& data, std::stop_token stop);
    // Stops what is kept and not used; what is used still stops with its last handle.
    void stop_all();

  private:
    struct Entry {
        std::unique_ptr<RunningCluster> cluster;
        unsigned users = 0;
        bool kept = false;
    };
    Result<Handle> take(std::filesystem::path const& data, bool keep, std::stop_token stop);
    void release(std::filesystem::path const& data);

    StartCluster start_;
    // Held while a cluster starts or stops: two servers must never run in one directory.
    std::mutex mutex_;
    std::map<std::filesystem::path, Entry> entries_;
};

}  // namespace holdfast::steps
