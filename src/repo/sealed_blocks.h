#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "crypto/crypto.h"
#include "os/fd.h"
#include "os/random.h"

namespace holdfast {

// A local file of blocks which open only under this client's key: for what is derived from a repository and
// kept outside of it. Written once, from its beginning; read block by block. What was torn, cut off, changed,
// or belongs to another file does not open.
//
// The file: a block with "HFB1" and 16 random bytes (the file's id), then sealed blocks of 4,096 bytes each:
// AES-256-GCM of 4,080 bytes, tag behind them; nonce: u64 number of the block, from 1, and zeros; key:
// HKDF-SHA-256(the owner's key, salt: id, info: the owner's binding).
inline constexpr std::size_t kSealedBlockBytes = 4096;
inline constexpr std::size_t kPlainBlockBytes = kSealedBlockBytes - kGcmTagBytes;
using Block = std::array<std::uint8_t, kPlainBlockBytes>;

// Whose the file is.
struct SealedBlocksOwner {
    Secret key;     // 32 bytes
    Bytes binding;  // what the key alone does not tell apart
};

class SealedBlocks {
  public:
    // `damaged` when it is no such file. Whether it is the owner's shows when a block is read.
    static Result<SealedBlocks> open(std::string path, SealedBlocksOwner const& owner);
    // Blocks behind the first.
    std::uint64_t size() const { return size_; }
    // The block `number`, from 1. `damaged` when it is not what was written there. Thread-safe.
    Result<void> read(std::uint64_t number, Block& to) const;
    std::string const& path() const { return path_; }
    // Of all that this process opened, this one.
    std::uint64_t opened() const { return opened_; }

  private:
    SealedBlocks(std::string path, Fd fd, Secret key, std::uint64_t size);

    std::uint64_t opened_;
    std::string path_;
    Fd fd_;
    Secret key_;
    std::uint64_t size_;
};

// Writes beside `path`; finish() gives the file its name, in the place of whatever had it. Not synced: after
// a power failure the file may not open, and is made again.
class SealedBlocksWriter {
  public:
    static Result<SealedBlocksWriter> create(std::string path, SealedBlocksOwner const& owner, Random& random);
    SealedBlocksWriter(SealedBlocksWriter&&) = default;
    ~SealedBlocksWriter();  // removes what was not finished

    // Appends to the block at hand, or to the next one when it does not fit: no record lies in two blocks.
    // At most kPlainBlockBytes.
    void put(ByteView record);
    template <typename Record>
    void put_record(Record const& record) {
        static_assert(std::has_unique_object_representations_v<Record>);
        put({reinterpret_cast<std::uint8_t const*>(&record), sizeof record});
    }
    // What follows begins in a new block.
    void end_block();
    // The first error of any write, too.
    Result<void> finish() &&;

  private:
    SealedBlocksWriter(std::string path, std::string temporary, Fd fd, Secret key)
        : path_(std::move(path)), temporary_(std::move(temporary)), fd_(std::move(fd)), key_(std::move(key)) {}
    void flush();

    std::string path_, temporary_;
    Fd fd_;
    Secret key_;
    Block block_{};
    std::size_t used_ = 0;
    std::uint64_t number_ = 0;  // of the block sealed last
    Bytes sealed_;              // and not yet written
    std::uint64_t written_ = 0;
    Result<void> status_;
};

// Blocks that were read last, of several files: bounded. Thread-safe.
class BlockCache {
  public:
    explicit BlockCache(std::size_t blocks_max);
    ~BlockCache();
    // Copies `to.size()` bytes from `offset` in the block `number`.
    Result<void> read(SealedBlocks const& file, std::uint64_t number, std::size_t offset, ByteSpan to);

  private:
    struct Slot;
    std::vector<Slot> slots_;
};

}  // namespace holdfast
