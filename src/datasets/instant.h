#pragma once

#include <filesystem>
#include <map>
#include <memory>

#include "datasets/moment.h"
#include "datasets/run_record.h"
#include "mount/renewed_fetch.h"
#include "overlay/overlay_session.h"
#include "sources/postgres/instant.h"

namespace holdfast {

struct InstantOptions {
    std::filesystem::path target;  // becomes the data directory
    std::map<std::string, std::string> tablespaces = {};
    // Each tablespace comes into a directory of its own beside the target, whatever it was mapped to.
    bool tablespaces_beside = false;
    std::string timeline = "latest";
    // The moment, where the caller has found it; then the name that begin() is given is only a name.
    std::optional<Moment> moment = {};
    // The cluster stays at the moment and can only be read.
    bool stay = false;
    // Off: only what is read is fetched, and only what is written is kept here.
    bool bring_home = true;
    std::size_t cache_bytes = 96u << 20;  // memory for chunks
};

// How far an instant recovery has come.
enum class InstantStage {
    ready,   // the cluster can be started
    home,    // nothing is fetched any more; when the cluster is stopped it moves onto plain files
    landed,  // it lies on plain files, and needs us no more
};
using InstantTell = std::function<void(InstantStage)>;

// A PostgreSQL cluster that is started while it comes back. Whatever ends this process, at any moment, the same call goes
// on where it was: nothing of the recovery point is ever written to, and what the cluster had made durable is there.
class InstantRecovery {
  public:
    // Makes what is missing at the target, mounts it, and returns when the cluster can be started; or finds that the last
    // moves were cut off, and does them. `text` names the moment (find_moment()); an unfinished recovery at the target goes
    // on with the point that it began with, and `unsafe` is what says something else than it did, or where a server, or
    // anything else, lies there. `usage` on what is no PostgreSQL point. `tell` is called from one thread at a time.
    static Result<std::unique_ptr<InstantRecovery>> begin(Workspace& workspace, std::string const& text,
                                                          InstantOptions options, ProgressCallback const& progress,
                                                          Warn const& warn, std::stop_token stop);
    ~InstantRecovery();

    PointReference const& point() const { return point_; }
    // That was brought by this call; nothing when it goes on with an earlier one's.
    std::optional<postgres::PlacedLog> const& log() const { return log_; }
    bool went_on() const { return went_on_; }
    Duration time_to_ready() const { return ready_; }

    // Serves the cluster, brings the rest home, and lands when all is home and the cluster has run and was stopped. When
    // `stop` is requested it lands if it can, and unmounts otherwise. Says how far it came. `damaged` when the point can't
    // give all.
    Result<InstantStage> serve(ProgressCallback const& progress, InstantTell const& tell, std::stop_token stop);

  private:
    struct Mounted {
        std::unique_ptr<Overlay> overlay;
        std::unique_ptr<OverlaySession> session;
        std::atomic<bool> ended = false;  // unmounted
        std::jthread serving;             // last: joined first
    };
    InstantRecovery(Workspace& workspace, InstantOptions options, Warn warn)
        : workspace_(workspace), options_(std::move(options)), warn_(std::move(warn)) {}
    Result<void> prepare(std::string const& text, ProgressCallback const& progress, std::stop_token stop);
    Result<void> mount(std::stop_token stop);
    Result<void> bring_all_home(ProgressCallback const& progress, std::stop_token stop);
    Result<bool> land_if_unused();
    bool server_is_done();

    Workspace& workspace_;
    InstantOptions const options_;
    Warn const warn_;
    PointReference point_;
    std::optional<postgres::PlacedLog> log_;
    bool went_on_ = false, landed_ = false, saw_server_ = false;
    Duration ready_{};
    std::vector<postgres::InstantPlace> places_;
    std::stop_source stopping_;  // of every wait for the repository
    std::unique_ptr<RenewedFetch> fetch_;
    std::unique_ptr<ChunkCache> cache_;
    std::vector<std::unique_ptr<Mounted>> mounted_;  // as places_
};

}  // namespace holdfast
