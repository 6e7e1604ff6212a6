#pragma once

#include <functional>
#include <optional>
#include <string>

#include "datasets/workspace.h"
#include "steps/cluster_pool.h"
#include "steps/isolation.h"
#include "steps/notify_step.h"

namespace holdfast::steps {

// What the steps of one run work with. Copied into every step; what it refers to outlives the run.
struct StepWorld {
    Workspace& workspace;
    ClusterPool& clusters;
    // When the service was lost: freshness counts from then; nothing: from now.
    std::optional<Time> outage = {};
    // An isolated run touches nothing outside its place.
    std::optional<Isolation> isolation = {};
    // Hears what spoils nothing, e.g. a catalog that cannot be written.
    std::function<void(std::string const&)> warn = {};
    // How mail is sent; without it, by the plan's mail server.
    SendMail send_mail = {};
};

}  // namespace holdfast::steps
