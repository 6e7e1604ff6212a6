#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>

namespace holdfast {

// What programs have open in a mount. The kernel tells of a close some time after it, and of none once the mount is gone:
// what is open then ends with this. Thread-safe.
class OpenHandles {
  public:
    struct Handle {
        virtual ~Handle() = default;
    };

    // The number by which the kernel names it from now on (`fuse_file_info::fh`).
    std::uint64_t keep(std::unique_ptr<Handle> handle) {
        auto number = reinterpret_cast<std::uint64_t>(handle.get());
        std::lock_guard lock(mutex_);
        handles_.emplace(number, std::move(handle));
        return number;
    }
    // The one that is named so; it is open, and of this kind.
    template <typename Kind>
    static Kind& named(std::uint64_t number) {
        return static_cast<Kind&>(*reinterpret_cast<Handle*>(number));
    }
    void close(std::uint64_t number) {
        std::unique_lock lock(mutex_);
        auto closed = handles_.extract(number);
        lock.unlock();  // what it ends may take its time
    }

  private:
    std::mutex mutex_;
    std::unordered_map<std::uint64_t, std::unique_ptr<Handle>> handles_;
};

}  // namespace holdfast
