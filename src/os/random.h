#pragma once

#include <memory>

#include "base/bytes.h"

namespace holdfast {

// Unpredictable bytes. Replaced by a seeded stream in simulations.
class Random {
  public:
    virtual ~Random() = default;
    // Fills `bytes`. Thread-safe; cannot fail (a system without randomness ends the process).
    virtual void fill(ByteSpan bytes) = 0;
};

// The kernel's generator (getrandom).
Random& system_random();

// The same bytes for the same seed: for tests and simulation, never for keys. Thread-safe.
class SeededRandom : public Random {
  public:
    explicit SeededRandom(std::uint64_t seed);
    void fill(ByteSpan bytes) override;

  private:
    struct State;
    std::shared_ptr<State> state_;  // shared: a copied stream goes on as one
};

}  // namespace holdfast
