#pragma once

#include <condition_variable>
#include <filesystem>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "repo/wal_log.h"

namespace holdfast::postgres {

struct WalUploadOptions {
    // What is stored as one object when it is complete: a segment, or a part of a larger one. A power of two, at most
    // kWalObjectRawMax.
    std::uint64_t block_bytes = kWalObjectRawMax;
    std::string pair = {};  // the key pair that the dataset has of its own; empty: none
    // Where whole blocks wait while the repository is out of reach; empty: they do not.
    std::filesystem::path spool = {};
    std::uint64_t spool_bytes_max = 1u << 30;
    // Called, from any thread, when something became durable or room was made.
    std::function<void()> wake = [] {};
    // Hears when the repository goes away and comes back, from any thread.
    std::function<void(std::string const&)> warn = [](std::string const&) {};
};

// Brings a log into the repository while it is being received. What came in is stored at once when nothing is in
// flight; while something is, a MiB or a fifth of a second is waited for. When a block is complete, it is stored as
// one object, and then its parts are removed (which fails silently where this key may not remove).
//
// Invariant: durable() counts only what the repository's store has acknowledged, without a gap.
//
// It holds at most a block and a quarter of received log in memory. While the repository is away, complete blocks go to the spool.
// begin(), append() and close() belong to one thread; the rest may be called from any.
class WalUpload {
  public:
    WalUpload(Repository& repository, WalStream stream, WalUploadOptions options);
    // Gives up what is not stored yet.
    ~WalUpload();

    // Stores what a run before left in the spool. Until it is empty, the repository has not all that was received.
    Result<void> empty_spool(std::stop_token stop);

    // The log goes on (or begins) on `timeline` at `first`, a multiple of a block; the store has it up to `durable`
    // already, some of it in `parts`, which are this key's. All before was drained.
    struct Begin {
        std::uint32_t timeline = 0;
        std::uint64_t first = 0;
        std::uint64_t durable = 0;
        std::vector<WalRangeName> parts = {};
    };
    void begin(Begin begin);

    bool has_room() const;
    // Takes bytes that begin at `position`, at most where received() is; what was received before must be the same:
    // `damaged` when the server sends another log than before. `known`: its clock when it had written no more than
    // that; nullopt when it had.
    Result<void> append(std::uint64_t position, ByteView bytes, std::optional<Time> known);
    // The timeline ends here: its last block is complete, although it is short.
    void close();

    std::uint64_t received() const;
    std::uint64_t durable() const;
    // Where the block begins that the next bytes belong to: from there on they are in memory.
    std::uint64_t block_start() const;
    // Everything that was received is durable.
    bool drained() const { return durable() >= received(); }
    // Everything that was received is durable, and no parts are left of what is complete.
    bool settled() const;
    // Since when the repository does not take anything; nullopt while it does.
    std::optional<Duration> away_for() const;
    std::uint64_t spooled_bytes() const;
    // What can't be mended by trying again: a refused key, other bytes under our names.
    std::optional<Error> failure() const;

  private:
    struct Block {
        std::uint32_t timeline = 0;
        std::uint64_t first = 0;
        Bytes data;  // never grows beyond what it reserved: jobs read in it while more comes in
        std::uint64_t received = 0;
        std::uint64_t next = 0;  // all before is stored or in flight
        Duration pending_since{};
        Time known;               // the server's clock when it had written up to known_at
        std::uint64_t known_at = 0;
        Time known_before;        // likewise, for what ends before that
        std::vector<WalRangeName> parts;  // durable, this key's
        std::size_t folded = 0;           // so many of them are results of a fold
        unsigned in_flight = 0;
        bool closed = false;
        std::string spooled;  // key of the object in the spool
    };
    struct Job {
        enum class Kind { burst, fold, whole, spool, unspool } kind;
        Block* block = nullptr;
        std::uint64_t first = 0, end = 0;
        ByteView bytes = {};
        Time known = {};
        std::vector<WalRangeName> replaces = {};
    };

    void work(std::stop_token stop);
    std::optional<Job> choose();
    std::optional<Job> choose_burst(Duration now);
    std::optional<Job> choose_larger();
    void run(Job const& job, std::stop_token stop);
    Result<bool> store(Job const& job, std::stop_token stop);
    Result<bool> put_until_stored(Job const& job, SealedWal const& sealed, std::stop_token stop);
    Block& add_block();
    static Time known_at(Block& block, std::uint64_t end);
    void release_data(Block& block);
    Result<void> put_once(std::string const& key, std::span<ByteView const> parts, std::stop_token stop);
    void stored(Job const& job, std::string const& key, std::stop_token stop);
    void spool(Job const& job, std::stop_token stop);
    void unspool(Job const& job, std::stop_token stop);
    void note_durable(std::uint64_t first, std::uint64_t end);
    void note_store(Result<void> const& result);
    bool is_given_up(Job const& job) const;

    Repository& repository_;
    WalStream const stream_;
    WalUploadOptions const options_;
    std::unique_ptr<Store> spool_;

    mutable std::mutex mutex_;  // guards all below
    std::condition_variable_any work_;     // there may be a job: calls_ changed
    std::uint64_t calls_ = 0;
    std::condition_variable_any changed_;  // a job ended, or is not needed any more
    std::list<Block> blocks_;   // oldest first
    std::uint32_t timeline_ = 0;
    std::uint64_t received_ = 0;
    std::uint64_t durable_ = 0;
    std::map<std::uint64_t, std::uint64_t> done_;  // durable, behind a gap: first → end
    unsigned bursts_ = 0;
    bool larger_runs_ = false;
    std::optional<Duration> away_since_;
    std::uint64_t spooled_bytes_ = 0;
    std::optional<Error> failure_;
    std::vector<std::jthread> threads_;  // last: they use everything
};

}  // namespace holdfast::postgres
