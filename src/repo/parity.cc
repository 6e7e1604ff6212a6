#include "repo/parity.h"

#include <isa-l/erasure_code.h>

#include <algorithm>
#include <cassert>
#include <cstring>

namespace holdfast {
namespace {

// So much of each sector is worked on at once: the parity of it stays in the nearest cache, and each data
// sector is read in runs that the processor reads ahead. (Whole sectors at once take three times as long.)
constexpr std::size_t kStripe = 4096;

std::uint8_t coefficient(ParityShape const& shape, std::size_t row, std::size_t column) {
    return gf_inv(static_cast<std::uint8_t>((shape.data + row) ^ column));
}

// ISA-L's tables for a matrix of `rows` × `columns`: what it multiplies by, spread out.
std::vector<std::uint8_t> tables_of(std::vector<std::uint8_t> matrix, std::size_t rows, std::size_t columns) {
    std::vector<std::uint8_t> tables(32 * rows * columns);
    ec_init_tables(static_cast<int>(columns), static_cast<int>(rows), matrix.data(), tables.data());
    return tables;
}

// Adds data sector `column` times its column of the matrix to all rows. The library takes no const.
void add(std::vector<std::uint8_t>& tables, std::size_t rows, std::size_t columns, std::size_t column,
         std::uint8_t const* bytes, std::size_t size, std::uint8_t** into) {
    ec_encode_data_update(static_cast<int>(size), static_cast<int>(columns), static_cast<int>(rows),
                          static_cast<int>(column), tables.data(),
                          const_cast<std::uint8_t*>(bytes),  // NOLINT: it only reads
                          into);
}

void check(ParityShape const& shape) {
    assert(shape.sector > 0 && shape.data > 0 && shape.parity > 0);
    assert(shape.data + shape.parity <= kParitySectorsMax);
    (void)shape;
}

// What lies at an offset of several views, joined: as much of it as is in one piece.
class Joined {
  public:
    explicit Joined(std::span<ByteView const> parts) {
        for (auto part : parts) {
            starts_.push_back(size_);
            size_ += part.size();
            parts_.push_back(part);
        }
    }
    std::size_t size() const { return size_; }
    ByteView at(std::size_t offset) const {
        auto part = static_cast<std::size_t>(std::upper_bound(starts_.begin(), starts_.end(), offset) - starts_.begin());
        return parts_[part - 1].subspan(offset - starts_[part - 1]);
    }

  private:
    std::vector<ByteView> parts_;
    std::vector<std::size_t> starts_;
    std::size_t size_ = 0;
};

}  // namespace

void compute_parity(ParityShape const& shape, std::span<ByteView const> parts, ByteSpan parity) {
    check(shape);
    assert(parity.size() == shape.parity * shape.sector);
    Joined data(parts);
    assert(data.size() <= shape.data * shape.sector && data.size() > (shape.data - 1) * shape.sector);
    std::vector<std::uint8_t> matrix;
    for (std::size_t row = 0; row < shape.parity; ++row) {
        for (std::size_t column = 0; column < shape.data; ++column) matrix.push_back(coefficient(shape, row, column));
    }
    auto tables = tables_of(std::move(matrix), shape.parity, shape.data);
    std::ranges::fill(parity, std::uint8_t{0});
    std::vector<std::uint8_t*> into(shape.parity);
    for (std::size_t begin = 0; begin < shape.sector; begin += kStripe) {
        auto end = std::min(begin + kStripe, shape.sector);
        for (std::size_t sector = 0; sector < shape.data; ++sector) {
            auto at = begin;
            while (at < end && sector * shape.sector + at < data.size()) {
                auto piece = data.at(sector * shape.sector + at);
                auto size = std::min(piece.size(), end - at);
                for (std::size_t row = 0; row < shape.parity; ++row) into[row] = parity.data() + row * shape.sector + at;
                add(tables, shape.parity, shape.data, sector, piece.data(), size, into.data());
                at += size;
            }
        }
    }
}

void reconstruct_data(ParityShape const& shape, ByteSpan data, ByteView parity, std::span<std::uint32_t const> bad,
                      std::span<std::uint32_t const> good_parity) {
    check(shape);
    assert(parity.size() == shape.parity * shape.sector);
    assert(!bad.empty() && good_parity.size() >= bad.size());
    auto count = bad.size();
    // What the good data sectors leave of the parity is a sum of the bad ones alone: as many equations as
    // unknowns, whose matrix is a square part of the Cauchy matrix.
    std::vector<std::uint8_t> square, rows;
    for (std::size_t i = 0; i < count; ++i) {
        for (auto column : bad) square.push_back(coefficient(shape, good_parity[i], column));
        for (std::size_t column = 0; column < shape.data; ++column) {
            rows.push_back(coefficient(shape, good_parity[i], column));
        }
    }
    std::vector<std::uint8_t> inverse(count * count);
    [[maybe_unused]] auto singular = gf_invert_matrix(square.data(), inverse.data(), static_cast<int>(count));
    assert(singular == 0);
    auto sums = tables_of(std::move(rows), count, shape.data);
    auto solve = tables_of(std::move(inverse), count, count);

    Bytes rest(count * kStripe), solved(count * kStripe);
    for (std::size_t begin = 0; begin < shape.sector; begin += kStripe) {
        auto size = std::min(kStripe, shape.sector - begin);
        std::vector<std::uint8_t*> into, result;
        for (std::size_t i = 0; i < count; ++i) {
            into.push_back(rest.data() + i * kStripe);
            result.push_back(solved.data() + i * kStripe);
            std::memcpy(into[i], parity.data() + good_parity[i] * shape.sector + begin, size);
        }
        for (std::uint32_t sector = 0; sector < shape.data; ++sector) {
            auto at = sector * shape.sector + begin;
            if (at >= data.size() || std::ranges::find(bad, sector) != bad.end()) continue;
            add(sums, count, shape.data, sector, data.data() + at, std::min(size, data.size() - at), into.data());
        }
        std::ranges::fill(solved, std::uint8_t{0});
        for (std::size_t i = 0; i < count; ++i) add(solve, count, count, i, into[i], size, result.data());
        for (std::size_t i = 0; i < count; ++i) {
            auto at = bad[i] * shape.sector + begin;
            if (at < data.size()) std::memcpy(data.data() + at, result[i], std::min(size, data.size() - at));
        }
    }
}

}  // namespace holdfast
