#pragma once

#include <map>
#include <mutex>

#include "os/clock.h"
#include "store/store.h"

namespace holdfast {

// Objects in memory, for tests and simulation.
class MemoryStore : public Store {
  public:
    explicit MemoryStore(Clock& clock = system_clock()) : clock_(clock) {}

    using Store::put;
    Result<void> put(ObjectKey const& key, std::span<ByteView const> parts,
                     std::stop_token stop) override;
    Result<void> replace(ObjectKey const& key, ByteView bytes, std::stop_token stop) override;
    Result<Bytes> get(ObjectKey const& key, std::stop_token stop) override;
    Result<Bytes> get_range(ObjectKey const& key, std::uint64_t offset, std::uint64_t length,
                            std::stop_token stop) override;
    Result<ObjectInfo> head(ObjectKey const& key, std::stop_token stop) override;
    Result<void> list(std::string_view prefix,
                      std::function<Result<void>(ObjectInfo const&)> const& visit,
                      std::stop_token stop) override;
    Result<void> remove(ObjectKey const& key, std::stop_token stop) override;
    std::string describe() const override { return "memory"; }

  private:
    struct Object {
        Bytes bytes;
        Time modified;
    };

    Clock& clock_;
    std::mutex mutex_;
    std::map<std::string, Object, std::less<>> objects_;
};

}  // namespace holdfast
