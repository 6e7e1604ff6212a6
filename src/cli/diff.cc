#include "archive/diff.h"

#include <fmt/format.h>

#include "archive/source.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/json.h"
#include "cli/look.h"
#include "cli/workspace_options.h"

namespace holdfast::cli {
namespace {

char mark(Difference::Change change) {
    switch (change) {
        case Difference::Change::added: return '+';
        case Difference::Change::removed: return '-';
        case Difference::Change::content: return 'M';
        case Difference::Change::metadata: return 'm';
        case Difference::Change::type: return 'T';
    }
    return '?';
}

// Whole points are compared: a path that was passed over would look like "no differences" below it.
Result<void> refuse_path(std::string const& path) {
    if (path.empty()) return {};
    return fail(ErrorKind::usage, fmt::format("diff compares whole points, not '{}' alone", printable(path)),
                "name the point without a path");
}

Result<int> run_diff(Invocation& invocation) {
    auto opened = TRY(open_point(invocation, invocation.argument("A")));
    TRY(refuse_path(opened.path));
    auto& output = invocation.output;
    std::uint64_t count = 0;
    auto visit = [&](Difference const& difference) -> Result<void> {
        ++count;
        output.line(fmt::format("{} {}{}{}", mark(difference.change), difference.path.empty() ? "." : printable(difference.path),
                                difference.detail.empty() ? "" : "  ", difference.detail));
        output.document(nlohmann::json{{"event", "difference"},
                                       {"change", holdfast::name(difference.change)},
                                       {"path", printable(difference.path)},
                                       {"detail", printable(difference.detail)}}
                            .dump());
        return {};
    };
    auto const& from = opened.point.info.point;
    if (invocation.has_argument("B")) {
        auto [text, path] = split_point_path(invocation.argument("B"));
        TRY(refuse_path(path));
        auto to = TRY(find_point(*opened.workspace, text, {}, invocation.stop));
        warn_of_stand_in(to, warn_to(output));
        if (to.repository != opened.point.repository) {
            return fail(ErrorKind::usage, "the two points are in different repositories",
                        "name one of them with --repo");
        }
        TRY(diff_trees(*opened.fetch, from.tree, to.info.point.tree, visit, invocation.stop));
    } else {
        if (from.kind.starts_with("postgres")) {
            return fail(ErrorKind::usage, "a running database can't be compared with a point file by file",
                        "restore the point and compare, or name a second point");
        }
        auto live = invocation.value("live").value_or(from.root);
        auto exclude = TRY(noted_exclusions(from));
        TRY(diff_live(*opened.fetch, from.tree, live, {.exclude = std::move(exclude), .captured_root = from.root}, visit,
                      invocation.stop));
    }
    output.line(count == 0 ? "no differences" : fmt::format("{} difference{}", count, count == 1 ? "" : "s"));
    output.document(nlohmann::json{{"event", "end"}, {"differences", count}}.dump());
    return count == 0 ? kDone : kCheckFailed;
}

}  // namespace

Command diff_command() {
    return {.name = "diff",
            .summary = "what changed between two points, or since a point (drift)",
            .details = "Without B, the point is compared with what is live at the dataset's own place. Exit code 0: "
                       "no difference, 7: there are some. Marks: + added, - removed, M content, m metadata, T type.",
            .arguments = {{"A", "the older point"}, {"B", "the newer point", true}},
            .options = {{.flag = "--live", .value = "DIR", .help = "compare with this directory instead of the dataset's own place"}},
            .run = run_diff};
}

}  // namespace holdfast::cli
