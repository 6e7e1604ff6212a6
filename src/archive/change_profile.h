#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "archive/randomness.h"
#include "base/result.h"

namespace holdfast {

// What became of files since the last capture, in numbers. Without a last capture all are `added`.
struct ChangeCounts {
    std::uint64_t known = 0;      // that the last capture remembered
    std::uint64_t rewritten = 0;  // of these: with other content
    std::uint64_t vanished = 0;   // of these: no longer there under that name
    std::uint64_t renamed = 0;    // of the vanished: their inode has another name now
    std::uint64_t added = 0;      // under names that the last capture did not remember
    std::uint64_t judged = 0;     // of rewritten and added: long enough to tell noise from text
    std::uint64_t random_rewritten = 0, random_added = 0;  // of the judged: they look like noise
    std::uint64_t ransom_names = 0;  // of the added: names that known malware gives, and not readable as a whole
    std::uint64_t entropy = 0;       // of the judged: mean of their bits a byte, in thousandths

    std::uint64_t fresh() const { return rewritten + added; }
    bool operator==(ChangeCounts const&) const = default;
};

inline constexpr char kChangesAttribute[] = "changes";
// Directories that a point tells of, the liveliest ones.
inline constexpr std::size_t kProfileDirectoriesMax = 16;

struct ChangeProfile {
    ChangeCounts total;
    // By directory below the root, at most two names deep: "home/anna" counts all below it.
    std::map<std::string, ChangeCounts> directories;
    bool operator==(ChangeProfile const&) const = default;
};

// A line for the whole and one for each directory: ten numbers in the order above, then (directories) a
// space and the printable() name. Documented in docs/repository-format.md.
std::string encode(ChangeProfile const& profile);
// `damaged` on what encode() could not have written.
Result<ChangeProfile> decode_change_profile(std::string_view text);

// Whether the name ends as those that known ransomware gives: ".lockbit", ".wncry" …
bool is_ransom_name(std::string_view name);

// Counts while a tree is walked. Memory is bounded: directories beyond some hundred are counted with the
// root's own files, renames beyond 50,000 not at all.
class ChangeTracker {
  public:
    // `path` is below the root. Each known file is told once, by one of the first three.
    void kept(std::string_view path);
    void rewritten(std::string_view path, Randomness const& sample);
    void vanished(std::string_view path, std::uint64_t inode);
    void added(std::string_view path, std::uint64_t inode, Randomness const& sample);
    ChangeProfile finish();

  private:
    struct Tally {
        ChangeCounts counts;
        double entropy = 0;  // sum over the judged
    };
    Tally& tally_of(std::string_view path);
    void judge(Tally& tally, Randomness const& sample, std::uint64_t& random);

    std::map<std::string, Tally, std::less<>> tallies_;
    std::unordered_map<std::uint64_t, Tally*> vanished_, added_;  // by inode
};

}  // namespace holdfast
