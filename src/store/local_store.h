#pragma once

#include <mutex>
#include <optional>
#include <set>

#include "os/clock.h"
#include "os/file_system.h"
#include "os/machine.h"
#include "store/store.h"

namespace holdfast {

struct LocalStoreOptions {
    FileSystem& files = system_files();
    Clock& clock = system_clock();
    // Names our temporary files. No two living processes have the same.
    std::string owner = process_name();
    // Whether a temporary file of that owner may still be written.
    std::function<bool(std::string_view)> owner_may_live = process_may_live;
    // Make the directory (mode 0700) and what is missing above it.
    bool create = false;
};

// Objects as files below a directory: the key is the path. Files have mode 0400, directories 0700.
// What is being written lies in ".tmp" (no key starts with a dot) under a name that tells its
// owner; what dead owners left behind is removed by open().
//
// A put keeps this order, each step durable before the next: directories, content, name. So a name
// that can be seen always has its whole content, and an acknowledged one survives power loss.
class LocalStore : public Store {
  public:
    // `root` is absolute. not_found when it does not exist, usage when it is not a directory.
    static Result<std::unique_ptr<LocalStore>> open(std::string root, LocalStoreOptions options);

    using Store::put;
    Result<void> put(ObjectKey const& key, std::span<ByteView const> parts,
                     std::stop_token stop) override;
    Result<void> replace(ObjectKey const& key, ByteView bytes, std::stop_token stop) override;
    Result<Bytes> get(ObjectKey const& key, std::stop_token stop) override;
    Result<Bytes> get_range(ObjectKey const& key, std::uint64_t offset, std::uint64_t length,
                            std::stop_token stop) override;
    Result<void> read(ObjectKey const& key, std::uint64_t offset, ByteSpan to,
                      std::stop_token stop) override;
    Result<ObjectInfo> head(ObjectKey const& key, std::stop_token stop) override;
    Result<void> list(std::string_view prefix,
                      std::function<Result<void>(ObjectInfo const&)> const& visit,
                      std::stop_token stop) override;
    // Durable, too.
    Result<void> remove(ObjectKey const& key, std::stop_token stop) override;
    Result<void> discard(ObjectKey const& key, std::stop_token stop) override;
    bool room_ends() const override { return true; }
    std::string describe() const override { return root_; }

  private:
    enum class Found { nothing, same, other };

    LocalStore(std::string root, LocalStoreOptions options);
    Result<void> make_root();
    void sweep();
    std::string path_of(ObjectKey const& key) const { return root_ + "/" + key.text(); }
    Result<void> put_object(ObjectKey const& key, std::span<ByteView const> parts,
                            std::stop_token const& stop);
    Result<Found> compare(std::string const& path, std::span<ByteView const> parts,
                          std::stop_token const& stop);
    Result<void> make_durable(std::string const& path);
    Result<void> ensure_directory(std::string const& path);
    Result<std::string> write_temporary(std::span<ByteView const> parts,
                                        std::stop_token const& stop);
    Result<std::unique_ptr<NewFile>> create_temporary(std::string& path);
    // What is read of an object: all from `offset` on without a length.
    struct Range {
        std::uint64_t offset = 0;
        std::optional<std::uint64_t> length = {};
    };
    Result<Bytes> read_new(ObjectKey const& key, Range range, std::stop_token const& stop);
    Result<std::unique_ptr<OldFile>> open_object(ObjectKey const& key, Range& range,
                                                 std::stop_token const& stop);
    Result<void> fill(OldFile& file, ObjectKey const& key, std::uint64_t offset, ByteSpan to,
                      std::stop_token const& stop);
    Result<void> walk(std::string const& folder, std::string_view prefix,
                      std::function<Result<void>(ObjectInfo const&)> const& visit,
                      std::stop_token const& stop);

    std::string root_;
    FileSystem& files_;
    Clock& clock_;
    std::string owner_;
    std::function<bool(std::string_view)> owner_may_live_;
    std::mutex mutex_;
    std::set<std::string> durable_directories_;  // those whose names we synced, up to the root
};

}  // namespace holdfast
