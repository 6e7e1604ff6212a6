#pragma once

#include <string>

#include "archive/source.h"

namespace holdfast {

// A PostgreSQL cluster, logically: its roles and databases as pg_dumpall and pg_dump write them. What is restored are
// the files of an export; load_export.h and export_cluster.h bring them into a server.
class ExportSource : public Source {
  public:
    // `conninfo` as PostgresSource's.
    explicit ExportSource(std::string conninfo) : conninfo_(std::move(conninfo)) {}

    // See capture_export.h and check_export.h for what each promises.
    Result<Capture> capture(CaptureContext const& context) override;
    Result<void> committed(Repository& repository) override;
    Result<RestoreResult> restore(RestoreContext const& context) override;
    Result<std::vector<Finding>> validate(std::filesystem::path const& target, std::stop_token stop) override;

  private:
    std::string conninfo_;
};

}  // namespace holdfast
