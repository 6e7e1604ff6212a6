#pragma once

#include <filesystem>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "datasets/workspace.h"
#include "drill/evidence.h"
#include "plan/plan.h"
#include "runbook/run_state.h"
#include "steps/cluster_pool.h"

namespace holdfast::drill {

// The checks of a drill on what its runbooks brought back: the plan's, and those that every drill makes: each
// restored database starts, answers, and has sound tables and indexes.
class RestoredChecks {
  public:
    RestoredChecks(Workspace& workspace, Plan const& plan, steps::ClusterPool& clusters, Evidence& evidence,
                   std::stop_token stop)
        : workspace_(workspace), plan_(plan), clusters_(clusters), evidence_(evidence), stop_(stop) {}

    // Adds their verdicts to the evidence. What could not be checked is told as not run.
    void run(std::vector<runbook::RunState> const& runs, std::vector<plan::Check> const& checks);

    // Where the servers that ran had their sockets.
    std::set<std::filesystem::path> const& socket_directories() const { return sockets_; }

  private:
    struct Restored {
        std::string dataset;
        std::filesystem::path target;
    };
    void check_database(Restored const& restored, std::vector<plan::Check> const& checks);
    void check_structure(std::string const& dataset, steps::RunningCluster& cluster);
    void check_query(std::string const& dataset, plan::Check const& check, steps::RunningCluster& cluster);
    void check_dataset(plan::Check const& check);
    std::string dataset_of(plan::Check const& check) const;

    Workspace& workspace_;
    Plan const& plan_;
    steps::ClusterPool& clusters_;
    Evidence& evidence_;
    std::stop_token stop_;
    std::set<std::filesystem::path> sockets_;
};

}  // namespace holdfast::drill
