// `ls` and `cat`: looking at what a point holds.
#include "cli/look.h"

#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/json.h"
#include "cli/workspace_options.h"

namespace holdfast::cli {
namespace {

std::string mode_text(Entry const& entry) {
    static constexpr char kTypes[] = "?-dlpscb";
    std::string text(1, kTypes[static_cast<std::size_t>(entry.type)]);
    for (int shift = 6; shift >= 0; shift -= 3) {
        auto bits = entry.mode >> shift;
        text += (bits & 4) != 0 ? 'r' : '-';
        text += (bits & 2) != 0 ? 'w' : '-';
        bool special = (entry.mode & (01000u << (shift / 3))) != 0;
        char on = shift == 0 ? 't' : 's';
        bool execute = (bits & 1) != 0;
        text += special ? (execute ? on : static_cast<char>(on - 32)) : (execute ? 'x' : '-');
    }
    return text;
}

void show(Output& output, Entry const& entry, std::string const& path) {
    auto size = entry.type == EntryType::file ? format_bytes(entry.content.size) : "";
    auto owner = (entry.user.empty() ? std::to_string(entry.uid) : entry.user) + ":" +
                 (entry.group.empty() ? std::to_string(entry.gid) : entry.group);
    auto time = to_rfc3339(Time(std::chrono::seconds(entry.mtime_seconds)));
    auto shown = printable(path) + (entry.type == EntryType::directory ? "/" : "");
    if (entry.type == EntryType::symlink) shown += " → " + printable(entry.target);
    output.line(fmt::format("{} {:<17} {:>10} {} {}", mode_text(entry), owner, size, time, shown));
    output.document(to_json(entry, path).dump());
}

Result<int> run_ls(Invocation& invocation) {
    auto opened = TRY(open_point(invocation, invocation.argument("POINT")));
    auto& output = invocation.output;
    auto tree = opened.tree();
    auto start = TRY(tree.find(opened.path, invocation.stop));
    if (start.type != EntryType::directory) {
        show(output, start, opened.path);
        return kDone;
    }
    bool damaged = false;
    auto prefix = opened.path.empty() ? "" : opened.path + "/";
    auto visit = [&](std::string const& path, Entry const& entry) -> Result<bool> {
        if (path.empty()) return true;
        show(output, entry, prefix + path);
        return invocation.has("recursive");
    };
    auto hurt = [&](std::string const& path, Error const& error) -> Result<void> {
        output.warning(fmt::format("{}: {}", printable(prefix + path), error.message));
        damaged = true;
        return {};
    };
    TRY(tree.walk(opened.path, visit, hurt, invocation.stop));
    return damaged ? kDamaged : kDone;
}

Result<int> run_cat(Invocation& invocation) {
    auto opened = TRY(open_point(invocation, invocation.argument("POINT:PATH")));
    if (opened.path.empty()) {
        return fail(ErrorKind::usage, "no file is named", "write it behind the point and a colon: POINT:PATH");
    }
    auto context = fmt::format("'{}'", printable(opened.path));
    auto entry = TRY(opened.tree().find(opened.path, invocation.stop));
    if (entry.type != EntryType::file) {
        return fail(ErrorKind::usage, fmt::format("{} is a {}, not a file", context, name(entry.type)),
                    "holdfast ls shows what the point holds");
    }
    static constexpr std::size_t kZeroBytes = 64 << 10;
    static constexpr char kZeros[kZeroBytes] = {};
    auto print = [&](std::span<Extent const> extents) -> Result<void> {
        for (auto const& extent : extents) {
            if (extent.chunk) {
                auto bytes = TRY(opened.fetch->chunk(*extent.chunk, invocation.stop));
                if (extent.offset + extent.length > bytes.size()) {
                    return fail(ErrorKind::damaged, "an extent reaches beyond its chunk");
                }
                TRY(invocation.output.raw(as_text(ByteView(bytes).subspan(extent.offset, extent.length))));
                continue;
            }
            for (auto left = extent.length; left > 0;) {
                auto part = std::min<std::uint64_t>(left, kZeroBytes);
                TRY(invocation.output.raw({kZeros, part}));
                left -= part;
            }
        }
        return {};
    };
    TRY(opened.fetch->extents(entry.content, print, invocation.stop).within(context));
    return kDone;
}

}  // namespace

Result<OpenedPoint> open_point(Invocation& invocation, std::string_view text) {
    OpenedPoint opened;
    opened.workspace = TRY(open_workspace(invocation));
    auto [point, path] = split_point_path(text);
    // Paths are below the root: "/a" and "a" and "a/" are the same.
    while (path.starts_with('/')) path.erase(0, 1);
    while (path.ends_with('/')) path.pop_back();
    opened.path = std::move(path);
    opened.point = TRY(find_point(*opened.workspace, point, {}, invocation.stop));
    warn_of_stand_in(opened.point, warn_to(invocation.output));
    auto* repository =
        TRY(opened.workspace->repository(opened.point.repository, Role::reader, invocation.stop));
    opened.fetch = TRY(repository->begin_fetch({}, invocation.stop));
    return opened;
}

Command ls_command() {
    return {.name = "ls",
            .summary = "list what a point holds",
            .details = "Paths are below the dataset's root. Names with bytes that are not text are shown as \\xNN.",
            .arguments = {{"POINT", "a point, and a path in it: NAME@latest:some/directory"}},
            .options = {{.flag = "-R,--recursive", .help = "and everything below"}},
            .run = run_ls};
}

Command cat_command() {
    return {.name = "cat",
            .summary = "print a file of a point",
            .details = "",
            .arguments = {{"POINT:PATH", "a point, a colon, the path of a file in it"}},
            .options = {},
            .run = run_cat};
}

}  // namespace holdfast::cli
