#pragma once

#include <functional>
#include <map>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "os/fd.h"

namespace holdfast {

// Hears that something in trees of this machine changed: names that appear, vanish or are moved, files that are closed after they
// were written to, new times and modes. Not what: whoever hears it looks. It hears nothing of what other machines do to a network
// file system, of what is written through a mapping, or to a file that is never closed. inotify(7). For one thread.
class TreeWatch {
  public:
    // Of directories below which nothing is heard.
    using Skip = std::function<bool(std::string const& directory)>;

    // Every change after this returned is heard. Links below the directories are not followed, what can't be read is passed
    // over. `not_found` and `usage` name what is no directory, `io` when the kernel gives no more watches (one is needed for
    // each directory).
    static Result<TreeWatch> open(std::vector<std::string> directories, Skip skip);

    // Waits until something changed since the last call, or since open(), for `at_most` or until `stop`; false: nothing did. What is in
    // new subdirectories counts as changed, however early it came; where the kernel lost events, everything does. `not_found` when
    // one of the directories themselves was removed, moved or unmounted: open another one.
    Result<bool> wait(Duration at_most, std::stop_token stop);

  private:
    TreeWatch(Fd inotify, std::vector<std::string> roots, Skip skip)
        : inotify_(std::move(inotify)), roots_(std::move(roots)), skip_(std::move(skip)) {}
    Result<void> watch_roots();
    Result<void> watch_below(std::string const& directory);
    // Takes what the kernel has for us, without waiting.
    Result<bool> drain();

    Fd inotify_;
    std::vector<std::string> roots_;
    Skip skip_;
    std::map<int, std::string> watched_;  // directories by their watches
    std::set<int> root_watches_;
};

}  // namespace holdfast
