#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <random>

#include "os/clock.h"
#include "os/file_system.h"

namespace holdfast {

// What is left of writes and names that were not synced, after the power went.
enum class Unsynced {
    lost,     // none of it
    kept,     // all of it, as if the kernel had written it just in time
    partial,  // any of it: pages that arrived, did not, or hold zeros; names that did or did not
};

struct PowerLoss {
    Unsynced data = Unsynced::lost;
    Unsynced names = Unsynced::lost;
};

// A file system in memory that does no more than POSIX promises. It starts with the empty directory
// "/". The same seed and the same calls give the same result.
class SimulatedFileSystem : public FileSystem {
  public:
    explicit SimulatedFileSystem(std::uint64_t seed, Clock& clock = system_clock());

    // Operations so far: each call of this class and of its files is one.
    std::uint64_t operations() const;
    // Operation number `number` (the first is 0) fails with this kind: `io` or `no_space`; it has
    // no effect, but a failed sync drops what it should have made durable, as the kernel does.
    // Several may be set.
    void fail_operation(std::uint64_t number, ErrorKind kind);
    // From operation number `number` on, every operation fails: the machine is off.
    void crash_at(std::uint64_t number);
    // Called before each operation, with its number and what it is ("sync '/a'"). It may call the
    // file system, whose operations then count, and are seen, too.
    void set_hook(std::function<void(std::uint64_t, std::string const&)> hook);
    // Reads and writes do only a part of what they are asked.
    void set_short_io(bool on);
    // Files together hold at most this; a write beyond it is cut, then fails with no_space.
    void set_capacity(std::optional<std::uint64_t> bytes);

    // The power went and is back: applies the losses, forgets crash_at and fail_operation. Open
    // files fail from now on.
    void lose_power(PowerLoss loss);

    // Damages a byte of a file, durably.
    void flip(std::string const& path, std::uint64_t offset, std::uint8_t mask);

    Result<std::unique_ptr<NewFile>> create(std::string const& path, unsigned mode) override;
    Result<std::unique_ptr<OldFile>> open(std::string const& path) override;
    Result<void> publish(std::string const& from, std::string const& to) override;
    Result<void> replace(std::string const& from, std::string const& to) override;
    Result<void> remove(std::string const& path) override;
    Result<void> make_directory(std::string const& path, unsigned mode) override;
    Result<void> sync_directory(std::string const& path) override;
    Result<std::vector<DirectoryEntry>> list(std::string const& path) override;
    Result<FileInfo> info(std::string const& path) override;

  private:
    struct Node;
    using NodePointer = std::shared_ptr<Node>;  // names, durable names and open files all hold it
    class New;
    class Old;

    Result<void> begin(std::string const& what);
    Result<void> check_alive(std::uint64_t boot, std::string const& what);
    NodePointer find(std::string const& path) const;
    Result<NodePointer> find_directory_of(std::string const& path, std::string const& what) const;
    std::uint64_t used() const;
    std::size_t shorten(std::size_t size);
    Result<void> sync(Node& node, std::string const& what);
    void settle_data(Node& node, Unsynced unsynced);
    void settle_names(Node& node, Unsynced unsynced);

    mutable std::recursive_mutex mutex_;  // the hook calls in
    Clock& clock_;
    std::mt19937_64 random_;
    NodePointer root_;
    std::uint64_t operations_ = 0;
    std::uint64_t boot_ = 0;
    std::map<std::uint64_t, ErrorKind> failures_;
    std::optional<std::uint64_t> crash_at_;
    std::function<void(std::uint64_t, std::string const&)> hook_;
    bool short_io_ = false;
    std::optional<std::uint64_t> capacity_;
};

}  // namespace holdfast
