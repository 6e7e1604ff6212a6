#include "overlay/copy_on_write_file.h"

#include <algorithm>

namespace holdfast {
namespace {

// Runs in order, without overlaps: fewer statements.
std::vector<BlockRun> merged(std::vector<BlockRun> runs) {
    std::ranges::sort(runs, {}, &BlockRun::first);
    std::vector<BlockRun> result;
    for (auto const& run : runs) {
        if (!result.empty() && run.first <= result.back().first + result.back().count) {
            auto end = std::max(result.back().first + result.back().count, run.first + run.count);
            result.back().count = end - result.back().first;
        } else {
            result.push_back(run);
        }
    }
    return result;
}

}  // namespace

Result<std::unique_ptr<CopyOnWriteFile>> CopyOnWriteFile::open(std::uint32_t number, std::unique_ptr<LocalFile> local,
                                                               HomeMap& map, HomeState state, Lower lower) {
    // A file that is shorter than what is the point's was cut off, and the map had not heard of it.
    state.end = std::min(state.end, TRY(local->size()));
    return std::unique_ptr<CopyOnWriteFile>(
        new CopyOnWriteFile(number, std::move(local), map, std::move(state), std::move(lower)));
}

bool CopyOnWriteFile::is_missing(std::uint64_t block) const {
    return block * kBlockBytes < end_ && !home_.contains(block);
}

Result<std::size_t> CopyOnWriteFile::read(std::uint64_t offset, ByteSpan to) {
    struct Part {
        std::uint64_t offset;
        ByteSpan to;
    };
    std::vector<Part> lower;
    std::size_t count = 0;
    {
        std::shared_lock lock(mutex_);
        // Bytes that are not home are zeros here, and replaced below.
        count = TRY(local_->read(offset, to));
        auto end = std::min(offset + count, end_);
        for (auto run = home_.next_missing(offset / kBlockBytes, blocks_of(end)); run.count > 0;
             run = home_.next_missing(run.first + run.count, blocks_of(end))) {
            auto from = std::max(offset, run.first * kBlockBytes);
            auto until = std::min(end, (run.first + run.count) * kBlockBytes);
            if (until > from) lower.push_back({from, to.subspan(from - offset, until - from)});
        }
        // Behind the point's end in its last block lies nothing as long as that is not home: what is there in the local
        // file was written by somebody who never came to make it count.
        if (end_ % kBlockBytes != 0 && is_missing(end_ / kBlockBytes)) {
            auto from = std::max(offset, end_), until = std::min(offset + count, blocks_of(end_) * kBlockBytes);
            if (until > from) std::ranges::fill(to.subspan(from - offset, until - from), 0);
        }
    }
    // Fetching takes long. Who writes here meanwhile and who reads have not agreed on an order.
    for (auto const& part : lower) TRY(lower_(part.offset, part.to));
    return count;
}

Result<void> CopyOnWriteFile::make_home(std::uint64_t block) {
    auto at = block * kBlockBytes;
    Bytes bytes(std::min(kBlockBytes, end_ - at));
    TRY(lower_(at, bytes));
    return put_home({block, 1}, bytes);
}

Result<void> CopyOnWriteFile::put_home(BlockRun const& run, ByteView bytes) {
    auto at = run.first * kBlockBytes;
    TRY(local_->write(at, bytes));
    auto end = at + bytes.size();
    if (end % kBlockBytes != 0) {
        auto size = TRY(local_->size());
        auto behind = std::min(blocks_of(end) * kBlockBytes, size);
        if (behind > end) TRY(local_->write(end, Bytes(behind - end)));
    }
    note_home(run);
    return {};
}

void CopyOnWriteFile::note_home(BlockRun const& run) {
    home_.add(run);
    if (!unstated_.empty() && unstated_.back().first + unstated_.back().count == run.first) {
        unstated_.back().count += run.count;
    } else {
        unstated_.push_back(run);
    }
}

Result<void> CopyOnWriteFile::write(std::uint64_t offset, ByteView bytes) {
    if (bytes.empty()) return {};
    std::unique_lock lock(mutex_);
    auto end = offset + bytes.size();
    auto first = offset / kBlockBytes, last = (end - 1) / kBlockBytes;
    // Of blocks that are written in part, the rest is the point's.
    bool head = offset % kBlockBytes != 0 || end < std::min((first + 1) * kBlockBytes, end_);
    if (head && is_missing(first)) TRY(make_home(first));
    bool tail = end < std::min((last + 1) * kBlockBytes, end_);
    if (tail && is_missing(last)) TRY(make_home(last));
    TRY(local_->write(offset, bytes));
    for (auto run = home_.next_missing(first, std::min(last + 1, blocks_of(end_))); run.count > 0;
         run = home_.next_missing(run.first + run.count, std::min(last + 1, blocks_of(end_)))) {
        note_home(run);
    }
    return {};
}

Result<void> CopyOnWriteFile::truncate(std::uint64_t size) {
    // Nobody states what is home meanwhile: it might be what is cut off here.
    std::lock_guard syncing(syncing_);
    std::unique_lock lock(mutex_);
    auto before = TRY(local_->size());
    TRY(local_->truncate(size));
    if (size >= before) return {};
    bool cuts_the_point = size < end_;
    end_ = std::min(end_, size);
    // Shorter durably, then stated, and only then may it grow again: see open().
    auto synced = local_->sync();
    if (!synced) {
        failed_ = true;
        return synced;
    }
    if (!cuts_the_point) return {};
    HomeMap::Statement const statement{number_, HomeMap::Statement::Kind::end, {}, size};
    return map_.state({&statement, 1});
}

Result<void> CopyOnWriteFile::allocate(std::uint64_t offset, std::uint64_t length, LocalFile::Growth growth) {
    std::unique_lock lock(mutex_);
    return local_->allocate(offset, length, growth);
}

Result<void> CopyOnWriteFile::sync() {
    std::lock_guard syncing(syncing_);
    std::vector<BlockRun> runs;
    {
        std::unique_lock lock(mutex_);
        // What a failed sync left behind is not known, and no later one tells.
        if (failed_) return fail(ErrorKind::io, "what was written before could not be made durable");
        runs.swap(unstated_);
        failed_ = true;
    }
    TRY(local_->sync());
    std::vector<HomeMap::Statement> statements;
    for (auto const& run : merged(std::move(runs))) {
        statements.push_back({number_, HomeMap::Statement::Kind::home, run, 0});
    }
    TRY(map_.state(statements));
    std::unique_lock lock(mutex_);
    failed_ = false;
    return {};
}

BlockRun CopyOnWriteFile::next_missing(std::uint64_t from, std::uint64_t blocks_max) const {
    std::shared_lock lock(mutex_);
    auto run = home_.next_missing(from, blocks_of(end_));
    run.count = std::min(run.count, blocks_max);
    return run;
}

std::uint64_t CopyOnWriteFile::missing() const {
    std::shared_lock lock(mutex_);
    std::uint64_t count = 0;
    for (auto run = home_.next_missing(0, blocks_of(end_)); run.count > 0;
         run = home_.next_missing(run.first + run.count, blocks_of(end_))) {
        count += run.count;
    }
    return count;
}

Result<void> CopyOnWriteFile::bring(std::uint64_t offset, ByteView bytes) {
    std::unique_lock lock(mutex_);
    auto end = std::min(offset + bytes.size(), end_);
    auto blocks = end == end_ ? blocks_of(end) : end / kBlockBytes;
    for (auto run = home_.next_missing(offset / kBlockBytes, blocks); run.count > 0;
         run = home_.next_missing(run.first + run.count, blocks)) {
        auto from = run.first * kBlockBytes;
        auto until = std::min(end, from + run.count * kBlockBytes);
        TRY(put_home(run, bytes.subspan(from - offset, until - from)));
    }
    return {};
}

}  // namespace holdfast
