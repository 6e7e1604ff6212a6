#pragma once

#include <optional>
#include <stop_token>
#include <vector>

#include "repo/fetch.h"

namespace holdfast {

// Where the bytes of a file lie, for access at any offset: the extents of its content, searchable.
class FileMap {
  public:
    // Reads the content's lists. Some 60 bytes of memory for each extent.
    static Result<FileMap> load(Fetch& fetch, Content const& content, std::stop_token stop);

    std::uint64_t size() const { return size_; }
    // Bytes that are no hole.
    std::uint64_t data_bytes() const { return data_bytes_; }
    std::size_t count() const { return extents_.size(); }
    Extent const& extent(std::size_t index) const { return extents_[index]; }
    std::uint64_t begin(std::size_t index) const { return begins_[index]; }
    // The extent that holds `offset`; count() at or beyond the end.
    std::size_t find(std::uint64_t offset) const;
    // The first offset from `offset` on that is data, or a hole (the end of the file is one): SEEK_DATA and
    // SEEK_HOLE of lseek(2). Nothing at or beyond the end, or when only a hole follows.
    std::optional<std::uint64_t> next_data(std::uint64_t offset) const;
    std::optional<std::uint64_t> next_hole(std::uint64_t offset) const;

  private:
    std::vector<Extent> extents_;
    std::vector<std::uint64_t> begins_;
    std::uint64_t size_ = 0, data_bytes_ = 0;
};

}  // namespace holdfast
