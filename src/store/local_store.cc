#include "store/local_store.h"

#include <algorithm>
#include <atomic>
#include <cassert>
#include <fmt/format.h>

#include "base/text.h"
#include "os/file.h"
#include "store/errors.h"

namespace holdfast {
namespace {

using store_errors::check;

// Between two looks at the stop token.
constexpr std::size_t kStepBytes = 4 << 20;
// No object of ours comes near; a file that claims more is not one.
constexpr std::uint64_t kObjectBytesMax = std::uint64_t{4} << 30;
// After this long nobody waits for a temporary file any more whose owner we cannot ask. Its owner,
// if it lives after all, finds it missing and writes another one.
constexpr Duration kOrphanAge = std::chrono::hours(24);
constexpr int kNameAttempts = 5;

// Of this process, because stores in it may share a directory.
std::atomic<std::uint64_t> temporary_count = 0;

std::string getting(ObjectKey const& key) { return fmt::format("get object '{}'", key.text()); }

}  // namespace

LocalStore::LocalStore(std::string root, LocalStoreOptions options)
    : root_(std::move(root)),
      files_(options.files),
      clock_(options.clock),
      owner_(std::move(options.owner)),
      owner_may_live_(std::move(options.owner_may_live)) {}

Result<std::unique_ptr<LocalStore>> LocalStore::open(std::string root, LocalStoreOptions options) {
    assert(root.starts_with('/') && (root == "/" || !root.ends_with('/')));
    bool create = options.create;
    std::unique_ptr<LocalStore> store(new LocalStore(std::move(root), std::move(options)));
    auto info = store->files_.info(store->root_);
    if (!info && info.error().kind == ErrorKind::not_found && create) {
        TRY(store->make_root());
        info = store->files_.info(store->root_);
    }
    auto what = fmt::format("open store '{}'", printable(store->root_));
    if (!info && info.error().kind == ErrorKind::not_found) {
        return fail(ErrorKind::not_found, what + ": there is no such directory",
                    "check the path and whether its disk is mounted");
    }
    if (!info)
        return fail(std::move(info.error()).within(what));
    if (info->kind != FileKind::directory) {
        return fail(ErrorKind::usage, what + ": it is not a directory");
    }
    store->sweep();
    return store;
}

Result<void> LocalStore::make_root() {
    // From the top down; each new name is durable before the store is used.
    for (std::size_t slash = root_.find('/', 1);; slash = root_.find('/', slash + 1)) {
        auto path = root_.substr(0, slash);
        auto made = files_.make_directory(path, 0700);
        if (made) {
            TRY(files_.sync_directory(parent_directory(path)));
        } else if (made.error().kind != ErrorKind::exists) {
            return std::move(made).within("make the store");
        }
        if (slash == std::string::npos)
            return {};
    }
}

// Removes what dead processes were writing. Nothing depends on it, so its failures (a store that
// may only be read, say) do not matter.
void LocalStore::sweep() {
    auto folder = root_ + "/.tmp";
    auto entries = files_.list(folder);
    if (!entries)
        return;
    for (auto const& entry : *entries) {
        auto dot = entry.name.rfind('.');
        if (entry.kind != FileKind::file || dot == std::string::npos)
            continue;
        auto path = folder + "/" + entry.name;
        if (owner_may_live_(std::string_view(entry.name).substr(0, dot))) {
            auto info = files_.info(path);
            if (!info || clock_.now() - info->modified < kOrphanAge)
                continue;
        }
        (void)files_.remove(path);
    }
}

Result<void> LocalStore::put(ObjectKey const& key, std::span<ByteView const> parts,
                             std::stop_token stop) {
    auto done = put_object(key, parts, stop);
    if (done || done.error().kind == ErrorKind::exists)
        return done;
    auto error = std::move(done.error()).within(fmt::format("put object '{}'", key.text()));
    if (error.kind == ErrorKind::no_space) {
        error.hint = fmt::format("make room where '{}' lies", printable(root_));
    }
    return fail(std::move(error));
}

Result<void> LocalStore::put_object(ObjectKey const& key, std::span<ByteView const> parts,
                                    std::stop_token const& stop) {
    TRY(check(stop));
    auto path = path_of(key);
    for (int attempt = 1;; ++attempt) {
        auto found = TRY(compare(path, parts, stop));
        if (found == Found::same)
            return make_durable(path);
        if (found == Found::other)
            return store_errors::taken(key);

        TRY(ensure_directory(parent_directory(path)));
        auto temporary = TRY(write_temporary(parts, stop));
        auto published = files_.publish(temporary, path);
        // The name that matters is another one now; a failure leaves a file that sweep() removes.
        (void)files_.remove(temporary);
        if (published)
            return files_.sync_directory(parent_directory(path));

        auto kind = published.error().kind;
        bool again = kind == ErrorKind::exists || kind == ErrorKind::not_found;
        if (!again || attempt == kNameAttempts)
            return published;
        if (kind == ErrorKind::not_found) {
            // Somebody removed the directory, or our temporary file after a very long pause.
            std::lock_guard lock(mutex_);
            durable_directories_.clear();
        }
        TRY(check(stop));
    }
}

Result<void> LocalStore::replace(ObjectKey const& key, ByteView bytes, std::stop_token stop) {
    auto replace_object = [&]() -> Result<void> {
        TRY(check(stop));
        auto path = path_of(key);
        TRY(ensure_directory(parent_directory(path)));
        auto temporary = TRY(write_temporary({&bytes, 1}, stop));
        auto replaced = files_.replace(temporary, path);
        if (!replaced) {
            (void)files_.remove(temporary);
            return replaced;
        }
        return files_.sync_directory(parent_directory(path));
    };
    return replace_object().within(fmt::format("replace object '{}'", key.text()));
}

// Looks whether the object is there already, byte by byte.
Result<LocalStore::Found> LocalStore::compare(std::string const& path,
                                              std::span<ByteView const> parts,
                                              std::stop_token const& stop) {
    auto file = files_.open(path);
    if (!file && file.error().kind == ErrorKind::not_found)
        return Found::nothing;
    if (!file)
        return fail(std::move(file.error()));
    auto size = TRY((*file)->size());
    if (size != total_size(parts))
        return Found::other;
    Bytes buffer;
    std::uint64_t offset = 0;
    for (auto part : parts) {
        while (!part.empty()) {
            TRY(check(stop));
            buffer.resize(std::min(part.size(), kStepBytes));
            auto got = TRY(read_full(**file, offset, buffer));
            if (got != buffer.size() || !std::ranges::equal(buffer, part.first(got))) {
                return Found::other;
            }
            part = part.subspan(got);
            offset += got;
        }
    }
    return Found::same;
}

// An object that we find may come from a put that has not synced its name yet, or never will.
Result<void> LocalStore::make_durable(std::string const& path) {
    auto file = TRY(files_.open(path));
    TRY(file->sync());
    TRY(ensure_directory(parent_directory(path)));
    return files_.sync_directory(parent_directory(path));
}

// Makes the directory and those above it, and syncs their names, also of those that are there
// already: whoever made them may not have come to it.
Result<void> LocalStore::ensure_directory(std::string const& path) {
    if (path == root_)
        return {};
    {
        std::lock_guard lock(mutex_);
        if (durable_directories_.contains(path))
            return {};
    }
    auto parent = parent_directory(path);
    TRY(ensure_directory(parent));
    auto made = files_.make_directory(path, 0700);
    if (!made && made.error().kind != ErrorKind::exists)
        return made;
    TRY(files_.sync_directory(parent));
    std::lock_guard lock(mutex_);
    durable_directories_.insert(path);
    return {};
}

Result<std::unique_ptr<NewFile>> LocalStore::create_temporary(std::string& path) {
    auto folder = root_ + "/.tmp";
    for (int attempt = 1;; ++attempt) {
        path = fmt::format("{}/{}.{}", folder, owner_, ++temporary_count);
        auto file = files_.create(path, 0400);
        if (file || attempt == kNameAttempts)
            return file;
        if (file.error().kind == ErrorKind::not_found) {
            auto made = files_.make_directory(folder, 0700);
            if (!made && made.error().kind != ErrorKind::exists) {
                return fail(std::move(made.error()));
            }
        } else if (file.error().kind != ErrorKind::exists) {
            return file;
        }
    }
}

// Returns the path of a durable file with this content; on failure there is none.
Result<std::string> LocalStore::write_temporary(std::span<ByteView const> parts,
                                                std::stop_token const& stop) {
    std::string path;
    auto file = TRY(create_temporary(path));
    auto write = [&]() -> Result<void> {
        for (auto part : parts) {
            while (!part.empty()) {
                TRY(check(stop));
                auto step = part.first(std::min(part.size(), kStepBytes));
                TRY(write_all(*file, step));
                part = part.subspan(step.size());
            }
        }
        return file->sync();
    };
    auto written = write();
    file.reset();
    if (written)
        return path;
    (void)files_.remove(path);
    return fail(std::move(written.error()));
}

// Opens the object and settles how much of it is meant: it is there.
Result<std::unique_ptr<OldFile>> LocalStore::open_object(ObjectKey const& key, Range& range,
                                                         std::stop_token const& stop) {
    TRY(check(stop).within(getting(key)));
    auto file = files_.open(path_of(key));
    if (!file && file.error().kind == ErrorKind::not_found)
        return store_errors::missing(key);
    if (!file)
        return fail(std::move(file.error()).within(getting(key)));
    auto size = TRY((*file)->size().within(getting(key)));
    if (!range.length)
        range.length = size;
    if (!store_errors::in_range(size, range.offset, *range.length)) {
        return store_errors::too_short(key, size, range.offset, *range.length);
    }
    return std::move(*file);
}

Result<void> LocalStore::fill(OldFile& file, ObjectKey const& key, std::uint64_t offset, ByteSpan to,
                              std::stop_token const& stop) {
    for (std::size_t at = 0; at < to.size();) {
        TRY(check(stop).within(getting(key)));
        auto step = to.subspan(at, std::min(to.size() - at, kStepBytes));
        auto got = TRY(read_full(file, offset + at, step).within(getting(key)));
        at += got;
        if (got < step.size())
            return store_errors::too_short(key, offset + at, offset, to.size());
    }
    return {};
}

Result<Bytes> LocalStore::read_new(ObjectKey const& key, Range range, std::stop_token const& stop) {
    auto file = TRY(open_object(key, range, stop));
    if (*range.length > kObjectBytesMax) {
        return fail(ErrorKind::damaged,
                    fmt::format("object '{}': {} bytes are more than any object has", key.text(),
                                *range.length));
    }
    Bytes bytes(*range.length);
    TRY(fill(*file, key, range.offset, bytes, stop));
    return bytes;
}

Result<Bytes> LocalStore::get(ObjectKey const& key, std::stop_token stop) {
    return read_new(key, {}, stop);
}

Result<Bytes> LocalStore::get_range(ObjectKey const& key, std::uint64_t offset,
                                    std::uint64_t length, std::stop_token stop) {
    return read_new(key, {offset, length}, stop);
}

Result<void> LocalStore::read(ObjectKey const& key, std::uint64_t offset, ByteSpan to,
                              std::stop_token stop) {
    Range range{offset, to.size()};
    auto file = TRY(open_object(key, range, stop));
    return fill(*file, key, offset, to, stop);
}

Result<ObjectInfo> LocalStore::head(ObjectKey const& key, std::stop_token stop) {
    TRY(check(stop));
    auto info = files_.info(path_of(key));
    if (!info && info.error().kind != ErrorKind::not_found)
        return fail(std::move(info.error()));
    if (!info || info->kind != FileKind::file)
        return store_errors::missing(key);
    return ObjectInfo{key, info->size, info->modified};
}

Result<void> LocalStore::list(std::string_view prefix,
                              std::function<Result<void>(ObjectInfo const&)> const& visit,
                              std::stop_token stop) {
    assert(is_object_key(std::string(prefix) + "x"));
    TRY(check(stop));
    // A store that is gone must not look like an empty one.
    TRY(files_.info(root_).within("list the store"));
    auto slash = prefix.rfind('/');
    return walk(slash == std::string_view::npos ? "" : std::string(prefix.substr(0, slash + 1)),
                prefix, visit, stop);
}

// `folder` is "" or ends with a slash. What lies in it comes in the order of keys when directories
// are compared with their slash: "a.b" < "a/c" < "ab".
Result<void> LocalStore::walk(std::string const& folder, std::string_view prefix,
                              std::function<Result<void>(ObjectInfo const&)> const& visit,
                              std::stop_token const& stop) {
    auto entries = files_.list(root_ + "/" + folder);
    if (!entries && entries.error().kind == ErrorKind::not_found)
        return {};
    if (!entries)
        return fail(std::move(entries.error()).within("list the store"));

    std::vector<std::string> names;
    for (auto const& entry : *entries) {
        // Temporary files and whatever else lies around are no objects.
        if (entry.kind == FileKind::other || !is_object_key(folder + entry.name))
            continue;
        auto name = folder + entry.name + (entry.kind == FileKind::directory ? "/" : "");
        if (name.starts_with(prefix) || (name.ends_with('/') && prefix.starts_with(name))) {
            names.push_back(std::move(name));
        }
    }
    entries->clear();
    std::ranges::sort(names);
    for (auto const& name : names) {
        TRY(check(stop));
        if (name.ends_with('/')) {
            TRY(walk(name, prefix, visit, stop));
            continue;
        }
        auto object = head(ObjectKey(name), stop);
        if (!object && object.error().kind == ErrorKind::not_found)
            continue;  // removed meanwhile
        if (!object)
            return fail(std::move(object.error()).within("list the store"));
        TRY(visit(*object));
    }
    return {};
}

Result<void> LocalStore::discard(ObjectKey const& key, std::stop_token stop) {
    auto what = fmt::format("remove object '{}'", key.text());
    TRY(check(stop).within(what));
    auto removed = files_.remove(path_of(key));
    if (!removed && removed.error().kind != ErrorKind::not_found) return std::move(removed).within(what);
    return {};
}

Result<void> LocalStore::remove(ObjectKey const& key, std::stop_token stop) {
    TRY(discard(key, std::move(stop)));
    // Also when it was gone: a remove before us may have failed just here.
    auto synced = files_.sync_directory(parent_directory(path_of(key)));
    if (!synced && synced.error().kind != ErrorKind::not_found) {
        return std::move(synced).within(fmt::format("remove object '{}'", key.text()));
    }
    return {};
}

}  // namespace holdfast
