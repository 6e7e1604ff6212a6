#include "repo/replicate.h"

#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/json.h"
#include "cli/workspace_options.h"
#include "store/memory_store.h"

namespace holdfast::cli {
namespace {

// One repository and the place of its copy: names of the plan, or URLs.
struct Pair {
    std::string from, to;
    std::optional<Duration> lag_max;
};

Result<std::vector<Pair>> pairs_of(Workspace const& workspace, Invocation const& invocation) {
    auto named = invocation.argument("COPY");
    if (auto to = invocation.value("to")) {
        auto from = TRY(workspace.default_repository());
        return std::vector<Pair>{{from, *to, {}}};
    }
    auto const* plan = TRY(workspace.plan());
    std::vector<Pair> pairs;
    for (auto const& repository : plan->repositories) {
        if (repository.copy_of.empty() || (!named.empty() && repository.name != named)) continue;
        pairs.push_back({repository.copy_of, repository.name, repository.lag});
    }
    if (!pairs.empty()) return pairs;
    if (named.empty()) {
        return fail(ErrorKind::usage, "no repository of the plan is a copy",
                    "write `copy_of: NAME` at the second repository, or give --to URL");
    }
    return fail(ErrorKind::usage, fmt::format("the plan has no copy '{}'", printable(named)),
                "name a repository that has `copy_of`");
}

Result<std::unique_ptr<Store>> open_place(Workspace const& workspace, Invocation const& invocation,
                                          std::string const& name, bool create) {
    OpenStoreOptions options{.create = create, .stop = invocation.stop};
    // --to names a place that no plan knows.
    if (invocation.value("to") == name) return open_store(name, options);
    return workspace.open_store_of(name, options);
}

void show(Output& output, Pair const& pair, Replication const& done, bool dry_run) {
    auto damaged = nlohmann::json::array();
    for (auto const& item : done.damaged) {
        damaged.push_back({{"object", printable(item.key)}, {"message", printable(item.error.message)}});
        output.line(output.styled(Style::bad, "not copied ") +
                    fmt::format("{}: {}", printable(item.key), printable(item.error.message)));
    }
    for (auto const& key : done.healed) {
        output.line(output.styled(Style::good, dry_run ? "would heal " : "healed ") + printable(key));
    }
    auto behind = done.lag ? fmt::format("it was {} and {} points behind", format_duration(*done.lag), done.points)
                           : std::string("it had every point");
    output.line(fmt::format("{} → {}: {} {} objects, {}; {} were there; {}", printable(pair.from),
                            printable(pair.to), dry_run ? "would copy" : "copied", done.copied,
                            format_bytes(done.bytes_copied), done.present, behind));
    if (done.locked > 0) output.line(fmt::format("locked {} objects of {} again", done.locked, printable(pair.to)));
    nlohmann::json lag;
    if (done.lag) lag = std::chrono::duration<double>(*done.lag).count();
    output.document(nlohmann::json{{"event", "replicated"},
                                   {"from", printable(pair.from)},
                                   {"to", printable(pair.to)},
                                   {"dry_run", dry_run},
                                   {"objects", done.copied},
                                   {"bytes", done.bytes_copied},
                                   {"present", done.present},
                                   {"healed", done.healed},
                                   {"damaged", damaged},
                                   {"points_behind", done.points},
                                   {"locked", done.locked},
                                   {"lag_seconds", lag}}
                        .dump());
}

Result<int> replicate_pair(Workspace& workspace, Invocation& invocation, Pair const& pair,
                           ReplicateOptions options) {
    if (!invocation.value("to")) options.lock = workspace.lock_of(pair.to);
    auto& output = invocation.output;
    auto from = TRY(open_place(workspace, invocation, pair.from, false));
    auto place = open_place(workspace, invocation, pair.to, !options.dry_run);
    // What is not there yet holds nothing.
    if (options.dry_run && !place && place.error().kind == ErrorKind::not_found) place = std::make_unique<MemoryStore>();
    auto to = TRY(std::move(place));
    auto bar = output.progress("replicate");
    auto hear = [&](ReplicateProgress const& progress) {
        bar({.what = "copying", .current = progress.current, .files = progress.objects,
             .files_total = progress.objects_total, .bytes = progress.bytes, .bytes_total = progress.bytes_total});
    };
    auto done = TRY(replicate(*from, *to, workspace.executor(), workspace.clock(), options, hear, invocation.stop));
    output.end_progress();
    show(output, pair, done, options.dry_run);
    if (!done.damaged.empty()) return kDamaged;
    if (pair.lag_max && done.lag && *done.lag > *pair.lag_max) {
        output.warning(fmt::format("the copy '{}' was {} behind, the plan allows {}", printable(pair.to),
                                   format_duration(*done.lag), format_duration(*pair.lag_max)));
        return kObjectiveMissed;
    }
    return kDone;
}

Result<int> run_replicate(Invocation& invocation) {
    auto workspace = TRY(open_workspace(invocation));
    ReplicateOptions options{.compare = invocation.has("compare"), .dry_run = invocation.has("dry-run")};
    if (auto limit = invocation.value("limit")) {
        options.bytes_per_second = TRY(parse_bytes(*limit).within("--limit"));
    }
    auto every = TRY(invocation.duration("every")).value_or(std::chrono::seconds(30));
    auto pairs = TRY(pairs_of(*workspace, invocation));
    while (true) {
        int worst = kDone;
        for (auto const& pair : pairs) {
            auto code = replicate_pair(*workspace, invocation, pair, options);
            // What follows goes on when a store is away for a while.
            bool passing = !code && (code.error().kind == ErrorKind::unreachable || code.error().kind == ErrorKind::io);
            if (!code && !(invocation.has("follow") && passing)) return fail(std::move(code.error()));
            if (!code) invocation.output.warning(code.error().message);
            worst = std::max(worst, code ? *code : static_cast<int>(kUnreachable));
        }
        if (!invocation.has("follow")) return worst;
        if (!workspace->clock().sleep(every, invocation.stop)) return fail(ErrorKind::cancelled, "stopped");
    }
}

}  // namespace

Command replicate_command() {
    return {.name = "replicate",
            .summary = "bring the second copy of a repository up to date",
            .details =
                "Copies what the plan's copies (`copy_of`) lack, or the one that is named; with --to, the repository "
                "at hand to any place. It needs no key. Packs are checked before they are copied, nothing is removed, "
                "and what a point needs is there before the point: the copy is a repository at every moment, and "
                "everything else (restore, recover, rescue) works on it. Interrupted, it goes on where it was. "
                "A damaged pack of the copy is replaced (--compare reads everything to find those of the right "
                "size). Exit code 6 names what is damaged in the source, 8: the copy was further behind than "
                "the plan's `lag`.",
            .arguments = {{"COPY", "a repository of the plan that has `copy_of`", true}},
            .options = {{.flag = "--to", .value = "URL", .help = "where the copy is, without a plan"},
                        {.flag = "--limit", .value = "BYTES", .help = "copy at most so much a second: 50MiB"},
                        {.flag = "--compare", .help = "read what both have, too, and compare"},
                        {.flag = "--follow", .help = "go on until it is stopped"},
                        {.flag = "--every", .value = "TIME", .help = "with --follow: look again after (30s)"},
                        {.flag = "--dry-run", .help = "say what would be copied"}},
            .run = run_replicate};
}

}  // namespace holdfast::cli
