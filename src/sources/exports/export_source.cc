#include "sources/exports/export_source.h"

#include "archive/restore.h"
#include "sources/exports/capture_export.h"
#include "sources/exports/check_export.h"

namespace holdfast {

Result<Capture> ExportSource::capture(CaptureContext const& context) {
    if (conninfo_.empty())
        return fail(ErrorKind::usage, "the PostgreSQL dataset has no connection string",
                    "give it one in the plan: connect: \"service=NAME\"");
    return postgres::capture_export(conninfo_, context);
}

// Nothing is built upon the export before: chunks that are the same are not stored again.
Result<void> ExportSource::committed(Repository&) { return {}; }

Result<RestoreResult> ExportSource::restore(RestoreContext const& context) {
    // Whoever restores it owns it: the files hold passwords, and nobody's rights hang on them.
    auto options = context.options;
    options.set_owner = false;
    return restore_tree(context.fetch, context.point.tree, context.path, context.target, options, with_totals(context),
                        context.stop);
}

Result<std::vector<Finding>> ExportSource::validate(std::filesystem::path const& target, std::stop_token stop) {
    return postgres::check_export(target, stop);
}

}  // namespace holdfast
