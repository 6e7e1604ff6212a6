#pragma once

#include <stop_token>

#include "repo/pack.h"
#include "store/store.h"

namespace holdfast {

// Getting back what lies in a pack that is damaged.

// The pack as far as the store still gives it: `size` bytes, zeros where it gives none (a bad spot of a disk,
// an end that was cut off). not_found when it is gone; unreachable, cancelled.
Result<Bytes> read_around_damage(Store& store, PackId const& id, std::uint64_t size, std::stop_token stop);

// The same, mended by the pack's parity: as it was written under this name. `damaged` when that is not enough.
// Without `size`, the one that a trailer states, or that the object has.
Result<Bytes> read_mended(Store& store, PackId const& id, std::optional<std::uint64_t> size, std::stop_token stop);

}  // namespace holdfast
