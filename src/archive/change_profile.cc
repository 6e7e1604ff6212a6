#include "archive/change_profile.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <fmt/format.h>
#include <vector>

#include "base/text.h"

namespace holdfast {
namespace {

constexpr std::size_t kTalliesMax = 256;
constexpr std::size_t kInodesMax = 50'000;

// Endings that ransomware is known by; honest programs rarely make them. From public reports of the years
// 2016 to 2024. Not meant to be complete: the statistics catch what has no name yet.
constexpr std::string_view kRansomEndings[] = {
    ".akira",    ".alphv",   ".babyk",    ".basta",   ".blackcat", ".cerber",  ".clop",     ".conti",
    ".crab",     ".crypted", ".cryptolocker", ".crypz", ".cuba",   ".deadbolt", ".dharma",  ".djvu",
    ".encrypted", ".enc",    ".hive",     ".krab",    ".lockbit",  ".locked",  ".locky",    ".lukitus",
    ".maze",     ".medusa",  ".nemty",    ".odin",    ".phobos",   ".play",    ".ragnar",   ".rhysida",
    ".royal",    ".ryk",     ".ryuk",     ".sodinokibi", ".stop",  ".wannacry", ".wcry",    ".wncry",
    ".wnry",     ".zepto",
};

void add(ChangeCounts& to, ChangeCounts const& from) {
    to.known += from.known;
    to.rewritten += from.rewritten;
    to.vanished += from.vanished;
    to.renamed += from.renamed;
    to.added += from.added;
    to.judged += from.judged;
    to.random_rewritten += from.random_rewritten;
    to.random_added += from.random_added;
    to.ransom_names += from.ransom_names;
}

std::string numbers(ChangeCounts const& counts) {
    return fmt::format("{} {} {} {} {} {} {} {} {} {}", counts.known, counts.rewritten, counts.vanished, counts.renamed,
                       counts.added, counts.judged, counts.random_rewritten, counts.random_added, counts.ransom_names,
                       counts.entropy);
}

// "home/anna" of "home/anna/mail/1"; "" of a file at the top.
std::string_view directory_of(std::string_view path) {
    auto first = path.find('/');
    if (first == std::string_view::npos) return {};
    auto second = path.find('/', first + 1);
    return path.substr(0, second == std::string_view::npos ? first : second);
}

Result<ChangeCounts> parse_numbers(std::string_view& line) {
    std::array<std::uint64_t, 10> found{};
    for (auto& number : found) {
        if (line.starts_with(' ')) line.remove_prefix(1);
        auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), number);
        if (error != std::errc()) return fail(ErrorKind::damaged, "changes: a number is missing");
        line.remove_prefix(static_cast<std::size_t>(end - line.data()));
    }
    ChangeCounts counts;
    counts.known = found[0];
    counts.rewritten = found[1];
    counts.vanished = found[2];
    counts.renamed = found[3];
    counts.added = found[4];
    counts.judged = found[5];
    counts.random_rewritten = found[6];
    counts.random_added = found[7];
    counts.ransom_names = found[8];
    counts.entropy = found[9];
    return counts;
}

}  // namespace

std::string encode(ChangeProfile const& profile) {
    auto text = numbers(profile.total);
    for (auto const& [name, counts] : profile.directories) text += "\n" + numbers(counts) + " " + printable(name);
    return text;
}

Result<ChangeProfile> decode_change_profile(std::string_view text) {
    ChangeProfile profile;
    bool first = true;
    for (auto const& one : split(text, '\n')) {
        std::string_view line = one;
        auto counts = TRY(parse_numbers(line));
        if (std::exchange(first, false)) {
            if (!line.empty()) return fail(ErrorKind::damaged, "changes: the first line has a name");
            profile.total = counts;
            continue;
        }
        if (!line.starts_with(' ')) return fail(ErrorKind::damaged, "changes: a directory without a name");
        auto name = TRY(from_printable(line.substr(1)));
        profile.directories[name] = counts;
    }
    return profile;
}

bool is_ransom_name(std::string_view name) {
    auto dot = name.rfind('.');
    if (dot == std::string_view::npos || dot == 0) return false;
    std::string ending(name.substr(dot));
    for (char& c : ending) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
    }
    return std::ranges::find(kRansomEndings, ending) != std::end(kRansomEndings);
}

ChangeTracker::Tally& ChangeTracker::tally_of(std::string_view path) {
    auto directory = directory_of(path);
    auto found = tallies_.find(directory);
    if (found != tallies_.end()) return found->second;
    if (tallies_.size() >= kTalliesMax) directory = {};
    return tallies_[std::string(directory)];
}

void ChangeTracker::judge(Tally& tally, Randomness const& sample, std::uint64_t& random) {
    if (sample.blocks == 0) return;
    ++tally.counts.judged;
    tally.entropy += sample.entropy;
    if (sample.looks_random()) ++random;
}

void ChangeTracker::kept(std::string_view path) { ++tally_of(path).counts.known; }

void ChangeTracker::rewritten(std::string_view path, Randomness const& sample) {
    auto& tally = tally_of(path);
    ++tally.counts.known;
    ++tally.counts.rewritten;
    judge(tally, sample, tally.counts.random_rewritten);
}

void ChangeTracker::vanished(std::string_view path, std::uint64_t inode) {
    auto& tally = tally_of(path);
    ++tally.counts.known;
    ++tally.counts.vanished;
    if (vanished_.size() < kInodesMax) vanished_[inode] = &tally;
}

void ChangeTracker::added(std::string_view path, std::uint64_t inode, Randomness const& sample) {
    auto& tally = tally_of(path);
    ++tally.counts.added;
    judge(tally, sample, tally.counts.random_added);
    // Tcl's encodings are called *.enc: what can be read was not taken from anybody.
    auto reads_well = sample.blocks > 0 && sample.random_blocks == 0;
    if (!reads_well && is_ransom_name(path.substr(path.rfind('/') + 1))) ++tally.counts.ransom_names;
    if (added_.size() < kInodesMax) added_[inode] = &tally;
}

ChangeProfile ChangeTracker::finish() {
    for (auto const& [inode, tally] : vanished_) {
        if (added_.contains(inode)) ++tally->counts.renamed;
    }
    ChangeProfile profile;
    double entropy = 0;
    std::vector<std::pair<std::string, ChangeCounts>> all;
    auto thousandths = [](double sum, std::uint64_t judged) {
        return judged == 0 ? 0 : static_cast<std::uint64_t>(sum * 1000 / static_cast<double>(judged) + 0.5);
    };
    for (auto& [name, tally] : tallies_) {
        add(profile.total, tally.counts);
        entropy += tally.entropy;
        tally.counts.entropy = thousandths(tally.entropy, tally.counts.judged);
        if (!name.empty()) all.emplace_back(name, tally.counts);
    }
    profile.total.entropy = thousandths(entropy, profile.total.judged);
    auto liveliest = [](auto const& a, auto const& b) {
        return a.second.fresh() + a.second.vanished > b.second.fresh() + b.second.vanished;
    };
    std::ranges::stable_sort(all, liveliest);
    if (all.size() > kProfileDirectoriesMax) all.resize(kProfileDirectoriesMax);
    profile.directories.insert(all.begin(), all.end());
    return profile;
}

}  // namespace holdfast
