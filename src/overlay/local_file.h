#pragma once

#include "base/bytes.h"
#include "os/fd.h"

namespace holdfast {

// A file on the local disk, call by call, so that a simulation can lose what was not synced. Thread-safe.
class LocalFile {
  public:
    virtual ~LocalFile() = default;
    // Bytes.
    virtual Result<std::uint64_t> size() = 0;
    // Reads until `to` is full or the file ends; returns how much was read.
    virtual Result<std::size_t> read(std::uint64_t offset, ByteSpan to) = 0;
    // Writes everything. On failure a part may be written.
    virtual Result<void> write(std::uint64_t offset, ByteView bytes) = 0;
    virtual Result<void> truncate(std::uint64_t size) = 0;
    // fallocate(2): room for [offset, offset + length), whose bytes stay what they are; the file grows, or not.
    enum class Growth { grow, keep_size };
    virtual Result<void> allocate(std::uint64_t offset, std::uint64_t length, Growth growth) = 0;
    // Bytes and size survive power loss. After a failure nothing is known about what was written since the last one;
    // repeating it proves nothing.
    virtual Result<void> sync() = 0;
};

// One that is open, for reading and writing.
class OpenLocalFile : public LocalFile {
  public:
    OpenLocalFile(Fd file, std::string path) : file_(std::move(file)), path_(std::move(path)) {}
    Result<std::uint64_t> size() override;
    Result<std::size_t> read(std::uint64_t offset, ByteSpan to) override;
    Result<void> write(std::uint64_t offset, ByteView bytes) override;
    Result<void> truncate(std::uint64_t size) override;
    Result<void> allocate(std::uint64_t offset, std::uint64_t length, Growth growth) override;
    Result<void> sync() override;

  private:
    Fd const file_;
    std::string const path_;  // for messages
};

}  // namespace holdfast
