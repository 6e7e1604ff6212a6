#include "datasets/moment_cluster.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include "sources/postgres/connection.h"

namespace holdfast {
namespace {

constexpr Duration kReplayLook = std::chrono::milliseconds(20);

// A hot standby answers as soon as it is consistent, which is before it is where it stays. One that nobody could have asked
// at its target does not stay there but opens for writing: then it is there.
Result<void> wait_until_replayed(postgres::IsolatedCluster const& cluster, Lsn end, Clock& clock, std::stop_token stop) {
    auto connection = TRY(postgres::Connection::connect(cluster.conninfo("template1"), {}, stop));
    auto const sql = fmt::format("SELECT NOT pg_is_in_recovery() OR pg_last_wal_replay_lsn() >= '{}'::pg_lsn", to_text(end));
    for (;;) {
        auto there = TRY(connection.query_value(sql, stop));
        if (there == "t") return {};
        clock.sleep(kReplayLook, stop);
        if (stop.stop_requested()) return fail(ErrorKind::cancelled, "stopped while a cluster was brought to a moment");
    }
}

}  // namespace

MomentCluster::~MomentCluster() = default;

// 0600 before anything is in it: others can pass through the place.
Result<std::string> MomentCluster::private_file(std::string_view name) const {
    TRY(place_.write(name, "", {}));
    return fmt::format("{}/{}", place_.path(), name);
}

Result<std::unique_ptr<MomentCluster>> MomentCluster::start(Workspace& workspace, Moment moment, MomentClusterOptions const& options,
                                                            ProgressCallback const& progress, Warn const& warn,
                                                            std::stop_token stop) {
    auto started = workspace.clock().elapsed();
    std::unique_ptr<MomentCluster> made(new MomentCluster);
    made->place_ = TRY(postgres::PrivateDirectory::make(options.scratch, {}));
    // The server's user passes through it to the data directory, which is his.
    if (::chmod(made->place_.path().c_str(), 0711) != 0)
        return fail(errno_error("set the mode of '" + made->place_.path() + "'", errno));
    std::filesystem::path const data = made->place_.path() + "/data";
    InstantOptions instant{.target = data, .bring_home = false, .cache_bytes = options.cache_bytes};
    instant.stay = moment.log && moment.log->then == postgres::LogPlan::Then::stay;
    instant.tablespaces_beside = true;
    auto name = moment.point.info.id.hex();
    instant.moment = std::move(moment);
    made->recovery_ = TRY(InstantRecovery::begin(workspace, name, std::move(instant), progress, warn, stop));
    made->serving_ = std::jthread([recovery = made->recovery_.get()](std::stop_token ending) {
        std::ignore = recovery->serve({}, [](InstantStage) {}, ending);
    });
    made->cluster_ = TRY(postgres::IsolatedCluster::start({.data = data, .disposable = true}, stop));
    if (made->recovery_->log())
        TRY(wait_until_replayed(*made->cluster_, made->recovery_->log()->found.end, workspace.clock(), stop));
    made->ready_ = workspace.clock().elapsed() - started;
    return made;
}

}  // namespace holdfast
