#include "archive/anomaly.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "base/text.h"

namespace holdfast {
namespace {

// Encryption: what was there before is noise now, in place or beside its deleted original.
constexpr std::uint64_t kLossMin = 8;      // fewer files tell nothing
constexpr double kLossShareMin = 0.2;      // of what was known
constexpr double kRandomRise = 0.3;        // of noise among fresh files, above what is usual there
constexpr double kDeviations = 6;          // of the binomial distribution
constexpr double kJump = 2;                // times the largest loss share of the history
// Disappearance: what was there before is gone, and nothing came for it.
constexpr std::uint64_t kKnownMin = 50;
constexpr double kGoneShareMin = 0.5;
// Names.
constexpr std::uint64_t kRansomNamesMin = 3;
constexpr std::uint64_t kRansomNamesJump = 10;

double ratio(std::uint64_t part, std::uint64_t whole) {
    return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

// Files that were readable and are noise now. Noise that was added without anything vanishing is no loss:
// that is what a release, a backup or a photo album looks like.
std::uint64_t loss(ChangeCounts const& counts) {
    return counts.random_rewritten + std::min(counts.vanished, counts.random_added);
}
std::uint64_t gone(ChangeCounts const& counts) {
    return counts.vanished > counts.added ? counts.vanished - counts.added : 0;
}

// What is usual in one directory, or in all.
struct Usual {
    std::uint64_t judged = 0, random = 0;
    double loss_share = 0, gone_share = 0;  // the largest
    std::uint64_t ransom_names = 0;         // the largest

    void add(ChangeCounts const& counts) {
        judged += counts.judged;
        random += counts.random_rewritten + counts.random_added;
        loss_share = std::max(loss_share, ratio(loss(counts), counts.known));
        gone_share = std::max(gone_share, ratio(gone(counts), counts.known));
        ransom_names = std::max(ransom_names, counts.ransom_names);
    }
    // Of noise among fresh files, by Laplace's rule: with few observations it is near a half.
    double random_share() const { return (static_cast<double>(random) + 1) / (static_cast<double>(judged) + 2); }
};

bool is_encryption(ChangeCounts const& now, Usual const& usual) {
    auto lost = loss(now);
    auto share = ratio(lost, now.known);
    if (lost < kLossMin || share < kLossShareMin || share < kJump * usual.loss_share) return false;
    auto n = static_cast<double>(now.judged);
    auto k = static_cast<double>(now.random_rewritten + now.random_added);
    auto p = usual.random_share();
    if (n == 0 || k / n - p < kRandomRise) return false;
    return (k - n * p) / std::sqrt(n * p * (1 - p)) >= kDeviations;
}

std::string where(std::string const& directory) {
    return directory.empty() ? std::string() : "in '" + printable(directory) + "': ";
}

}  // namespace

std::optional<std::string> judge_changes(ChangeProfile const& now, std::span<ChangeProfile const> history) {
    Usual usual;
    std::map<std::string, Usual> usual_in;
    for (auto const& profile : history) {
        usual.add(profile.total);
        for (auto const& [name, counts] : profile.directories) usual_in[name].add(counts);
    }
    auto names = now.total.ransom_names;
    if (names >= kRansomNamesMin && names > kRansomNamesJump * usual.ransom_names) {
        return fmt::format("{} new files have names that ransomware gives", names);
    }
    if (history.empty()) return {};

    auto encrypted = [&](std::string const& directory, ChangeCounts const& counts,
                         Usual const& here) -> std::optional<std::string> {
        if (!is_encryption(counts, here)) return {};
        return fmt::format("{}{} of {} files were replaced by noise, as if encrypted", where(directory), loss(counts),
                           counts.known);
    };
    if (auto reason = encrypted("", now.total, usual)) return reason;
    for (auto const& [directory, counts] : now.directories) {
        // One that the history does not tell of is held against the whole.
        auto found = usual_in.find(directory);
        auto const& here = found == usual_in.end() || found->second.judged == 0 ? usual : found->second;
        if (auto reason = encrypted(directory, counts, here)) return reason;
    }
    auto share = ratio(gone(now.total), now.total.known);
    if (now.total.known >= kKnownMin && share >= kGoneShareMin && share >= kJump * usual.gone_share) {
        return fmt::format("{} of {} files are gone, and only {} came", now.total.vanished, now.total.known,
                           now.total.added);
    }
    return {};
}

}  // namespace holdfast
