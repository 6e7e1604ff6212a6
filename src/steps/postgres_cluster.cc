#include "steps/postgres_cluster.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/units.h"
#include "sources/postgres/amcheck.h"
#include "sources/postgres/cluster.h"

namespace holdfast::steps {
namespace {

class PostgresCluster : public RunningCluster {
  public:
    explicit PostgresCluster(std::unique_ptr<postgres::IsolatedCluster> cluster, std::string version)
        : cluster_(std::move(cluster)), version_(std::move(version)) {}

    Result<AnswerRows> query(std::string const& database, std::string const& sql, std::stop_token stop) override {
        auto name = database;
        if (name.empty()) name = TRY(only_database(stop));
        auto rows = TRY(cluster_->query(sql, {.database = name}, stop));
        return std::move(rows.rows);
    }

    Result<std::vector<Finding>> check_structure(std::stop_token stop) override {
        // What is looked at is a copy that goes away: the extension may be added to it.
        return postgres::run_amcheck(*cluster_, {.install_missing = install_missing_}, stop);
    }

    std::filesystem::path socket_directory() const override { return cluster_->socket_directory(); }
    std::string version() const override { return version_; }
    std::string standing() const override {
        return fmt::format("PostgreSQL {}, ready in {}, {}", version_, format_duration(cluster_->time_to_ready()),
                           cluster_->network_isolated() ? "without any network" : "on a Unix socket alone");
    }

    bool install_missing_ = false;

  private:
    // The one database beside `postgres`; with none or several, `postgres`.
    Result<std::string> only_database(std::stop_token stop) {
        auto names = TRY(cluster_->databases(stop));
        std::erase(names, "postgres");
        return names.size() == 1 ? names.front() : std::string("postgres");
    }

    std::unique_ptr<postgres::IsolatedCluster> cluster_;
    std::string version_;
};

}  // namespace

Result<std::unique_ptr<RunningCluster>> start_postgres_cluster(std::filesystem::path const& data,
                                                               PostgresClusterOptions options,
                                                               std::stop_token stop) {
    auto cluster = TRY(postgres::IsolatedCluster::start({.data = data}, stop));
    auto const rows = TRY(cluster->query("show server_version", {}, stop));
    auto const version = rows.rows.empty() || rows.rows[0].empty() ? std::optional<std::string>() : rows.rows[0][0];
    auto running = std::make_unique<PostgresCluster>(std::move(cluster), version.value_or("?"));
    running->install_missing_ = options.throw_away;
    return running;
}

}  // namespace holdfast::steps
