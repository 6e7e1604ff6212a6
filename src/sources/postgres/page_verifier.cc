#include "sources/postgres/page_verifier.h"

#include <fmt/format.h>

#include <algorithm>

namespace holdfast::postgres {
namespace {

constexpr std::size_t kKernelPageBytes = 4096;

bool first_half_is_zero(ByteView page) {
    return std::ranges::all_of(page.first(kKernelPageBytes), [](auto byte) { return byte == 0; });
}

}  // namespace

PageVerifier::PageVerifier(PageVerifierOptions options, Report report)
    : options_(options), report_(std::move(report)), block_(options.first_block) {}

void PageVerifier::update(ByteView bytes) {
    if (!partial_.empty()) {
        auto missing = bytes.first(std::min(kPgPageBytes - partial_.size(), bytes.size()));
        partial_.insert(partial_.end(), missing.begin(), missing.end());
        bytes = bytes.subspan(missing.size());
        if (partial_.size() < kPgPageBytes) return;
        page(partial_);
        partial_.clear();
    }
    while (bytes.size() >= kPgPageBytes) {
        page(bytes.first(kPgPageBytes));
        bytes = bytes.subspan(kPgPageBytes);
    }
    partial_.assign(bytes.begin(), bytes.end());
}

void PageVerifier::page(ByteView page) {
    auto block = block_++;
    auto state = check_pg_page(page, block, {.checksums = options_.checksums});
    if (state == PgPageState::sound || state == PgPageState::fresh) return;
    auto header = read_pg_page_header(page);
    BadPage bad{block, state, header.lsn, false, {}};
    if (options_.backup_start) {
        bool written_meanwhile = header.lsn >= *options_.backup_start &&
                                 (!options_.backup_end || header.lsn <= *options_.backup_end);
        bad.torn = written_meanwhile || (header.upper == 0 && first_half_is_zero(page));
    }
    if (state == PgPageState::bad_checksum)
        bad.detail = fmt::format("page checksum mismatch: stored {:04x}, computed {:04x}", header.checksum,
                                 pg_page_checksum(page, block));
    else
        bad.detail = fmt::format("page header is not valid: lower {}, upper {}, special {}", header.lower,
                                 header.upper, header.special);
    report_(bad);
}

}  // namespace holdfast::postgres
