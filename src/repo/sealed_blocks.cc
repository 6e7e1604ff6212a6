#include "repo/sealed_blocks.h"

#include <atomic>
#include <cassert>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>

#include "os/errors.h"
#include "os/file.h"

namespace holdfast {
namespace {

constexpr std::string_view kBlocksMagic = "HFB1";
constexpr std::size_t kFileIdBytes = 16;
constexpr std::size_t kWriteBytes = 64 * kSealedBlockBytes;

Secret file_key(SealedBlocksOwner const& owner, ByteView id) {
    return hkdf_sha256(owner.key.view(), id, owner.binding, 32);
}

GcmNonce nonce_of(std::uint64_t number) {
    GcmNonce nonce{};
    std::memcpy(nonce.data(), &number, sizeof number);
    return nonce;
}

}  // namespace

SealedBlocks::SealedBlocks(std::string path, Fd fd, Secret key, std::uint64_t size)
    : path_(std::move(path)), fd_(std::move(fd)), key_(std::move(key)), size_(size) {
    static std::atomic<std::uint64_t> count{0};
    opened_ = ++count;
}

Result<SealedBlocks> SealedBlocks::open(std::string path, SealedBlocksOwner const& owner) {
    auto fd = TRY(open_file(path, O_RDONLY | O_NOFOLLOW));
    struct stat status {};
    if (::fstat(fd.get(), &status) != 0) return failed("examine", path);
    auto size = static_cast<std::uint64_t>(status.st_size);
    std::array<std::uint8_t, kBlocksMagic.size() + kFileIdBytes> head;
    auto got = TRY(pread_full(fd, head, 0));
    auto rest = ByteView(head);
    if (size % kSealedBlockBytes != 0 || got != head.size() || as_text(rest.first(kBlocksMagic.size())) != kBlocksMagic) {
        return fail(ErrorKind::damaged, "'" + path + "' is no file of sealed blocks");
    }
    auto key = file_key(owner, rest.subspan(kBlocksMagic.size()));
    return SealedBlocks(std::move(path), std::move(fd), std::move(key), size / kSealedBlockBytes - 1);
}

Result<void> SealedBlocks::read(std::uint64_t number, Block& to) const {
    std::array<std::uint8_t, kSealedBlockBytes> sealed;
    auto got = TRY(pread_full(fd_, sealed, number * kSealedBlockBytes).within("read '" + path_ + "'"));
    if (number == 0 || got != sealed.size() || !gcm_open(key_.view(), nonce_of(number), {}, sealed, to)) {
        return fail(ErrorKind::damaged, "'" + path_ + "': block " + std::to_string(number) + " is not what was written");
    }
    return {};
}

Result<SealedBlocksWriter> SealedBlocksWriter::create(std::string path, SealedBlocksOwner const& owner,
                                                      Random& random) {
    std::array<std::uint8_t, kFileIdBytes> id;
    random.fill(id);
    auto temporary = path + "." + to_hex(ByteView(id).first(4)) + ".tmp";
    auto fd = TRY(open_file(temporary, O_WRONLY | O_CREAT | O_EXCL));
    SealedBlocksWriter writer(std::move(path), std::move(temporary), std::move(fd), file_key(owner, id));
    writer.sealed_.reserve(kWriteBytes);
    auto magic = as_bytes(kBlocksMagic);
    writer.sealed_.assign(magic.begin(), magic.end());
    writer.sealed_.insert(writer.sealed_.end(), id.begin(), id.end());
    writer.sealed_.resize(kSealedBlockBytes);
    return writer;
}

SealedBlocksWriter::~SealedBlocksWriter() {
    if (fd_) ::unlink(temporary_.c_str());
}

void SealedBlocksWriter::put(ByteView record) {
    assert(record.size() <= kPlainBlockBytes);
    if (record.size() > kPlainBlockBytes - used_) end_block();
    std::memcpy(block_.data() + used_, record.data(), record.size());
    used_ += record.size();
}

void SealedBlocksWriter::end_block() {
    if (used_ == 0) return;
    std::memset(block_.data() + used_, 0, kPlainBlockBytes - used_);
    used_ = 0;
    auto at = sealed_.size();
    sealed_.resize(at + kSealedBlockBytes);
    gcm_seal(key_.view(), nonce_of(++number_), {}, block_, ByteSpan(sealed_).subspan(at));
    if (sealed_.size() >= kWriteBytes) flush();
}

void SealedBlocksWriter::flush() {
    if (status_) status_ = pwrite_full(fd_, sealed_, written_);
    written_ += sealed_.size();
    sealed_.clear();
}

Result<void> SealedBlocksWriter::finish() && {
    end_block();
    flush();
    TRY(std::move(status_).within("write '" + temporary_ + "'"));
    if (::rename(temporary_.c_str(), path_.c_str()) != 0) return failed("rename", temporary_);
    fd_.reset();
    return {};
}

struct BlockCache::Slot {
    std::mutex mutex;
    std::uint64_t file = 0;  // SealedBlocks::opened()
    std::uint64_t number = 0;
    std::unique_ptr<Block> block;
};

BlockCache::BlockCache(std::size_t blocks_max) : slots_(blocks_max) {}
BlockCache::~BlockCache() = default;

Result<void> BlockCache::read(SealedBlocks const& file, std::uint64_t number, std::size_t offset, ByteSpan to) {
    assert(offset <= kPlainBlockBytes && to.size() <= kPlainBlockBytes - offset);
    // Neighbours lie in neighbouring slots.
    auto& slot = slots_[(number + file.opened() * 977) % slots_.size()];
    std::lock_guard lock(slot.mutex);
    if (slot.file != file.opened() || slot.number != number) {
        if (!slot.block) slot.block = std::make_unique<Block>();
        slot.file = 0;
        TRY(file.read(number, *slot.block));
        slot.file = file.opened();
        slot.number = number;
    }
    std::memcpy(to.data(), slot.block->data() + offset, to.size());
    return {};
}

}  // namespace holdfast
