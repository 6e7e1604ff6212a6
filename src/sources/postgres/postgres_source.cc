#include "sources/postgres/postgres_source.h"

#include "sources/postgres/page_map.h"
#include "sources/postgres/restore.h"
#include "sources/postgres/validate.h"

namespace holdfast {

Result<Capture> PostgresSource::capture(CaptureContext const& context) {
    if (conninfo_.empty())
        return fail(ErrorKind::usage, "the PostgreSQL dataset has no connection string",
                    "give it one in the plan: connect: \"service=NAME\"");
    dataset_ = context.dataset;
    return postgres::capture_base_backup(conninfo_, options_, context);
}

Result<void> PostgresSource::committed(Repository& repository) { return postgres::commit_page_map(repository, dataset_); }

Result<RestoreResult> PostgresSource::restore(RestoreContext const& context) {
    return postgres::restore_data_directory(context);
}

Result<std::vector<Finding>> PostgresSource::validate(std::filesystem::path const& target, std::stop_token stop) {
    return postgres::validate_data_directory(target, stop);
}

}  // namespace holdfast
