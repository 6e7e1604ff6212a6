#include "archive/restore_batch.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "base/text.h"

namespace holdfast {
namespace {

// Small files are fetched by thousands, large ones in windows of some GiB. What it holds in memory is
// the plan alone: the bytes in flight are bounded by the fetch.
constexpr std::size_t kWantsMax = 8192;
constexpr std::size_t kDestinationsMax = 65536;
constexpr std::size_t kFilesMax = 8192;
constexpr std::size_t kOpenFilesMax = 128;

}  // namespace

void RestoreBatch::want(RestoreFilePointer const& file, Extent const& extent, std::uint64_t offset) {
    auto [at, fresh] = index_.try_emplace(*extent.chunk, static_cast<std::uint32_t>(wants_.size()));
    if (fresh) {
        wants_.push_back(*extent.chunk);
        first_.push_back(kNone);
    }
    auto& first = first_[at->second];
    file->left.fetch_add(1);
    destinations_.push_back({file, offset, extent.length, extent.offset, first});
    first = static_cast<std::uint32_t>(destinations_.size() - 1);
}

void RestoreBatch::planned(RestoreFilePointer const& file) {
    file->planned = true;
    files_.push_back(file);
    if (file->left.fetch_sub(1) == 1) {
        settle(*file);
    } else if (file->fd) {
        ++open_;
    }
}

bool RestoreBatch::full() const {
    return wants_.size() >= kWantsMax || destinations_.size() >= kDestinationsMax ||
           files_.size() >= kFilesMax || open_ >= kOpenFilesMax;
}

Result<void> RestoreBatch::run(std::function<void(std::uint64_t)> const& on_bytes, std::stop_token stop) {
    auto sink = [&](std::size_t index, Result<ByteView> const& bytes) { return deliver(index, bytes, on_bytes); };
    auto done = wants_.empty() ? Result<void>() : fetch_.chunks(wants_, sink, stop);
    wants_.clear();
    first_.clear();
    destinations_.clear();
    index_.clear();
    files_.clear();
    open_ = 0;
    return done;
}

Result<void> RestoreBatch::deliver(std::size_t index, Result<ByteView> const& bytes,
                                   std::function<void(std::uint64_t)> const& on_bytes) {
    for (auto at = first_[index]; at != kNone; at = destinations_[at].next) {
        auto const& to = destinations_[at];
        auto& file = *to.file;
        auto damage = [&](Error const& error) -> Result<void> {
            auto what = "restore '" + printable(file.path) + "'";
            if (!options_.skip_damaged) {
                return fail(as_damage(error).within(what).with_hint(
                    error.hint.empty() ? "restore what is whole with --skip-damaged, or from another repository"
                                       : error.hint));
            }
            if (!file.damaged.exchange(true)) problems_.add(file.path, error.message);
            return {};
        };
        if (!bytes) {
            TRY(damage(bytes.error()));
        } else if (to.chunk_offset > bytes->size() || to.length > bytes->size() - to.chunk_offset) {
            TRY(damage(Error{ErrorKind::damaged, "an extent goes beyond chunk " + wants_[index].brief(), {}}));
        } else if (!file.failed) {
            TRY(write(to, bytes->subspan(to.chunk_offset, to.length), on_bytes));
        }
        if (file.left.fetch_sub(1) == 1) settle(file);
    }
    return {};
}

// Something that the system refuses: the end of the restore when nothing else could be written either,
// a problem of this file otherwise.
Result<void> RestoreBatch::refuse(RestoreFile& file, Errno error, std::string_view what) {
    auto text = fmt::format("{} '{}'", what, printable(file.path));
    if (error == ENOSPC || error == EDQUOT || error == EROFS || error == EMFILE || error == ENFILE) {
        return fail(errno_error(text, error));
    }
    if (!file.failed.exchange(true)) {
        problems_.add(file.path, fmt::format("{}: {}", what, std::strerror(error)));
    }
    return {};
}

// False when the file can't be made, which is a problem by then.
Result<bool> RestoreBatch::open(RestoreFile& file) {
    std::lock_guard lock(file.mutex);
    if (file.fd) return true;
    if (file.failed) return false;
    auto directory = TRY(target_.fd(*file.directory));
    auto fd = open_beneath(directory->get(), file.entry.name.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600);
    if (!fd) {
        TRY(refuse(file, fd.error(), "create"));
        return false;
    }
    file.fd = std::move(*fd);
    return true;
}

Result<void> RestoreBatch::write(Destination const& to, ByteView bytes,
                                 std::function<void(std::uint64_t)> const& on_bytes) {
    auto& file = *to.file;
    auto ready = TRY(open(file));
    if (!ready) return {};
    if (file.existed) {
        Bytes there(bytes.size());
        auto got = read_at(file.fd.get(), there, to.offset);
        // A hole reads as zeros and is not what the point has.
        bool in_hole = ::lseek(file.fd.get(), static_cast<off_t>(to.offset), SEEK_HOLE) <
                       static_cast<off_t>(to.offset + to.length);
        if (got && *got == bytes.size() && !in_hole && std::equal(bytes.begin(), bytes.end(), there.begin())) {
            return {};
        }
    }
    for (std::size_t done = 0; done < bytes.size();) {
        auto size = ::pwrite(file.fd.get(), bytes.data() + done, bytes.size() - done,
                             static_cast<off_t>(to.offset + done));
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) return refuse(file, errno, "write");
        done += static_cast<std::size_t>(size);
    }
    on_bytes(bytes.size());
    return {};
}

// All that the file waits for has come, or will not come.
void RestoreBatch::settle(RestoreFile& file) {
    if (!file.damaged && !file.failed) {
        metadata_.apply(file.fd.get(), file.entry, file.path);
        file.whole = true;
    }
    file.fd.reset();
    if (!file.damaged) return;
    std::lock_guard lock(result_mutex_);
    result_.damaged.push_back(file.path);
}

}  // namespace holdfast
