#include "cli/chunk_memory.h"

#include <fmt/format.h>
#include <malloc.h>

#include "base/units.h"

namespace holdfast::cli {
namespace {

constexpr std::uint64_t kCacheDefault = 96u << 20;
constexpr std::uint64_t kCacheMin = 16u << 20;

}  // namespace

Result<std::size_t> cache_bytes(Invocation& invocation) {
    auto text = invocation.value("cache");
    if (!text) return kCacheDefault;
    auto bytes = TRY(parse_bytes(*text).within("--cache"));
    if (bytes < kCacheMin) {
        return fail(ErrorKind::usage, fmt::format("--cache: at least {}", format_bytes(kCacheMin)));
    }
    return bytes;
}

void tune_memory_for_chunks() {
    // Chunks of about a MiB come and go on a dozen threads for days: they are mapped, so that they go back to
    // the system, and threads share arenas, so that what is free in one does not add up.
    ::mallopt(M_MMAP_THRESHOLD, 128 << 10);
    ::mallopt(M_ARENA_MAX, 2);
}

}  // namespace holdfast::cli
