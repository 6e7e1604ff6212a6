#pragma once

// For tests alone: a repository without its promises (points, logs, leases), over a store in memory
// that can be told to fail.

#include <map>
#include <mutex>
#include <random>

#include "repo/repository.h"
#include "repo/repository_parts.h"

namespace holdfast {

class TestStore : public Store {
  public:
    // Asked before each operation ("put", "get", …); an error is returned instead of doing it.
    std::function<Result<void>(std::string_view operation, ObjectKey const& key)> before;
    // What listings do not show (yet).
    std::function<bool(std::string_view key)> hide_from_lists;
    std::map<std::string, Bytes> objects;
    std::mutex mutex;

    using Store::put;
    Result<void> put(ObjectKey const& key, std::span<ByteView const> parts, std::stop_token stop) override {
        TRY(ask("put", key, stop));
        Bytes bytes;
        for (auto part : parts) bytes.insert(bytes.end(), part.begin(), part.end());
        std::lock_guard lock(mutex);
        auto [found, added] = objects.emplace(key.text(), bytes);
        if (!added && found->second != bytes) return fail(ErrorKind::exists, key.text() + " holds other bytes");
        return {};
    }
    Result<void> replace(ObjectKey const& key, ByteView bytes, std::stop_token stop) override {
        TRY(ask("replace", key, stop));
        std::lock_guard lock(mutex);
        objects.insert_or_assign(key.text(), Bytes(bytes.begin(), bytes.end()));
        return {};
    }
    Result<Bytes> get(ObjectKey const& key, std::stop_token stop) override {
        TRY(ask("get", key, stop));
        std::lock_guard lock(mutex);
        auto found = objects.find(key.text());
        if (found == objects.end()) return fail(ErrorKind::not_found, key.text() + " is not there");
        return found->second;
    }
    Result<Bytes> get_range(ObjectKey const& key, std::uint64_t offset, std::uint64_t length,
                            std::stop_token stop) override {
        TRY(ask("get_range", key, stop));
        std::lock_guard lock(mutex);
        auto found = objects.find(key.text());
        if (found == objects.end()) return fail(ErrorKind::not_found, key.text() + " is not there");
        auto const& bytes = found->second;
        if (offset > bytes.size() || length > bytes.size() - offset) {
            return fail(ErrorKind::damaged, key.text() + " ends early");
        }
        auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(offset);
        return Bytes(begin, begin + static_cast<std::ptrdiff_t>(length));
    }
    Result<ObjectInfo> head(ObjectKey const& key, std::stop_token stop) override {
        auto bytes = TRY(get(key, stop));
        return ObjectInfo{key, bytes.size(), Time{}};
    }
    Result<void> list(std::string_view prefix, std::function<Result<void>(ObjectInfo const&)> const& visit,
                      std::stop_token stop) override {
        TRY(ask("list", ObjectKey("list"), stop));
        std::vector<ObjectInfo> found;
        {
            std::lock_guard lock(mutex);
            for (auto const& [key, bytes] : objects) {
                if (hide_from_lists && hide_from_lists(key)) continue;
                if (key.starts_with(prefix)) found.push_back({ObjectKey(key), bytes.size(), Time{}});
            }
        }
        for (auto const& info : found) TRY(visit(info));
        return {};
    }
    Result<void> remove(ObjectKey const& key, std::stop_token stop) override {
        TRY(ask("remove", key, stop));
        std::lock_guard lock(mutex);
        objects.erase(key.text());
        return {};
    }
    std::string describe() const override { return "memory"; }

    std::vector<std::string> keys(std::string_view prefix) {
        std::lock_guard lock(mutex);
        std::vector<std::string> found;
        for (auto const& [key, bytes] : objects) {
            if (key.starts_with(prefix)) found.push_back(key);
        }
        return found;
    }

  private:
    Result<void> ask(std::string_view operation, ObjectKey const& key, std::stop_token const& stop) {
        if (stop.stop_requested()) return fail(ErrorKind::cancelled, "stopped");
        if (before) return before(operation, key);
        return {};
    }
};

class TestRepository : public Repository {
  public:
    // Certificates are shared by the writers of one repository.
    using Certificates = std::map<BundleId, KeyCertificate>;

    TestRepository(Store& store, Executor& executor, Random& random, KeyBundle keys,
                   std::shared_ptr<Certificates> certificates = std::make_shared<Certificates>(),
                   std::filesystem::path cache = {})
        : store_(store),
          world_{system_clock(), random, executor, {}, std::move(cache)},
          keys_(std::move(keys)),
          certificates_(std::move(certificates)) {
        (*certificates_)[keys_.id] = {.id = keys_.id,
                                      .repository = keys_.repository,
                                      .roles = keys_.roles,
                                      .sign_public = keys_.sign.public_key,
                                      .label = keys_.label};
    }

    RepositoryId id() const override { return keys_.repository; }
    KeyBundle const& keys() const override { return keys_; }
    Store& store() const override { return store_; }
    RepositoryWorld const& world() const override { return world_; }
    std::vector<std::string> notices() const override { return {}; }
    Bytes seal(DocumentKind kind, ByteView plain) override {
        return seal_document(kind, keys_, plain, world_.random);
    }
    Result<OpenDocument> open(DocumentKind kind, ByteView bytes, std::stop_token) override {
        return open_document(kind, keys_, bytes, [&](BundleId const& id) -> Result<KeyCertificate> {
            auto found = certificates_->find(id);
            if (found == certificates_->end()) return fail(ErrorKind::damaged, "signed by nobody known");
            return found->second;
        });
    }
    Result<KeyCertificate> certificate(BundleId const& id, std::stop_token) override {
        auto found = certificates_->find(id);
        if (found == certificates_->end()) return fail(ErrorKind::damaged, "signed by nobody known");
        return found->second;
    }
    Result<void> drop(std::span<PointKey const>, std::stop_token) override {
        return fail(ErrorKind::internal, "not in this test");
    }
    Result<std::uint64_t> sweep_dropped(std::stop_token) override { return 0; }
    Result<PointList> points(std::stop_token) override { return PointList{}; }
    Result<PointList> points_of(std::string_view, std::stop_token) override { return PointList{}; }
    Result<std::unique_ptr<Ingest>> begin_ingest(IngestLimits limits, std::stop_token stop) override {
        return make_ingest(*this, limits, stop);
    }
    Result<PointInfo> publish(Ingest&, RecoveryPoint, std::stop_token) override {
        return fail(ErrorKind::internal, "not in this test");
    }
    Result<std::unique_ptr<Fetch>> begin_fetch(FetchLimits limits, std::stop_token stop) override {
        return make_fetch(*this, limits, stop);
    }

  private:
    Store& store_;
    RepositoryWorld world_;
    KeyBundle keys_;
    std::shared_ptr<Certificates> certificates_;
};

// Tests that move much data divide it by this: the thread sanitizer looks for races, not for bytes, and
// each byte costs it many times as much.
#ifdef __SANITIZE_THREAD__
inline constexpr std::size_t kDataShare = 4;
#else
inline constexpr std::size_t kDataShare = 1;
#endif

// That no byte may flip unseen is proven by flipping each in an optimised build, and takes as long as the
// signatures of some ten thousand repositories. The sanitizers, who look at how, take every seventh.
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
inline constexpr std::size_t kFlipStride = 7;
#else
inline constexpr std::size_t kFlipStride = 1;
#endif

// Noise: does not compress, does not repeat.
inline Bytes noise(std::size_t size, std::uint64_t seed) {
    std::mt19937_64 engine(seed);
    Bytes bytes(size);
    for (std::size_t i = 0; i < size; i += 8) {
        auto value = engine();
        std::memcpy(bytes.data() + i, &value, std::min<std::size_t>(8, size - i));
    }
    return bytes;
}

// Bytes that compress well and do not repeat as chunks.
inline Bytes prose(std::size_t size, std::uint64_t seed) {
    Bytes bytes;
    bytes.reserve(size + 64);
    for (std::size_t i = 0; bytes.size() < size; ++i) {
        auto line = std::to_string(seed) + " membrane potential " + std::to_string(i * i) + "\n";
        bytes.insert(bytes.end(), line.begin(), line.end());
    }
    bytes.resize(size);
    return bytes;
}

}  // namespace holdfast
