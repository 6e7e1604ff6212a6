#pragma once

#include <algorithm>
#include <optional>

#include "base/bytes.h"

namespace holdfast {

// Bytes that are read where they are wanted: a file of any size, or memory. What reads a format asks for what
// it needs and never holds the rest.
class RandomAccess {
  public:
    virtual ~RandomAccess() = default;
    virtual std::uint64_t size() const = 0;
    // Fills `bytes` from `offset`; all of it lies within size(). `io` when it can't be read.
    virtual Result<void> read(std::uint64_t offset, ByteSpan bytes) const = 0;
};

class MemoryAccess : public RandomAccess {
  public:
    explicit MemoryAccess(ByteView bytes) : bytes_(bytes) {}
    std::uint64_t size() const override { return bytes_.size(); }
    Result<void> read(std::uint64_t offset, ByteSpan bytes) const override {
        if (offset > bytes_.size() || bytes.size() > bytes_.size() - offset) {
            return fail(ErrorKind::internal, "read beyond the end");
        }
        std::copy_n(bytes_.data() + offset, bytes.size(), bytes.begin());
        return {};
    }

  private:
    ByteView bytes_;
};

// A part of another one, which it must not outlive. The part must lie within it.
class PartialAccess : public RandomAccess {
  public:
    PartialAccess(RandomAccess const& whole, std::uint64_t offset, std::uint64_t size)
        : whole_(whole), offset_(offset), size_(size) {}
    std::uint64_t size() const override { return size_; }
    Result<void> read(std::uint64_t offset, ByteSpan bytes) const override {
        if (offset > size_ || bytes.size() > size_ - offset) return fail(ErrorKind::internal, "read beyond the end");
        return whole_.read(offset_ + offset, bytes);
    }

  private:
    RandomAccess const& whole_;
    std::uint64_t offset_, size_;
};

// `size` bytes at `offset`; `damaged` when the file ends before, or when they are more than `bytes_max`:
// nothing is allocated from an unchecked length.
inline Result<Bytes> read_run(RandomAccess const& file, std::uint64_t offset, std::uint64_t size,
                              std::uint64_t bytes_max) {
    if (offset > file.size() || size > file.size() - offset) return fail(ErrorKind::damaged, "the file ends early");
    if (size > bytes_max) return fail(ErrorKind::damaged, "a part is larger than any that is read into memory");
    Bytes bytes(size);
    TRY(file.read(offset, bytes));
    return bytes;
}

// Reads on and on, through a buffer; remembers the first failure, after which all reads yield zero or empty.
class SequentialReader {
  public:
    SequentialReader(RandomAccess const& file, std::uint64_t offset, std::uint64_t end)
        : file_(file), at_(offset), end_(std::min(end, file.size())) {}

    std::uint64_t at() const { return at_; }
    std::uint64_t remaining() const { return at_ > end_ ? 0 : end_ - at_; }
    bool ok() const { return !error_; }
    // Why not; `damaged` when it just ended early.
    Error error() const { return *error_; }

    std::uint8_t u8() { return integer<std::uint8_t>(); }
    template <typename T>
    T integer() {
        T value{};
        std::uint8_t bytes[sizeof(T)];
        if (fill(bytes)) std::memcpy(&value, bytes, sizeof value);
        return value;
    }
    // At most `bytes_max`, which bounds what is allocated.
    Bytes run(std::uint64_t size, std::uint64_t bytes_max) {
        if (size > bytes_max) return fault("a text or list longer than allowed"), Bytes();
        if (size > remaining()) return fault("it ends early"), Bytes();
        Bytes bytes(size);
        if (!fill(bytes)) bytes.clear();
        return bytes;
    }
    void skip(std::uint64_t size) {
        if (size > remaining()) return fault("it ends early");
        at_ += size;
    }
    void fault(std::string what) {
        if (!error_) error_ = Error{ErrorKind::damaged, std::move(what), {}};
    }

  private:
    bool fill(ByteSpan to) {
        if (error_) return false;
        if (to.size() > remaining()) return fault("it ends early"), false;
        for (std::size_t done = 0; done < to.size();) {
            if (at_ < from_ || at_ >= from_ + buffer_.size()) {
                buffer_.resize(std::min<std::uint64_t>(remaining(), 64 << 10));
                from_ = at_;
                if (auto read = file_.read(at_, buffer_); !read) {
                    error_ = read.error();
                    return false;
                }
            }
            auto offset = at_ - from_;
            auto size = std::min<std::uint64_t>(buffer_.size() - offset, to.size() - done);
            std::copy_n(buffer_.data() + offset, size, to.data() + done);
            done += size;
            at_ += size;
        }
        return true;
    }

    RandomAccess const& file_;
    std::uint64_t at_, end_, from_ = 0;
    Bytes buffer_;
    std::optional<Error> error_;
};

}  // namespace holdfast
