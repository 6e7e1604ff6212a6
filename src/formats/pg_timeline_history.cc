#include "formats/pg_timeline_history.h"

#include <fmt/format.h>

#include <charconv>

#include "base/text.h"

namespace holdfast {

std::string timeline_history_name(std::uint32_t timeline) { return fmt::format("{:08X}.history", timeline); }

Result<std::vector<TimelineBranch>> parse_timeline_history(std::string_view text, std::uint32_t timeline) {
    auto damaged = [&](std::string_view what) {
        return fail(ErrorKind::damaged, fmt::format("the history of timeline {}: {}", timeline, what));
    };
    std::vector<TimelineBranch> branches;
    for (auto const& line : split(text, '\n')) {
        auto begin = line.find_first_not_of(" \t\r");
        if (begin == line.npos || line[begin] == '#') continue;
        auto words = std::string_view(line).substr(begin);
        TimelineBranch branch;
        auto parsed = std::from_chars(words.data(), words.data() + words.size(), branch.timeline);
        words.remove_prefix(static_cast<std::size_t>(parsed.ptr - words.data()));
        auto position = words.find_first_not_of(" \t");
        if (parsed.ec != std::errc{} || position == words.npos || position == 0) return damaged("a line is malformed");
        words.remove_prefix(position);
        auto lsn = parse_lsn(words.substr(0, words.find_first_of(" \t\r")));
        if (!lsn) return damaged(lsn.error().message);
        branch.end = *lsn;
        auto const* before = branches.empty() ? nullptr : &branches.back();
        if (branch.timeline == 0 || branch.timeline >= timeline ||
            (before && (branch.timeline <= before->timeline || branch.end < before->end)))
            return damaged("timelines are out of order");
        branches.push_back(branch);
    }
    return branches;
}

}  // namespace holdfast
