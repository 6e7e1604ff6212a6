#include "sources/postgres/page_verifier.h"

#include <fmt/format.h>

#include <algorithm>

namespace holdfast::postgres {
namespace {

constexpr std::size_t kKernelPageBytes = 4096;
// A write of one page takes microseconds.
constexpr int kAttemptsMax = 5;

bool is_bad(PgPageState state) { return state != PgPageState::sound && state != PgPageState::fresh; }

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

void PageVerifier::update(ByteSpan bytes, Again const& again) {
    for (; partial_.empty() && bytes.size() >= kPgPageBytes; bytes = bytes.subspan(kPgPageBytes)) {
        auto page = bytes.first(kPgPageBytes);
        auto state = check(page);
        for (int attempt = 0; is_bad(state) && !explained(page) && attempt < kAttemptsMax && again(pages(), page); ++attempt)
            state = check(page);
        judge(page, state);
    }
    update(ByteView(bytes));
}

PgPageState PageVerifier::check(ByteView page) const {
    return check_pg_page(page, block_, {.checksums = options_.checksums});
}

// Whether it was being written while it was read, and the log rewrites it.
bool PageVerifier::explained(ByteView page) const {
    if (!options_.backup_start) return false;
    auto header = read_pg_page_header(page);
    bool written_meanwhile = header.lsn >= *options_.backup_start &&
                             (!options_.backup_end || header.lsn <= *options_.backup_end);
    return written_meanwhile || (header.upper == 0 && first_half_is_zero(page));
}

void PageVerifier::judge(ByteView page, PgPageState state) {
    auto block = block_++;
    if (!is_bad(state)) return;
    auto header = read_pg_page_header(page);
    BadPage bad{block, state, header.lsn, explained(page), {}};
    if (state == PgPageState::bad_checksum)
        bad.detail = fmt::format("page checksum mismatch: stored {:04x}, computed {:04x}", header.checksum,
                                 pg_page_checksum(page, block));
    else
        bad.detail = fmt::format("page header is not valid: lower {}, upper {}, special {}", header.lower,
                                 header.upper, header.special);
    report_(bad);
}

}  // namespace holdfast::postgres
