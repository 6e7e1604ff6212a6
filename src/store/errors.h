#pragma once

// The errors that all stores share, so that they read alike.

#include <fmt/format.h>

#include "store/store.h"

namespace holdfast::store_errors {

inline std::unexpected<Error> missing(ObjectKey const& key) {
    return fail(ErrorKind::not_found, fmt::format("object '{}': not in the store", key.text()));
}
inline std::unexpected<Error> taken(ObjectKey const& key) {
    return fail(ErrorKind::exists,
                fmt::format("object '{}': the store holds other bytes under this key", key.text()));
}
inline std::unexpected<Error> too_short(ObjectKey const& key, std::uint64_t size,
                                        std::uint64_t offset, std::uint64_t length) {
    return fail(ErrorKind::damaged,
                fmt::format("object '{}': {} bytes from offset {} are wanted, but it has only {}",
                            key.text(), length, offset, size));
}
// Fails with `cancelled` when `stop` was requested.
inline Result<void> check(std::stop_token const& stop) {
    if (stop.stop_requested())
        return fail(ErrorKind::cancelled, "stopped");
    return {};
}
// Whether [offset, offset + length) lies in `size` bytes; sums that overflow do not.
inline bool in_range(std::uint64_t size, std::uint64_t offset, std::uint64_t length) {
    return offset <= size && length <= size - offset;
}

}  // namespace holdfast::store_errors
