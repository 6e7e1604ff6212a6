#include "overlay/bring_home.h"

#include <algorithm>

#include <fmt/format.h>

namespace holdfast {
namespace {

// Read and written at a time: short enough for who waits, long enough for sequential reading ahead.
constexpr std::uint64_t kRunBlocks = (4u << 20) / kBlockBytes;
// Around a block that was wanted: its neighbours lie in the same chunk, which was fetched for it.
constexpr std::uint64_t kWantedBlocks = (128u << 10) / kBlockBytes;
// After so many bytes what was brought is made durable: a crash costs no more than bringing them again.
constexpr std::uint64_t kSyncBytes = 256u << 20;
constexpr Duration kPause = std::chrono::milliseconds(20);
constexpr int kPausesMax = 10;
constexpr Duration kUnreachablePause = std::chrono::seconds(2);

class HomeBringer {
  public:
    HomeBringer(Overlay& overlay, Clock& clock, ProgressCallback const& progress, std::stop_token stop)
        : overlay_(overlay), clock_(clock), progress_(progress), stop_(std::move(stop)) {}

    Result<void> run() {
        report_.what = "bringing home";
        report_.bytes_total = overlay_.bytes_total();
        std::vector<Overlay::File*> files;
        for (std::size_t i = 0; i < overlay_.file_count(); ++i)
            if (overlay_.file(i).exists()) files.push_back(&overlay_.file(i));
        report_.files_total = files.size();
        std::ranges::stable_sort(files, {}, [](Overlay::File* file) { return file->size(); });
        for (auto* file : files) {
            TRY(bring(*file));
            ++report_.files;
        }
        TRY(sync_wanted());
        if (damaged_) return fail(std::move(*damaged_));
        // Whoever hears of success makes plain files of them.
        if (auto missing = overlay_.bytes_missing(); missing > 0)
            return fail(ErrorKind::internal, fmt::format("{} bytes have not come home", missing));
        return {};
    }

  private:
    // All of a file, and in between what is wanted of others.
    Result<void> bring(Overlay::File& file) {
        auto use = overlay_.use(file);
        if (!use && !file.exists()) return {};  // removed meanwhile
        if (!use) return fail(std::move(use.error()));
        std::unique_ptr<OpenFile> point;
        std::uint64_t unsynced = 0;
        for (std::uint64_t from = 0;;) {
            TRY(bring_wanted());
            auto run = (*use)->next_missing(from, kRunBlocks);
            if (run.count == 0 || !file.exists()) break;
            TRY(give_way());
            if (!point) {
                auto opened = overlay_.open_point(file);
                if (!opened && TRY(may_pass_over(file, std::move(opened).error()))) break;
                if (!opened) continue;
                point = std::move(*opened);
            }
            auto brought = bring_run(file, **use, *point, run);
            if (!brought && !TRY(may_pass_over(file, std::move(brought).error()))) continue;
            from = run.first + run.count;
            unsynced += run.count * kBlockBytes;
            if (unsynced < kSyncBytes) continue;
            TRY((*use)->sync());
            unsynced = 0;
        }
        // Also what earlier readers had brought, and writers have written: the map must know that nothing is missing.
        return (*use)->sync();
    }

    Result<void> bring_run(Overlay::File& file, CopyOnWriteFile& content, OpenFile& point, BlockRun const& run) {
        auto from = run.first * kBlockBytes;
        auto until = std::min(file.size(), from + run.count * kBlockBytes);
        buffer_.resize(until - from);
        TRY(read_point(point, from, buffer_, stop_));
        report_.current = file.path();
        report_.bytes += buffer_.size();
        if (progress_) progress_(report_);
        // What the local disk refuses is not the point's fault.
        auto brought = content.bring(from, buffer_);
        if (!brought) local_failure_ = brought.error();
        return brought;
    }

    Result<void> bring_wanted() {
        while (auto wanted = overlay_.next_wanted()) {
            auto& file = *wanted->file;
            auto use = overlay_.use(file);
            if (!use) continue;  // its turn comes
            auto first = wanted->run.first / kWantedBlocks * kWantedBlocks;
            auto end = (wanted->run.first + wanted->run.count + kWantedBlocks - 1) / kWantedBlocks * kWantedBlocks;
            std::unique_ptr<OpenFile> point;
            for (auto run = (*use)->next_missing(first, end - first); run.count > 0 && run.first < end;
                 run = (*use)->next_missing(run.first + run.count, end - first)) {
                run.count = std::min(run.count, end - run.first);
                if (!point) {
                    auto opened = overlay_.open_point(file);
                    if (!opened) break;
                    point = std::move(*opened);
                }
                // What can't be had is told when the file's turn comes.
                auto brought = bring_run(file, **use, *point, run);
                if (!brought && local_failure_) return brought;
                if (!brought) break;
            }
            TRY(stopped());
        }
        return {};
    }

    // Of files that were passed already.
    Result<void> sync_wanted() {
        TRY(bring_wanted());
        for (std::size_t i = 0; i < overlay_.file_count(); ++i) {
            auto use = overlay_.use(overlay_.file(i));
            if (!use && !overlay_.file(i).exists()) continue;
            if (!use) return fail(std::move(use.error()));
            TRY((*use)->sync());
        }
        return {};
    }

    // True: the point does not have it. False: ask again.
    Result<bool> may_pass_over(Overlay::File& file, Error error) {
        if (local_failure_) return fail(std::move(*local_failure_));
        if (error.kind == ErrorKind::cancelled) return fail(std::move(error));
        overlay_.complain(file.path(), error);
        if (error.kind != ErrorKind::damaged && error.kind != ErrorKind::not_found) {
            TRY(sleep(kUnreachablePause));
            return false;
        }
        if (!damaged_) damaged_ = std::move(error).within(file.path());
        damaged_->kind = ErrorKind::damaged;
        return true;
    }

    Result<void> give_way() {
        for (int i = 0; i < kPausesMax && overlay_.somebody_waits(); ++i) TRY(sleep(kPause));
        return stopped();
    }
    Result<void> sleep(Duration pause) {
        clock_.sleep(pause, stop_);
        return stopped();
    }
    Result<void> stopped() const {
        if (stop_.stop_requested()) return fail(ErrorKind::cancelled, "stopped");
        return {};
    }

    Overlay& overlay_;
    Clock& clock_;
    ProgressCallback const& progress_;
    std::stop_token stop_;
    Bytes buffer_;
    Progress report_;
    std::optional<Error> damaged_, local_failure_;
};

}  // namespace

Result<void> bring_home(Overlay& overlay, Clock& clock, ProgressCallback const& progress, std::stop_token stop) {
    return HomeBringer(overlay, clock, progress, std::move(stop)).run();
}

}  // namespace holdfast
