#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <set>

#include "net/http.h"
#include "os/child_process.h"
#include "os/clock.h"
#include "os/random.h"
#include "store/store.h"

namespace holdfast {

// Where rclone is to put a repository, from its URL: rclone:REMOTE:PATH, as rclone itself writes it.
struct RcloneAddress {
    std::string file_system;  // "backup:holdfast/main", ":sftp,host=h:/srv", "/srv" for a local path
    std::string describe() const { return "rclone:" + file_system; }
};
// usage for what names no remote, and for a connection string that holds a secret: those belong into
// rclone's own configuration.
Result<RcloneAddress> parse_rclone_url(std::string_view url);

struct RcloneStoreOptions {
    RcloneAddress address = {};
    bool create = false;
    std::string program = "rclone";
    // A request is repeated for so long, when rclone or what is behind it does not answer.
    Duration give_up_after = std::chrono::minutes(2);
    Duration wait_first = std::chrono::milliseconds(100);
    Duration wait_longest = std::chrono::seconds(10);
    // While no byte moves. rclone itself has tried several times by then.
    Duration stall_timeout = std::chrono::minutes(5);
    Clock& clock = system_clock();
    Random& random = system_random();
};

// Objects at whatever rclone (1.60 or later) speaks to: sftp, a share, many clouds. One rclone runs
// as long as the store, as an HTTP server on this machine alone, behind a password that is drawn for it
// (`rclone rcd`); a rclone that ended is started again.
//
// An upload goes to a name of its own (below kUploads) and is then moved, because not every remote puts an
// object whole. What it can't promise, since rclone has no conditional put and syncs nothing:
// - two *programs* that put other bytes under one key within the same moment are not told apart: each put looks
//   first, so an object is never replaced knowingly, and within one program keys take turns;
// - that what was put survives power loss at the other end: that is the remote's to keep.
class RcloneStore : public Store {
  public:
    // Starts rclone and looks whether it reaches the place. not_found when there is no rclone or no such place,
    // unreachable when it does not answer.
    static Result<std::unique_ptr<RcloneStore>> open(RcloneStoreOptions options, std::stop_token stop);
    ~RcloneStore() override;

    using Store::put;
    Result<void> put(ObjectKey const& key, std::span<ByteView const> parts, std::stop_token stop) override;
    Result<void> replace(ObjectKey const& key, ByteView bytes, std::stop_token stop) override;
    Result<Bytes> get(ObjectKey const& key, std::stop_token stop) override;
    Result<Bytes> get_range(ObjectKey const& key, std::uint64_t offset, std::uint64_t length,
                            std::stop_token stop) override;
    Result<ObjectInfo> head(ObjectKey const& key, std::stop_token stop) override;
    Result<void> list(std::string_view prefix, std::function<Result<void>(ObjectInfo const&)> const& visit,
                      std::stop_token stop) override;
    Result<void> remove(ObjectKey const& key, std::stop_token stop) override;
    std::string describe() const override { return options_.address.describe(); }

    // Of the rclone that runs: for tests, which kill it.
    pid_t pid() const;

    // A folder of the place; nothing in it is an object (no key has a segment that begins with a dot).
    static constexpr char kUploads[] = ".holdfast-uploads";

  private:
    struct Server;
    struct Entry;
    class Turn;
    explicit RcloneStore(RcloneStoreOptions options);

    Result<std::shared_ptr<Server>> server(std::stop_token const& stop);
    Result<std::shared_ptr<Server>> start(std::stop_token const& stop);
    // An answer that rclone gave, repeated while there is none. `why` of a status that is no success is in the
    // error; not_found for 404.
    Result<HttpAnswer> ask(HttpRequest request, std::string_view path, std::stop_token const& stop);
    Result<HttpAnswer> call(std::string_view command, std::string const& json, std::stop_token const& stop);
    Result<std::optional<Entry>> stat(std::string const& path, std::stop_token const& stop);
    Result<void> upload(std::string const& name, std::span<ByteView const> parts, std::stop_token const& stop);
    // Uploads, then moves to the key, over what is there.
    Result<void> place(ObjectKey const& key, std::span<ByteView const> parts, std::stop_token const& stop);
    Result<void> walk(std::string const& directory, std::string_view prefix,
                      std::function<Result<void>(ObjectInfo const&)> const& visit, std::stop_token const& stop);
    Result<bool> holds(ObjectKey const& key, std::span<ByteView const> parts, std::stop_token const& stop);

    RcloneStoreOptions options_;
    mutable std::mutex mutex_;  // of what follows
    std::shared_ptr<Server> server_;
    std::set<std::string> taken_;  // keys whose turn it is not yet
    std::condition_variable_any free_;
};

}  // namespace holdfast
