#pragma once

#include <string>

#include "archive/source.h"
#include "sources/postgres/capture.h"

namespace holdfast {

// A PostgreSQL cluster, physically: the whole of it, by base backups.
class PostgresSource : public Source {
  public:
    // `conninfo` is a libpq connection string without a password; empty for one that only restores and
    // validates.
    explicit PostgresSource(std::string conninfo, postgres::CaptureOptions options = {})
        : conninfo_(std::move(conninfo)), options_(options) {}

    // See sources/postgres/capture.h, restore.h and validate.h for what each promises.
    Result<Capture> capture(CaptureContext const& context) override;
    Result<void> committed(Repository& repository) override;
    Result<RestoreResult> restore(RestoreContext const& context) override;
    Result<std::vector<Finding>> validate(std::filesystem::path const& target, std::stop_token stop) override;

  private:
    std::string conninfo_;
    postgres::CaptureOptions options_;
    std::string dataset_;  // of the last capture
};

}  // namespace holdfast
