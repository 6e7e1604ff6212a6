#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "archive/tree.h"

namespace holdfast {

// Looks names up in serialised directories. Small ones that were looked into last are kept decoded, so that
// a program that opens thousands of names one by one does not decode their directory as often. Thread-safe.
class Directories {
  public:
    explicit Directories(Fetch& fetch) : fetch_(fetch) {}
    // The entry of that name, nothing when there is none.
    Result<std::optional<Entry>> find(Content const& directory, std::string_view name, std::stop_token stop);

  private:
    // Shared: whoever searches one keeps it although it is pushed out.
    using Decoded = std::shared_ptr<std::vector<Entry> const>;
    struct Kept {
        Content key;
        Decoded entries;
    };
    Decoded kept(Content const& directory);
    void keep(Content const& directory, Decoded entries);

    Fetch& fetch_;
    std::mutex mutex_;
    std::list<Kept> kept_;  // most recently used first
    std::uint64_t bytes_ = 0;
};

}  // namespace holdfast
