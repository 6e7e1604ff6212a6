#pragma once

#include <filesystem>
#include <memory>
#include <thread>

#include "datasets/instant.h"
#include "sources/postgres/cluster.h"
#include "sources/postgres/private_directory.h"

namespace holdfast {

struct MomentClusterOptions {
    std::filesystem::path scratch;           // a private directory is made in it
    std::size_t cache_bytes = 96u << 20;     // memory for chunks
};

// A PostgreSQL cluster as of a moment, to be asked: started on the recovery point itself (instant.h), isolated, in a directory
// of its own below `scratch`, which holds the log that leads to the moment and what the cluster writes, and nothing else. Its
// tablespaces come to lie there, too, never where production has its own. Nothing of it is left when the object goes.
class MomentCluster {
  public:
    // Returns when the cluster is at the moment and can be asked. A moment whose log says `stay` is a hot standby there, which
    // can only be read. Errors as InstantRecovery::begin() and IsolatedCluster::start().
    static Result<std::unique_ptr<MomentCluster>> start(Workspace& workspace, Moment moment, MomentClusterOptions const& options,
                                                        ProgressCallback const& progress, Warn const& warn, std::stop_token stop);
    ~MomentCluster();

    postgres::IsolatedCluster& cluster() { return *cluster_; }
    PointReference const& point() const { return recovery_->point(); }
    // The path of a new, empty file that only we can read; removed with the object.
    Result<std::string> private_file(std::string_view name) const;
    // From the call to the first answer.
    Duration time_to_ready() const { return ready_; }

  private:
    MomentCluster() = default;
    Duration ready_{};
    // The server ends before its files do, and the files before their place.
    postgres::PrivateDirectory place_;
    std::unique_ptr<InstantRecovery> recovery_;
    std::jthread serving_;
    std::unique_ptr<postgres::IsolatedCluster> cluster_;
};

}  // namespace holdfast
