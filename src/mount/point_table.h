#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "mount/link_counts.h"
#include "repo/repository.h"

namespace holdfast {

// A point that is looked into.
struct MountedPoint {
    PointInfo info;
    std::string name;  // in the directory of its dataset
    Entry root;        // the metadata of the tree's root; its content is the tree
    LinkCounts links;
};

// What the top of the mount shows at one moment. Points are shared: who is in one stays there although it
// was forgotten meanwhile.
struct PointSnapshot {
    struct Dataset {
        std::map<std::string, std::shared_ptr<MountedPoint>> points;
        std::string latest;  // the name of the newest
    };
    std::map<std::string, Dataset> datasets;  // by directory_name()
};

// The points of a repository, looked up again every few seconds while somebody asks. Thread-safe.
class PointTable {
  public:
    using List = std::function<Result<PointList>(std::stop_token)>;
    // Hears about points that are damaged and lists that can't be had: each message once.
    using Warn = std::function<void(std::string const&)>;
    PointTable(List list, Fetch& fetch, Clock& clock, Warn warn);

    // Fails only when there was no list yet; later the last one stands, and `warn` hears why.
    Result<std::shared_ptr<PointSnapshot const>> now(std::stop_token stop);

  private:
    Result<void> refresh(std::stop_token stop);

    List const list_;
    Fetch& fetch_;
    Clock& clock_;
    Warn const warn_;
    std::mutex mutex_;
    std::shared_ptr<PointSnapshot const> snapshot_;
    std::map<PointId, std::shared_ptr<MountedPoint>> points_;
    Duration refreshed_{};
};

// A point for the table: reads its root's metadata.
Result<std::shared_ptr<MountedPoint>> open_mounted_point(PointInfo info, std::string name, Fetch& fetch,
                                                         std::stop_token stop);

}  // namespace holdfast
