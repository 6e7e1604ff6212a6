#include "steps/read_point.h"

#include <map>
#include <mutex>
#include <unordered_set>

#include "archive/tree.h"
#include "base/text.h"

namespace holdfast::steps {
namespace {

constexpr std::size_t kWantsMax = 4096;
// Chunks that many files share are read once as long as this many are remembered.
constexpr std::size_t kRememberedMax = 1 << 20;
constexpr std::size_t kDamagedMax = 100;

class PointReader {
  public:
    PointReader(Fetch& fetch, ProgressCallback const& progress, std::stop_token stop, std::uint64_t bytes_total)
        : fetch_(fetch), progress_(progress), stop_(stop), bytes_total_(bytes_total) {}

    Result<PointRead> read(Content const& tree) {
        TreeReader reader(fetch_, tree);
        TRY(reader.walk(
            "",
            [&](std::string const& path, Entry const& entry) -> Result<bool> {
                if (entry.type != EntryType::file) return true;
                TRY(take(path, entry.content));
                return true;
            },
            [&](std::string const& path, Error const& error) -> Result<void> {
                note_damage(path, error.message);
                return {};
            },
            stop_));
        TRY(flush());
        return std::move(read_);
    }

  private:
    Result<void> take(std::string const& path, Content const& content) {
        ++read_.files;
        auto const extents = fetch_.extents(
            content,
            [&](std::span<Extent const> run) -> Result<void> {
                for (auto const& extent : run) {
                    if (!extent.chunk || !remembered_.insert(*extent.chunk).second) continue;
                    wants_.push_back(*extent.chunk);
                    paths_.push_back(path);
                    if (wants_.size() == kWantsMax) TRY(flush());
                }
                if (remembered_.size() > kRememberedMax) remembered_.clear();
                return {};
            },
            stop_);
        if (!extents && extents.error().kind == ErrorKind::damaged) {
            note_damage(path, extents.error().message);
            return {};
        }
        return extents;
    }

    Result<void> flush() {
        if (wants_.empty()) return {};
        auto const sink = [&](std::size_t index, Result<ByteView> const& bytes) -> Result<void> {
            std::lock_guard const lock(mutex_);
            if (bytes) {
                ++read_.chunks;
                read_.bytes += bytes->size();
            } else if (bytes.error().kind == ErrorKind::damaged || bytes.error().kind == ErrorKind::not_found) {
                note_damage(paths_[index], bytes.error().message);
            } else {
                return fail(bytes.error());
            }
            return {};
        };
        TRY(fetch_.chunks(wants_, sink, stop_));
        if (progress_) {
            progress_({.what = "checking", .current = paths_.back(), .files = read_.files, .bytes = read_.bytes,
                       .bytes_total = bytes_total_});
        }
        wants_.clear();
        paths_.clear();
        return {};
    }

    void note_damage(std::string const& path, std::string const& why) {
        if (read_.damaged_count++ < kDamagedMax) read_.damaged.push_back(printable(path) + ": " + why);
    }

    Fetch& fetch_;
    ProgressCallback const& progress_;
    std::stop_token stop_;
    std::uint64_t bytes_total_;
    std::unordered_set<ChunkId> remembered_;
    std::vector<ChunkId> wants_;
    std::vector<std::string> paths_;  // of the file that wants each
    std::mutex mutex_;                // guards read_ while chunks come in
    PointRead read_;
};

}  // namespace

Result<PointRead> read_point(Repository& repository, RecoveryPoint const& point, ProgressCallback const& progress,
                             std::stop_token stop) {
    auto fetch = TRY(repository.begin_fetch({}, stop));
    return PointReader(*fetch, progress, stop, point.bytes).read(point.tree);
}

}  // namespace holdfast::steps
