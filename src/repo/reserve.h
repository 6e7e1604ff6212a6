#pragma once

#include "os/random.h"
#include "store/store.h"

namespace holdfast {

// Room that is kept so that a full disk can be emptied: deleting needs a log entry and a list of what is
// doomed first, and they need room. reserve/<n> holds bytes that mean nothing; only stores whose room
// ends have one.
inline constexpr std::string_view kReservePrefix = "reserve/";
inline constexpr std::size_t kReserveBytes = 8u << 20;

// Makes the reserve where it is missing and the store is of that kind. A store that is full (or cannot
// tell) has none: that is no error.
Result<void> keep_reserve(Store& store, Random& random, std::stop_token stop);
// Whether there was something to give back.
Result<bool> give_back_reserve(Store& store, std::stop_token stop);
// put(), and once more without the reserve when the store is full.
Result<void> put_from_reserve(Store& store, ObjectKey const& key, ByteView object, std::stop_token stop);

}  // namespace holdfast
