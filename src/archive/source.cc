#include "archive/source.h"

#include "archive/back_up.h"
#include "archive/path_filter.h"
#include "base/text.h"

namespace holdfast {

std::string_view name(Finding::Verdict verdict) {
    switch (verdict) {
        case Finding::Verdict::verified: return "verified";
        case Finding::Verdict::suspicious: return "suspicious";
        case Finding::Verdict::damaged: return "damaged";
        case Finding::Verdict::not_verified: return "not verified";
    }
    return "not verified";
}

void Capture::take(BackUpResult result, Time now) {
    point.time = now;
    point.root = std::move(result.root);
    point.tree = std::move(result.tree);
    point.files = result.files;
    point.bytes = result.bytes;
    point.unreadable = result.problem_count;
    problems = std::move(result.problems);
    problem_count = result.problem_count;
    point.attributes[kChangesAttribute] = encode(result.changes);
}

void note_selection(RecoveryPoint& point, std::vector<std::string> const& paths,
                    std::vector<std::string> const& exclude) {
    auto to_lines = [](std::vector<std::string> const& list) {
        std::vector<std::string> lines;
        for (auto const& item : list) lines.push_back(printable(item));
        return join(lines, "\n");
    };
    point.attributes["paths"] = to_lines(paths);
    if (!exclude.empty()) point.attributes["exclude"] = to_lines(exclude);
}

Result<std::vector<std::string>> noted_exclusions(RecoveryPoint const& point) {
    std::vector<std::string> patterns;
    auto at = point.attributes.find("exclude");
    if (at == point.attributes.end()) return patterns;
    for (auto const& line : split(at->second, '\n')) {
        auto pattern = TRY(from_printable(line).within("the point's attribute 'exclude'"));
        patterns.push_back(std::move(pattern));
    }
    return patterns;
}

Result<RestoreOptions> with_exclusions(RestoreContext const& context) {
    auto options = context.options;
    auto patterns = TRY(noted_exclusions(context.point));
    if (patterns.empty()) return options;
    // Patterns are against absolute paths; a restore names what is below its target.
    auto base = context.point.root + "/";
    for (auto const& part : split(context.path, '/')) {
        if (!part.empty()) base += part + "/";
    }
    if (base.starts_with("//")) base.erase(0, 1);
    options.exclude = [filter = PathFilter(patterns), base,
                       other = context.options.exclude](std::string const& below) {
        return filter.excludes(base + below) || (other && other(below));
    };
    return options;
}

ProgressCallback with_totals(RestoreContext const& context) {
    if (!context.progress || !context.path.empty()) return context.progress;
    return [&context](Progress const& at) {
        auto whole = at;
        whole.files_total = context.point.files;
        whole.bytes_total = context.point.bytes;
        context.progress(whole);
    };
}

}  // namespace holdfast
