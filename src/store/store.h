#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>

#include "base/bytes.h"
#include "base/time.h"
#include "crypto/secret.h"

namespace holdfast {

// Whether the text can name an object: 1 to 512 characters of [a-z A-Z 0-9 . _ - /], no empty
// segment, none that starts with a dot or has more than 255 characters.
bool is_object_key(std::string_view text);

// Names an object. A wrong key is a mistake of ours: asserted; check what others wrote with
// is_object_key() before. No key is a folder of another one ("a" and "a/b"): a directory cannot
// hold both.
class ObjectKey {
  public:
    explicit ObjectKey(std::string text);
    std::string const& text() const { return text_; }
    auto operator<=>(ObjectKey const&) const = default;

  private:
    std::string text_;
};

struct ObjectInfo {
    ObjectKey key;
    std::uint64_t size;
    Time modified;  // by the store's clock: a hint, never a proof
};

// Objects that are written once and never changed, except to mend them. Every method is thread-safe and may be repeated.
//
// Errors of every method: unreachable (the store does not answer, retry), no_space, io, cancelled.
class Store {
  public:
    virtual ~Store() = default;

    // Stores the concatenation of `parts` under `key`. On success it survives power loss. On
    // failure `key` holds what it held before, or the whole new object (where a store cannot tell),
    // never a part. A key that already holds these very bytes is a success; other bytes fail with
    // `exists` and stay.
    virtual Result<void> put(ObjectKey const& key, std::span<ByteView const> parts,
                             std::stop_token stop) = 0;
    Result<void> put(ObjectKey const& key, ByteView bytes, std::stop_token stop) {
        return put(key, std::span<ByteView const>(&bytes, 1), stop);
    }

    // Puts the object in the place of the one that `key` names, if any: for mending what is damaged, and for
    // nothing else. On success it survives power loss. On failure, and after a crash at any instant, `key`
    // holds what it held before or the whole new object.
    virtual Result<void> replace(ObjectKey const& key, ByteView bytes, std::stop_token stop) = 0;

    // The whole object. not_found when there is none.
    virtual Result<Bytes> get(ObjectKey const& key, std::stop_token stop) = 0;
    // Exactly `length` bytes from `offset`; damaged when the object ends before.
    virtual Result<Bytes> get_range(ObjectKey const& key, std::uint64_t offset,
                                    std::uint64_t length, std::stop_token stop) = 0;
    // The same into the caller's own memory, which saves making (and clearing) it anew.
    virtual Result<void> read(ObjectKey const& key, std::uint64_t offset, ByteSpan to,
                              std::stop_token stop) {
        auto bytes = TRY(get_range(key, offset, to.size(), std::move(stop)));
        std::ranges::copy(bytes, to.begin());
        return {};
    }
    // Size and time. not_found when there is none.
    virtual Result<ObjectInfo> head(ObjectKey const& key, std::stop_token stop) = 0;
    // Calls `visit` for each object whose key starts with `prefix`, in the order of keys
    // (bytewise). Objects that are put or removed meanwhile may or may not show. An error of
    // `visit` ends it and is returned. `prefix` is the beginning of a possible key, or empty:
    // asserted.
    virtual Result<void> list(std::string_view prefix,
                              std::function<Result<void>(ObjectInfo const&)> const& visit,
                              std::stop_token stop) = 0;
    // Removes the object; one that is not there is a success.
    virtual Result<void> remove(ObjectKey const& key, std::stop_token stop) = 0;
    // The same for what does no harm: after a power failure it may be there again.
    virtual Result<void> discard(ObjectKey const& key, std::stop_token stop) { return remove(key, std::move(stop)); }

    // Object Lock: until its lock ends nobody, not even the owner of the store, deletes or replaces an
    // object. Moves the end of the object's lock to `until` (whole seconds, rounded up), never to an earlier
    // time. `usage` where the store cannot, not_found without the object.
    virtual Result<void> lock_until(ObjectKey const&, Time, std::stop_token) {
        return fail(ErrorKind::usage, describe() + " cannot lock objects");
    }
    // When its lock ends; nothing when it has none. not_found without the object, where the store can lock.
    virtual Result<std::optional<Time>> locked_until(ObjectKey const&, std::stop_token) {
        return std::optional<Time>{};
    }

    // Whether its room ends, as a disk's does.
    virtual bool room_ends() const { return false; }
    // How long what was put or removed may still be missing from, or show in, a listing.
    virtual Duration listing_lag() const { return {}; }

    // For messages: "/backups/main", "s3://bucket/prefix". Never a secret.
    virtual std::string describe() const = 0;
};

// Opens the store that `url` names: a path, file:///path (where %20 is a space), or an object store
// (s3_address.h). `usage` for a kind that does not exist. With `create`, makes what is missing (a
// directory, mode 0700; a bucket); without, a missing place is not_found.
struct OpenStoreOptions {
    bool create = false;
    // The text of credentials for an object store, instead of those that lie around on the machine
    // (aws_credentials.h). Asked again when they run out.
    std::function<Result<Secret>(std::stop_token)> credentials = {};
    // Locks what is put under a key that is `for_good`, for so long from then on; makes a bucket that can, when
    // it makes one. `usage` from open_store() when the store can't.
    std::optional<Duration> lock = {};
    // Which objects are written once for good: in a bucket with Object Lock the first version of such a key is
    // the object, whatever was put or deleted over it. Not set: all of them. What it says of a key never changes.
    std::function<bool(ObjectKey const&)> for_good = {};
    std::stop_token stop = {};
};
Result<std::unique_ptr<Store>> open_store(std::string_view url, OpenStoreOptions options);

}  // namespace holdfast
