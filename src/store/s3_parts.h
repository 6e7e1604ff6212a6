#pragma once

// What the files of S3Store share. Only for them.

#include <algorithm>
#include <fmt/format.h>
#include <optional>
#include <vector>

#include "crypto/crypto.h"
#include "store/s3_client.h"
#include "store/store.h"

namespace holdfast::s3 {

inline constexpr char kHashHeader[] = "x-amz-meta-holdfast-sha256";
inline constexpr std::uint64_t kObjectBytesMax = std::uint64_t{4} << 30;

// No such object, or no such version of it.
inline bool is_missing(S3Failure const& failure) {
    return failure.status == 404 && (failure.code == "NoSuchKey" || failure.code == "NoSuchVersion");
}

inline std::unexpected<Error> failed(S3Failure failure) {
    return fail(std::move(failure.error));
}

// Part [offset, offset + length) of the concatenation of `parts`.
std::vector<ByteView> slice(std::span<ByteView const> parts, std::uint64_t offset,
                            std::uint64_t length);
std::string hex_sha256(std::span<ByteView const> parts);
std::string base64(ByteView bytes);

// A decimal number without anything else.
std::optional<std::uint64_t> parse_number(std::string_view text);

// Servers have been seen to say 200 and then put an error into the body. `root`: the element that
// the body has to be; empty: any body but an error, also none.
std::optional<Error> error_in_success(HttpAnswer const& answer, std::string_view root);

}  // namespace holdfast::s3
