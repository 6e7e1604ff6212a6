#pragma once

#include <atomic>
#include <map>
#include <mutex>

#include "store/s3_client.h"
#include "store/store.h"

namespace holdfast {

struct S3StoreOptions {
    S3ClientOptions client;
    // Make the bucket when it is missing; with `lock`, one that has Object Lock.
    bool create = false;
    // As in OpenStoreOptions. `usage` from open() when the bucket has no Object Lock.
    std::optional<Duration> lock = {};
    std::function<bool(ObjectKey const&)> for_good = {};
    // How long open() tries to reach the server: somebody may be waiting who mistyped a name.
    Duration open_within = std::chrono::seconds(20);
    // Objects of more bytes go up in parts, several at a time. Parts have at least 5 MiB.
    std::uint64_t multipart_above = 64 << 20;
    std::uint64_t part_bytes = 16 << 20;
    unsigned parts_at_once = 4;
    // Parts of an upload that was never finished cost money for ever; after this long nobody is
    // still at it, and the first put of a later run aborts it.
    Duration upload_abandoned_after = std::chrono::hours(24);
    // Keys that are asked for in one page of a list; 1 to 1,000.
    unsigned page_keys = 1000;
};

// Objects in a bucket of an S3 server, below a prefix.
//
// A put sends `If-None-Match: *`, which makes it a compare-and-swap where the server keeps to it.
// The first small put finds out whether it does, by putting the same bytes twice. Where it does
// not, each put looks first: then two writers that put different bytes under one key within the
// same moment are not told apart (the later one stays). Multipart uploads look first in any case,
// because some servers know no condition there.
//
// In a bucket with Object Lock, whoever may put can put another version over an object or hide it behind a
// delete marker, and can't destroy a version whose lock runs. So of a key that is written for good the
// first version is the object (s3_lock.cc): reads name that version, lists show it, whatever lies over it.
// remove() takes all versions whose lock has ended; the others stay, and stay visible, until it ends.
//
// What goes up is covered by its SHA-256 in the signature, which the server checks; the same hash
// is kept in the object's metadata (`x-amz-meta-holdfast-sha256`), and get() holds what it reads
// against it.
class S3Store : public Store {
  public:
    // Looks whether the bucket answers. not_found when there is none, usage when there are no
    // credentials, unreachable when the server does not answer or refuses.
    static Result<std::unique_ptr<S3Store>> open(S3StoreOptions options, std::stop_token stop);

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
    Result<void> lock_until(ObjectKey const& key, Time until, std::stop_token stop) override;
    Result<std::optional<Time>> locked_until(ObjectKey const& key, std::stop_token stop) override;
    std::string describe() const override { return client_.address().describe(); }

    // Whether the bucket has Object Lock.
    bool can_lock() const { return locks_; }
    // Connections opened so far: shows that they are reused.
    std::uint64_t connections_opened() const { return client_.connections_opened(); }

  private:
    enum class Found { nothing, same, other };
    enum class Conditional { unknown, kept, ignored };  // what the server makes of If-None-Match
    struct Page;
    using Query = std::vector<std::pair<std::string, std::string>>;
    // What lies under a key in a bucket with versions; without an id: a delete marker.
    struct Version {
        std::string key;  // below the prefix
        std::string id;
        std::uint64_t size = 0;
        Time modified;
        bool marker = false;
        bool latest = false;
    };

    explicit S3Store(S3StoreOptions options);
    Result<void> find_bucket(std::stop_token const& stop);
    Result<void> put_object(ObjectKey const& key, std::span<ByteView const> parts,
                            std::stop_token const& stop);
    // nullopt: the key is taken.
    Result<bool> put_whole(ObjectKey const& key, std::span<ByteView const> parts,
                           std::uint64_t size, std::string const& sha256,
                           std::stop_token const& stop);
    Result<bool> put_in_parts(ObjectKey const& key, std::span<ByteView const> parts,
                              std::uint64_t size, std::string const& sha256,
                              std::stop_token const& stop);
    Result<std::string> upload_parts(ObjectKey const& key, std::span<ByteView const> parts,
                                     std::uint64_t size, std::string const& upload,
                                     std::stop_token const& stop);
    void abort_upload(std::string const& key, std::string const& upload);
    void sweep_uploads(std::stop_token const& stop);
    Result<Found> compare(ObjectKey const& key, std::span<ByteView const> parts, std::uint64_t size,
                          std::stop_token const& stop);
    Result<Bytes> read_range(ObjectKey const& key, std::uint64_t offset, std::uint64_t length,
                             std::stop_token const& stop);
    Result<ObjectInfo> head_object(ObjectKey const& key, std::stop_token const& stop);
    Result<Page> list_page(std::string_view prefix, std::string const& token,
                           std::string const& after, std::stop_token const& stop);

    // Of s3_lock.cc.
    Result<void> find_lock(std::stop_token const& stop);
    bool first_counts(ObjectKey const& key) const;
    // Has the object that the request puts locked, where the options say so.
    void add_lock(S3Request& request, ObjectKey const& key) const;
    Result<void> each_version(std::string const& prefix,
                              std::function<Result<bool>(Version const&)> const& visit,
                              std::stop_token const& stop);
    Result<std::vector<Version>> versions_of(ObjectKey const& key, std::stop_token const& stop);
    // Which version reads of the key name: nothing where the newest counts. not_found without one.
    Result<Query> version_query(ObjectKey const& key, std::stop_token const& stop);
    void remember_version(std::string const& key, std::string id);
    // not_found, and the version that was remembered is no more.
    std::unexpected<Error> missing_version(ObjectKey const& key);
    Result<void> list_first_versions(std::string_view prefix,
                                     std::function<Result<void>(ObjectInfo const&)> const& visit,
                                     std::stop_token const& stop);
    // Those that are locked stay.
    Result<void> delete_versions(ObjectKey const& key, std::vector<Version> const& versions,
                                 std::stop_token const& stop);
    // `unsafe` when a lock keeps one of the versions: another object would be hidden behind it.
    Result<void> check_unlocked(ObjectKey const& key, std::vector<Version> const& versions,
                                std::stop_token const& stop);
    Result<std::optional<Time>> lock_of_version(ObjectKey const& key, std::string const& id,
                                                std::stop_token const& stop);

    S3StoreOptions options_;
    S3Client client_;
    bool locks_ = false;  // the bucket has Object Lock
    std::mutex versions_mutex_;
    std::map<std::string, std::string> versions_;  // of keys that were looked up
    std::atomic<Conditional> conditional_ = Conditional::unknown;
    std::atomic<bool> swept_ = false;
};

}  // namespace holdfast
