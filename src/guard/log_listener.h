#pragma once

#include <functional>
#include <set>
#include <string>

#include "guard/duty.h"
#include "guard/streamed_log.h"
#include "sources/postgres/wal_receive.h"

namespace holdfast::guard {

// What the events of a receiver mean for the guard: lines of its log, alarms that begin and end, base backups. One for
// each run of a receiver; on the receiver's thread.
class LogListener {
  public:
    // Whether the base backups that there are don't reach the end of the log, as the repository knows when a run begins.
    using CutOff = std::function<Result<bool>()>;

    LogListener(StreamedLog& log, Duty::Tell const& tell, CutOff cut_off)
        : log_(log), tell_(tell), cut_off_(std::move(cut_off)) {}
    void hear(postgres::WalEvent const& event);

  private:
    void begins(std::string const& about, std::string const& text);
    void ends(std::string const& about, std::string const& text);
    void news(std::string const& text);
    void needs_base(std::string const& text);
    void look_for_gaps();

    StreamedLog& log_;
    Duty::Tell const& tell_;
    CutOff cut_off_;
    std::set<std::string> raised_;  // what this run knows to be wrong
    bool looked_ = false;
};

}  // namespace holdfast::guard
