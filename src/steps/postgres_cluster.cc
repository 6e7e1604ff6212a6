#include "steps/postgres_cluster.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "base/units.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/process_table.h"
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

// Whether the server that the directory's lock file names is about to end or waits to be reaped: it has no working
// directory any more, and PostgreSQL still takes it for a living one.
bool has_ending_server(std::filesystem::path const& data) {
    auto const lock = read_file((data / "postmaster.pid").string(), 1 << 16);
    if (!lock) return false;
    auto const text = as_text(*lock);
    pid_t pid = 0;
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), pid);
    if (error != std::errc() || pid <= 0) return false;
    auto const process = fmt::format("/proc/{}", pid);
    auto const name = read_file(process + "/comm", 4096);
    if (!name || as_text(*name) != "postgres\n") return false;
    std::error_code unreadable;
    auto const directory = std::filesystem::read_symlink(process + "/cwd", unreadable);
    // Somebody else's server that we may not look at does not end for us.
    if (unreadable) return unreadable == std::errc::no_such_file_or_directory;
    return directory.empty();
}

// A server that an earlier process of ours had started dies with that process, and its children follow by themselves
// within moments; until they have, no other one can be started.
void wait_for_orphans(std::filesystem::path const& data, std::stop_token stop) {
    constexpr Duration patience = std::chrono::seconds(60), pause = std::chrono::milliseconds(50);
    auto& clock = system_clock();
    auto const deadline = clock.elapsed() + patience;
    auto const is_ours = [](ProcessBelow const& process) {
        return process.command.find("holdfast-isolated") != std::string::npos;
    };
    while (clock.elapsed() < deadline) {
        auto const found = processes_below(data.string());
        auto const running = found && std::ranges::any_of(*found, is_ours);
        if ((!running && !has_ending_server(data)) || !clock.sleep(pause, stop)) return;
    }
}

}  // namespace

Result<std::unique_ptr<RunningCluster>> start_postgres_cluster(std::filesystem::path const& data,
                                                               PostgresClusterOptions options,
                                                               std::stop_token stop) {
    wait_for_orphans(data, stop);
    auto cluster = TRY(postgres::IsolatedCluster::start({.data = data}, stop));
    auto const rows = TRY(cluster->query("show server_version", {}, stop));
    auto const version = rows.rows.empty() || rows.rows[0].empty() ? std::optional<std::string>() : rows.rows[0][0];
    auto running = std::make_unique<PostgresCluster>(std::move(cluster), version.value_or("?"));
    running->install_missing_ = options.throw_away;
    return running;
}

}  // namespace holdfast::steps
