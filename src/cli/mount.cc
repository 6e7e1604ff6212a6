#include <fmt/format.h>

#include "base/text.h"
#include "cli/chunk_memory.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/json.h"
#include "cli/look.h"
#include "cli/workspace_options.h"
#include "mount/fuse_session.h"
#include "mount/renewed_fetch.h"
#include "mount/view.h"

namespace holdfast::cli {
namespace {

// Sealed and raw bytes between the store and the cache.
constexpr std::size_t kInFlight = 24u << 20;

Result<std::shared_ptr<MountedPoint>> the_point(Invocation& invocation, PointReference const& point, Fetch& fetch) {
    warn_of_stand_in(point, warn_to(invocation.output));
    return open_mounted_point(point.info, "", fetch, invocation.stop);
}

Result<int> run_mount(Invocation& invocation) {
    tune_memory_for_chunks();
    auto point_text = invocation.argument("POINT");
    auto directory = invocation.argument("DIR");
    if (directory.empty()) std::swap(point_text, directory);
    auto cache = TRY(cache_bytes(invocation));
    auto workspace = TRY(open_workspace(invocation));
    std::optional<PointReference> point;
    if (!point_text.empty()) point = TRY(find_point(*workspace, point_text, {}, invocation.stop));
    auto name = point ? point->repository : TRY(workspace->default_repository());
    auto* repository = TRY(workspace->repository(name, Role::reader, invocation.stop));
    auto open = [&](std::stop_token stop) { return repository->begin_fetch({.in_flight_bytes = kInFlight}, stop); };
    auto fetch = TRY(RenewedFetch::open(open, workspace->clock(), invocation.stop));

    auto& output = invocation.output;
    auto warn = [&](std::string const& message) { output.warning(message); };
    PointTable table([&](std::stop_token stop) { return repository->points(stop); }, *fetch, workspace->clock(), warn);
    View::Top top = &table;
    if (point) top = TRY(the_point(invocation, *point, *fetch));
    View view(*fetch, top, {.cache_bytes = cache, .warn = warn, .stop = invocation.stop});
    if (!point) TRY(table.now(invocation.stop));  // what is amiss is said before anybody looks
    auto session = TRY(FuseSession::mount(view, directory, {.allow_other = invocation.has("allow-other")}));

    auto shown = printable(std::filesystem::absolute(directory).lexically_normal().native());
    output.line(fmt::format("mounted at {}; Ctrl-C, or fusermount3 -u {}, unmounts", shown, shown));
    output.document(nlohmann::json{{"event", "mounted"}, {"at", shown}}.dump());
    TRY(session->serve(invocation.stop));
    return view.complaints() > 0 ? kDamaged : kDone;
}

}  // namespace

Command mount_command() {
    return {.name = "mount",
            .summary = "show recovery points as a file system, read-only",
            .details =
                "Without POINT: all points, as DIR/DATASET/TIME/…, with a link `latest` for each dataset; new points "
                "appear while it is mounted. With POINT: that point's tree. Stays in the foreground until Ctrl-C, SIGTERM "
                "or fusermount3 -u DIR. What the repository can't give exactly is an input/output error and a warning that "
                "names the object, and the exit code is 6 then. Killed, it leaves a dead mount and no harm: "
                "fusermount3 -u DIR removes it.",
            .arguments = {{"POINT", "a point; without it DIR comes first", true},
                          {"DIR", "a directory that exists", true}},
            .options = {{.flag = "--cache", .value = "SIZE",
                         .help = "memory for chunks (default: 96 MiB)"},
                        {.flag = "--allow-other",
                         .help = "let other users look, as far as modes and ACLs in the point let them"}},
            .run = run_mount};
}

}  // namespace holdfast::cli
