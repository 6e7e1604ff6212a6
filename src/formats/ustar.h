#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace holdfast {

// An entry of a tar archive in the ustar interchange format (POSIX.1-2008, pax, "ustar Interchange
// Format").
struct UstarEntry {
    enum class Type : std::uint8_t { file, directory, symlink };
    std::string path;  // relative, without "." and "..", without a slash at the end
    Type type = Type::file;
    std::uint64_t size = 0;
    std::uint32_t mode = 0;  // 07777
    std::uint32_t uid = 0, gid = 0;
    std::string user, group;
    std::int64_t mtime = 0;  // seconds since 1970
    std::string target;      // symlinks
};

// Reads an archive that arrives in pieces of any size.
//
// Strict: it takes what PostgreSQL's server writes (plain ustar, large numbers in base 256) and refuses
// the rest, so that nothing odd in a stream is passed over in silence. The two zero blocks at the end
// may be missing: PostgreSQL before 15 leaves them to the client. A general library pulls its input,
// guesses among formats and takes extensions; here the bytes are pushed by the protocol's messages, and
// what is not exactly this format is a fault.
class UstarReader {
  public:
    class Handler {
      public:
        virtual ~Handler() = default;
        virtual Result<void> entry(UstarEntry const& entry) = 0;
        // Content of the entry before, in order, in pieces that are never empty.
        virtual Result<void> data(ByteView bytes) = 0;
        // All of the entry's content was given.
        virtual Result<void> entry_end() = 0;
    };

    explicit UstarReader(Handler& handler) : handler_(handler) {}
    // `damaged` for what is no such archive; an error of the handler is passed on. After an error the
    // reader must not be used any more.
    Result<void> push(ByteView bytes);
    // No more comes: `damaged` inside an entry.
    Result<void> finish();

  private:
    Result<void> header();

    Handler& handler_;
    Bytes block_;                    // the header that is being collected
    std::uint64_t data_left_ = 0;    // of the current entry
    std::uint64_t padding_left_ = 0; // to the next border of 512 bytes
    bool in_entry_ = false;
    int zero_blocks_ = 0;
};

}  // namespace holdfast
