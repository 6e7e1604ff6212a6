#include "sources/models/checkpoint_watch.h"

namespace holdfast {

CheckpointWatch::Look CheckpointWatch::look(Time now) {
    auto sets = CheckpointSets::survey(options_.paths, filter_, options_.checkpoints);
    auto changed = last_ ? sets.changed_since(*last_) : sets.changed_after(captured_);
    owed_.insert(changed.begin(), changed.end());
    std::set<std::string> faulty;
    for (auto const& fault : sets.faults(now)) faulty.insert(fault.path);
    Look look;
    for (auto at = owed_.begin(); at != owed_.end();) {
        if (faulty.contains(*at)) {
            ++at;
            continue;
        }
        // One that is gone is no reason for a point.
        if (sets.holds(*at)) look.come.push_back(*at);
        at = owed_.erase(at);
    }
    if (auto const wait = sets.until_settled(now); wait > Duration(0)) look.again_in = wait;
    last_ = std::move(sets);
    return look;
}

}  // namespace holdfast
