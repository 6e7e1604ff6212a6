#pragma once

#include <array>
#include <cstdint>

#include "base/bytes.h"

namespace holdfast {

// What a sample of a file's bytes looks like.
struct Randomness {
    std::uint32_t blocks = 0;         // of the sample that were long enough to be judged
    std::uint32_t random_blocks = 0;  // of these: no different from noise
    double entropy = 0;               // bits a byte (Shannon) over all judged blocks, 0 … 8

    // Files of which at least half looks like noise: encrypted or well compressed. Half, because some
    // malware encrypts every other block only, for speed.
    bool looks_random() const { return blocks > 0 && 2 * random_blocks >= blocks; }
};

// Judges blocks of 2 KiB, one each 64 KiB, at most 16 of a file. Each is tested by Pearson's chi-squared
// against the uniform distribution of 256 bytes: for noise it is 255 ± 22.6, whatever the size; for text,
// programs and pages of a database it is thousands.
class RandomnessSampler {
  public:
    // The bytes of the file in their order, in pieces of any size.
    void add(std::uint64_t offset, ByteView bytes);
    Randomness finish() const;

  private:
    void judge(ByteView block);

    Randomness found_;
    std::array<std::uint64_t, 256> counts_{};
    std::uint64_t next_ = 0;  // where the next block begins
};

}  // namespace holdfast
