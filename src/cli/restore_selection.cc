#include "cli/restore_selection.h"

#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"
#include "cli/chunk_memory.h"
#include "cli/exit_code.h"
#include "cli/json.h"
#include "cli/workspace_options.h"
#include "datasets/selection.h"

namespace holdfast::cli {

Result<int> run_selection(Invocation& invocation, Workspace& workspace) {
    tune_memory_for_chunks();
    auto databases = invocation.all("database");
    if (databases.size() > 1) return fail(ErrorKind::usage, "one --database at a time is looked into");
    Selection selection{.database = databases.empty() ? "" : databases.front(),
                        .tables = invocation.all("table"),
                        .schemas = invocation.all("schema"),
                        .into = *invocation.value("into"),
                        .timeline = invocation.value("timeline").value_or("latest")};
    std::filesystem::path const scratch = invocation.value("scratch").value_or(std::filesystem::temp_directory_path());
    auto& output = invocation.output;
    auto restored = TRY(restore_selection(workspace, invocation.argument("POINT"), selection, scratch,
                                          output.progress("recover"),
                                          warn_to(output), invocation.stop));
    output.end_progress();
    warn_of_stand_in(restored.point, warn_to(output));
    auto const& info = restored.point.info;
    output.line(fmt::format("restored from '{}' of {} ({}): a dump of {}, in {}; the cluster answered after {}",
                            printable(restored.database), printable(info.point.dataset), info.id.brief(),
                            format_bytes(restored.dump_bytes), format_duration(restored.took),
                            format_duration(restored.time_to_ready)));
    output.document(nlohmann::json{{"event", "selected"},
                                   {"point", info.id.hex()},
                                   {"database", printable(restored.database)},
                                   {"dump_bytes", restored.dump_bytes},
                                   {"seconds", std::chrono::duration<double>(restored.took).count()}}
                        .dump());
    return kDone;
}

}  // namespace holdfast::cli
