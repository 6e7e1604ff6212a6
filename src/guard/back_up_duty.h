#pragma once

#include <memory>
#include <mutex>

#include "datasets/workspace.h"
#include "guard/duty.h"
#include "guard/streamed_log.h"
#include "guard/wanted_points.h"

namespace holdfast::guard {

// Makes a point of a dataset in one repository, and stores what `rescue` needs beside it. Captures take turns: two at
// once on one machine only slow each other down. `log` and `wanted` (may be null) outlive it: a point that the log's receiver
// wants, or that is wanted, is made at once.
struct BackUpTurn {
    std::timed_mutex mutex;
};
std::unique_ptr<Duty> make_back_up_duty(Workspace& workspace, plan::Dataset dataset, std::string repository, Duration every,
                                        BackUpTurn& turn, StreamedLog* log = nullptr, WantedPoints* wanted = nullptr);

}  // namespace holdfast::guard
