#include "archive/randomness.h"

#include <algorithm>
#include <cmath>

namespace holdfast {
namespace {

constexpr std::size_t kSampleBytes = 2048;
constexpr std::uint64_t kStride = 64u << 10;
constexpr std::uint32_t kBlocksMax = 16;
// With fewer than two bytes for each value the test tells nothing.
constexpr std::size_t kJudgedBytesMin = 512;
// 255 + 6 standard deviations of sqrt(2 * 255): by Wilson and Hilferty's approximation one block of noise in
// ten million is above it.
constexpr double kChiSquaredMax = 390;

}  // namespace

void RandomnessSampler::add(std::uint64_t offset, ByteView bytes) {
    auto end = offset + bytes.size();
    while (next_ < end && found_.blocks < kBlocksMax) {
        // A block that lies across two pieces is taken as far as the first one goes; one in a hole is passed.
        if (next_ < offset) next_ = offset;
        auto at = static_cast<std::size_t>(next_ - offset);
        judge(bytes.subspan(at, std::min(kSampleBytes, bytes.size() - at)));
        next_ += kStride;
    }
}

void RandomnessSampler::judge(ByteView block) {
    if (block.size() < kJudgedBytesMin) return;
    std::array<std::uint32_t, 256> counts{};
    for (auto byte : block) ++counts[byte];
    auto expected = static_cast<double>(block.size()) / 256;
    double chi_squared = 0;
    for (std::size_t i = 0; i < counts.size(); ++i) {
        auto difference = counts[i] - expected;
        chi_squared += difference * difference / expected;
        counts_[i] += counts[i];
    }
    ++found_.blocks;
    if (chi_squared <= kChiSquaredMax) ++found_.random_blocks;
}

Randomness RandomnessSampler::finish() const {
    auto found = found_;
    std::uint64_t total = 0;
    for (auto count : counts_) total += count;
    for (auto count : counts_) {
        if (count == 0) continue;
        auto share = static_cast<double>(count) / static_cast<double>(total);
        found.entropy -= share * std::log2(share);
    }
    return found;
}

}  // namespace holdfast
