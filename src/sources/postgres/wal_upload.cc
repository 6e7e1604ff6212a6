#include "sources/postgres/wal_upload.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>

#include "base/units.h"
#include "formats/pg_lsn.h"

namespace holdfast::postgres {
namespace {

// While something is in flight, this much or this long is waited for.
constexpr std::uint64_t kBurstBytes = 1u << 20;
constexpr auto kBurstTime = std::chrono::milliseconds(200);
// Three of these, a whole block as it is sealed, and a block and a quarter of received log fit into 64 MiB.
constexpr std::uint64_t kBurstBytesMax = 4u << 20;
constexpr unsigned kBurstsMax = 3;
constexpr unsigned kThreads = kBurstsMax + 1;  // one is always there for what is larger
constexpr std::size_t kFoldParts = 256;
constexpr auto kLook = std::chrono::milliseconds(100);
constexpr auto kUploadRetryFirst = std::chrono::milliseconds(100), kUploadRetryMax = std::chrono::milliseconds(5000);

bool passes(Error const& error) {
    return error.kind == ErrorKind::unreachable || error.kind == ErrorKind::io || error.kind == ErrorKind::no_space ||
           error.kind == ErrorKind::not_found;
}

}  // namespace

WalUpload::WalUpload(Repository& repository, WalStream stream, WalUploadOptions options)
    : repository_(repository), stream_(stream), options_(std::move(options)) {
    assert(options_.block_bytes <= kWalObjectRawMax && (options_.block_bytes & (options_.block_bytes - 1)) == 0);
    if (!options_.spool.empty()) {
        std::error_code ignored;  // opening says it better
        std::filesystem::create_directories(options_.spool, ignored);
        auto opened = open_store(options_.spool.string(), {.create = true});
        if (opened)
            spool_ = std::move(*opened);
        else
            options_.warn("no spool: " + opened.error().message);
    }
    for (unsigned i = 0; i < kThreads; ++i)
        threads_.emplace_back([this](std::stop_token stop) { work(std::move(stop)); });
}

WalUpload::~WalUpload() {
    for (auto& thread : threads_) thread.request_stop();
    work_.notify_all();
    changed_.notify_all();
    threads_.clear();
}

Result<void> WalUpload::empty_spool(std::stop_token stop) {
    if (!spool_) return {};
    std::vector<std::string> keys;
    auto visit = [&](ObjectInfo const& info) -> Result<void> {
        keys.push_back(info.key.text());
        return {};
    };
    TRY(spool_->list(kWalPrefix, visit, stop));
    for (auto const& key : keys) {
        auto object = TRY(spool_->get(ObjectKey(key), stop));
        ByteView const bytes = object;
        auto whole = check_wal(repository_, key, bytes, stop);
        // A damaged one is received again from the server.
        if (!whole && whole.error().kind != ErrorKind::damaged) return whole;
        if (whole) TRY(put_once(key, {&bytes, 1}, stop).within("store what waited in the spool"));
        TRY(spool_->remove(ObjectKey(key), stop));
    }
    return {};
}

void WalUpload::begin(Begin begin) {
    assert(begin.first % options_.block_bytes == 0 && drained());
    std::lock_guard lock(mutex_);
    timeline_ = begin.timeline;
    received_ = begin.first;
    durable_ = std::max(begin.first, begin.durable);
    done_.clear();
    add_block().parts = std::move(begin.parts);
}

// The block in which the next bytes lie. What is durable already is received for the whole object alone.
WalUpload::Block& WalUpload::add_block() {
    auto before = blocks_.empty() ? Time() : known_at(blocks_.back(), blocks_.back().received);
    auto& block = blocks_.emplace_back();
    block.known_before = before;
    block.timeline = timeline_;
    block.first = block.received = received_;
    block.next = std::clamp(durable_, block.first, block.first + options_.block_bytes);
    block.data.reserve(options_.block_bytes);
    return block;
}

// What may be said of a run that ends there. Runs that are chosen later end there or later.
Time WalUpload::known_at(Block& block, std::uint64_t end) {
    if (block.known_at > 0 && end >= block.known_at) block.known_before = block.known;
    return block.known_before;
}

bool WalUpload::has_room() const {
    std::lock_guard lock(mutex_);
    std::uint64_t held = 0;
    for (auto const& block : blocks_) held += block.data.size();
    return held < options_.block_bytes + options_.block_bytes / 4;
}

Result<void> WalUpload::append(std::uint64_t position, ByteView bytes, std::optional<Time> known) {
    std::lock_guard lock(mutex_);
    if (position > received_)
        return fail(ErrorKind::damaged, fmt::format("the server goes on at {} instead of {}", to_text(Lsn{position}),
                                                    to_text(Lsn{received_})));
    if (blocks_.empty()) add_block();
    while (!bytes.empty()) {
        auto* block = &blocks_.back();
        if (position < block->first) {  // of a block that is stored already
            auto skip = std::min<std::uint64_t>(bytes.size(), block->first - position);
            bytes = bytes.subspan(skip);
            position += skip;
            continue;
        }
        if (position < block->received) {
            auto again = bytes.first(std::min<std::uint64_t>(bytes.size(), block->received - position));
            auto before = ByteView(block->data).subspan(position - block->first, again.size());
            if (!std::ranges::equal(again, before))
                return fail(ErrorKind::damaged,
                            fmt::format("behind {} the server sends another log than before", to_text(Lsn{position})),
                            "it lost log that it had sent: make a new base backup");
            bytes = bytes.subspan(again.size());
            position += again.size();
            continue;
        }
        if (block->closed) block = &add_block();
        auto part = bytes.first(std::min<std::uint64_t>(bytes.size(), block->first + options_.block_bytes - position));
        if (block->received <= block->next) block->pending_since = repository_.world().clock.elapsed();
        block->data.insert(block->data.end(), part.begin(), part.end());
        block->received += part.size();
        if (block->received == block->first + options_.block_bytes) block->closed = true;
        received_ = block->received;
        bytes = bytes.subspan(part.size());
        position += part.size();
    }
    if (known && position == received_) {
        blocks_.back().known = *known;
        blocks_.back().known_at = received_;
    }
    ++calls_;
    work_.notify_one();
    return {};
}

void WalUpload::close() {
    std::lock_guard lock(mutex_);
    if (blocks_.empty()) return;
    if (blocks_.back().received == blocks_.back().first)
        blocks_.pop_back();
    else
        blocks_.back().closed = true;
    ++calls_;
    work_.notify_one();
}

std::uint64_t WalUpload::received() const {
    std::lock_guard lock(mutex_);
    return received_;
}
std::uint64_t WalUpload::durable() const {
    std::lock_guard lock(mutex_);
    return durable_;
}
std::uint64_t WalUpload::block_start() const {
    std::lock_guard lock(mutex_);
    return received_ / options_.block_bytes * options_.block_bytes;
}
bool WalUpload::settled() const {
    std::lock_guard lock(mutex_);
    return durable_ >= received_ && std::ranges::none_of(blocks_, [](Block const& block) { return block.closed; });
}
std::optional<Duration> WalUpload::away_for() const {
    std::lock_guard lock(mutex_);
    if (!away_since_) return std::nullopt;
    return repository_.world().clock.elapsed() - *away_since_;
}
std::uint64_t WalUpload::spooled_bytes() const {
    std::lock_guard lock(mutex_);
    return spooled_bytes_;
}
std::optional<Error> WalUpload::failure() const {
    std::lock_guard lock(mutex_);
    return failure_;
}

void WalUpload::work(std::stop_token stop) {
    std::unique_lock lock(mutex_);
    while (!stop.stop_requested()) {
        auto job = choose();
        if (!job) {
            // A call ends it: commits wait for this.
            work_.wait_for(lock, stop, kLook, [this, seen = calls_] { return calls_ != seen; });
            continue;
        }
        lock.unlock();
        run(*job, stop);
        options_.wake();
        lock.lock();
    }
}

std::optional<WalUpload::Job> WalUpload::choose() {
    if (failure_) return std::nullopt;
    if (auto job = choose_burst(repository_.world().clock.elapsed())) return job;
    return larger_runs_ ? std::nullopt : choose_larger();
}

std::optional<WalUpload::Job> WalUpload::choose_burst(Duration now) {
    if (bursts_ == kBurstsMax) return std::nullopt;
    for (auto& block : blocks_) {
        if (!block.spooled.empty() || block.received <= block.next) continue;
        auto pending = block.received - block.next;
        bool due = bursts_ == 0 || pending >= kBurstBytes || now - block.pending_since >= kBurstTime;
        if (!due) return std::nullopt;
        // A block of which nothing is stored yet goes at once, and needs no putting together.
        bool whole = block.closed && block.next == block.first;
        if (!whole) pending = std::min(pending, kBurstBytesMax);
        Job job{Job::Kind::burst, &block, block.next, block.next + pending,
                ByteView(block.data).subspan(block.next - block.first, pending),
                known_at(block, block.next + pending)};
        block.next += pending;
        ++block.in_flight;
        ++bursts_;
        return job;
    }
    return std::nullopt;
}

// Jobs of which one runs at a time: they hold a block's worth of sealed bytes.
std::optional<WalUpload::Job> WalUpload::choose_larger() {
    for (auto at = blocks_.begin(); at != blocks_.end(); ++at) {
        auto& block = *at;
        bool complete = block.closed && block.received == block.next;
        Job job{Job::Kind::whole, &block, block.first, block.received, block.data, block.known_before, block.parts};
        // While the repository is away, those who try are enough: they find out when it is back.
        bool useless = away_since_ && bursts_ > 0;
        if (!block.spooled.empty()) {
            if (useless || block.in_flight > 0) continue;
            job.kind = Job::Kind::unspool;
        } else if (complete && block.in_flight == 0 && !useless) {
            job.known = known_at(block, block.received);
            // Stored at once, or by a run before: nothing to put together.
            bool one = std::ranges::any_of(block.parts, [&](WalRangeName const& part) {
                return part.first == block.first && part.end == block.received;
            });
            if (one && block.parts.size() == 1) {
                blocks_.erase(at);
                options_.wake();
                return choose_larger();
            }
        } else if (block.closed && away_since_ && spool_ &&  // also one that is stored in parts: it would fill the memory
                   at != std::prev(blocks_.end()) &&
                   spooled_bytes_ + block.data.size() <= options_.spool_bytes_max) {
            job.kind = Job::Kind::spool;
            job.known = known_at(block, block.received);
        } else if (!block.closed && !useless && block.in_flight == 0 && block.parts.size() - block.folded >= kFoldParts) {
            job.kind = Job::Kind::fold;
            job.replaces.assign(block.parts.begin() + static_cast<std::ptrdiff_t>(block.folded), block.parts.end());
            auto less = [](auto const& a, auto const& b) { return a.first < b.first; };
            job.first = std::ranges::min_element(job.replaces, less)->first;
            job.end = block.next;
            job.known = block.known_before;
            job.bytes = ByteView(block.data).subspan(job.first - block.first, job.end - job.first);
        } else {
            continue;
        }
        larger_runs_ = true;
        return job;
    }
    return std::nullopt;
}

void WalUpload::run(Job const& job, std::stop_token stop) {
    if (job.kind == Job::Kind::spool) return spool(job, stop);
    if (job.kind == Job::Kind::unspool) return unspool(job, stop);
    auto done = store(job, stop);
    std::lock_guard lock(mutex_);
    if (job.kind == Job::Kind::burst) {
        --job.block->in_flight;
        --bursts_;
        release_data(*job.block);
    } else {
        larger_runs_ = false;
    }
    if (!done && done.error().kind != ErrorKind::cancelled && !failure_) failure_ = std::move(done).error();
    changed_.notify_all();
}

// False: it was given up, for another job stores what it would have.
Result<bool> WalUpload::store(Job const& job, std::stop_token stop) {
    auto sealed = TRY(seal_wal_range(repository_, stream_, job.block->timeline, job.first, job.bytes, job.known,
                                     options_.pair));
    auto put = TRY(put_until_stored(job, sealed, stop));
    if (put) stored(job, sealed.key, stop);
    return put;
}

Result<bool> WalUpload::put_until_stored(Job const& job, SealedWal const& sealed, std::stop_token stop) {
    auto wait = std::chrono::duration_cast<Duration>(kUploadRetryFirst);
    for (;;) {
        auto put = put_once(sealed.key, sealed.parts(), stop);
        if (put) return true;
        if (!passes(put.error())) return fail(std::move(put).error());
        std::unique_lock lock(mutex_);
        auto over = [&] { return is_given_up(job); };
        if (changed_.wait_for(lock, stop, wait, over)) return false;
        if (stop.stop_requested()) return fail(ErrorKind::cancelled, "stopped");
        // Larger ones make way for the spool; they are chosen again.
        if (job.kind != Job::Kind::burst) return false;
        wait = std::min<Duration>(wait * 2, kUploadRetryMax);
    }
}

Result<void> WalUpload::put_once(std::string const& key, std::span<ByteView const> parts, std::stop_token stop) {
    auto put = repository_.store().put(ObjectKey(key), parts, stop);
    // A run before, or we ourselves when an answer was lost, stored the same range sealed otherwise.
    if (!put && put.error().kind == ErrorKind::exists) {
        auto object = TRY(repository_.store().get(ObjectKey(key), stop));
        return check_wal(repository_, key, object, stop);
    }
    note_store(put);
    return put;
}

bool WalUpload::is_given_up(Job const& job) const {
    return job.kind == Job::Kind::burst && !job.block->spooled.empty();
}

void WalUpload::note_store(Result<void> const& result) {
    std::string message;
    {
        std::lock_guard lock(mutex_);
        if (!result && passes(result.error()) && !away_since_) {
            away_since_ = repository_.world().clock.elapsed();
            message = "the repository takes no log: " + result.error().message;
        } else if (result && away_since_) {
            message = fmt::format("the repository takes log again, after {}",
                                  format_duration(repository_.world().clock.elapsed() - *away_since_));
            away_since_.reset();
        }
    }
    if (!message.empty()) options_.warn(message);
}

// What the spool holds needs no memory; bursts that are still in flight read in it.
void WalUpload::release_data(Block& block) {
    if (!block.spooled.empty() && block.in_flight == 0) block.data = {};
}

void WalUpload::note_durable(std::uint64_t first, std::uint64_t end) {
    auto& known_end = done_[first];
    known_end = std::max(known_end, end);
    while (!done_.empty() && done_.begin()->first <= durable_) {
        durable_ = std::max(durable_, done_.begin()->second);
        done_.erase(done_.begin());
    }
}

void WalUpload::stored(Job const& job, std::string const& key, std::stop_token stop) {
    WalRangeName name = *parse_wal_key(key)->range;
    {
        std::lock_guard lock(mutex_);
        auto& block = *job.block;
        // Of a timeline that was left, nothing is asked any more.
        if (block.timeline == timeline_) note_durable(job.first, job.end);
        if (job.kind == Job::Kind::burst) {
            block.parts.push_back(name);
        } else if (job.kind == Job::Kind::fold) {
            std::erase_if(block.parts, [&](auto const& part) { return std::ranges::find(job.replaces, part) != job.replaces.end(); });
            block.parts.insert(block.parts.begin(), name);
            ++block.folded;
        } else {
            std::erase_if(blocks_, [&](Block const& other) { return &other == &block; });
        }
    }
    // What stays is durable: only now.
    for (auto const& part : job.replaces)
        if (part != name) (void)repository_.store().discard(ObjectKey(wal_key(stream_, part)), stop);
}

void WalUpload::spool(Job const& job, std::stop_token stop) {
    auto sealed = seal_wal_range(repository_, stream_, job.block->timeline, job.first, job.bytes, job.known,
                                 options_.pair);
    auto put = sealed ? spool_->put(ObjectKey(sealed->key), sealed->parts(), stop) : fail(sealed.error());
    // The receiver waits then; the server keeps what it has.
    if (!put) options_.warn("the spool takes no log: " + put.error().message);
    std::lock_guard lock(mutex_);
    larger_runs_ = false;
    if (!put) return;
    auto& block = *job.block;
    block.spooled = sealed->key;
    spooled_bytes_ += sealed->head.size() + sealed->content.size();
    release_data(block);
    changed_.notify_all();
}

void WalUpload::unspool(Job const& job, std::stop_token stop) {
    auto& block = *job.block;
    ObjectKey key(block.spooled);
    auto object = spool_->get(key, stop);
    ByteView const bytes = object ? ByteView(*object) : ByteView();
    auto put = object ? put_once(block.spooled, {&bytes, 1}, stop) : fail(object.error());
    if (put) (void)spool_->remove(key, stop);
    if (put)
        for (auto const& part : job.replaces) (void)repository_.store().discard(ObjectKey(wal_key(stream_, part)), stop);
    if (!put && passes(put.error())) {
        std::unique_lock lock(mutex_);
        changed_.wait_for(lock, stop, kUploadRetryFirst, [] { return false; });
    }
    std::lock_guard lock(mutex_);
    larger_runs_ = false;
    if (put) {
        if (block.timeline == timeline_) note_durable(block.first, block.received);
        spooled_bytes_ -= std::min<std::uint64_t>(spooled_bytes_, bytes.size());
        std::erase_if(blocks_, [&](Block const& other) { return &other == &block; });
    } else if (!passes(put.error()) && put.error().kind != ErrorKind::cancelled && !failure_) {
        failure_ = std::move(put).error();
    }
    changed_.notify_all();
}

}  // namespace holdfast::postgres
