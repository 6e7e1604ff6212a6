#include "datasets/instant.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include "base/text.h"
#include "overlay/bring_home.h"
#include "sources/postgres/data_directory.h"
#include "sources/postgres/tablespaces.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;
// Sealed and raw bytes between the store and the cache.
constexpr std::size_t kInstantInFlight = 24u << 20;
constexpr Duration kLook = std::chrono::milliseconds(200);
// Whoever waits for the end of the server sees it before the directory moves: pg_ctl looks ten times a second, and takes a
// directory between mount and plain files for no cluster.
constexpr Duration kSettle = std::chrono::seconds(2);
constexpr std::string_view kPointLine = "point ";

// What an overlay says of itself: whoever goes on must mean the same.
std::string about_text(PointInfo const& info, std::string const& moment, InstantOptions const& options,
                       std::vector<postgres::InstantPlace> const& places) {
    auto text = fmt::format("{}{}\nmoment {}\ntimeline {}\nthen {}\n", kPointLine, info.id.hex(), printable(moment),
                            options.timeline, options.stay ? "stay" : "promote");
    for (auto const& place : places) text += fmt::format("place {}\n", printable(place.directory.native()));
    return text;
}

// The id of the point that an unfinished recovery began with.
std::string begun_with(OverlayAbout const& about) {
    std::string_view text = about.text;
    if (!text.starts_with(kPointLine)) return {};
    text.remove_prefix(kPointLine.size());
    return std::string(text.substr(0, text.find('\n')));
}

Result<std::optional<OverlayAbout>> find_unfinished(fs::path const& target, std::stop_token stop) {
    if (is_dead_mount(target)) TRY(remove_dead_mount(target, stop));
    return read_overlay_about(target);
}

}  // namespace

Result<std::unique_ptr<InstantRecovery>> InstantRecovery::begin(Workspace& workspace, std::string const& text,
                                                                InstantOptions options, ProgressCallback const& progress,
                                                                Warn const& warn, std::stop_token stop) {
    auto started = workspace.clock().elapsed();
    options.target = fs::absolute(options.target).lexically_normal();
    if (options.target.filename().empty()) options.target = options.target.parent_path();  // a '/' at the end
    std::unique_ptr<InstantRecovery> recovery(new InstantRecovery(workspace, std::move(options), warn));
    TRY(recovery->prepare(text, progress, stop).within(fmt::format("recover '{}'", printable(text))));
    if (!recovery->landed_) TRY(recovery->mount(stop));
    recovery->ready_ = workspace.clock().elapsed() - started;
    return recovery;
}

InstantRecovery::~InstantRecovery() {
    stopping_.request_stop();
    for (auto& mounted : mounted_) {
        mounted->serving = {};  // stopped and joined
        mounted->session.reset();
    }
}

Result<void> InstantRecovery::prepare(std::string const& text, ProgressCallback const& progress, std::stop_token stop) {
    auto unfinished = TRY(find_unfinished(options_.target, stop));
    auto begun = unfinished ? begun_with(*unfinished) : std::string();
    bool prepared = unfinished && unfinished->phase != OverlayPhase::preparing;
    Moment moment;
    if (prepared) {
        moment.point = TRY(find_point(workspace_, begun, {}, stop));
    } else if (options_.moment) {
        moment = *options_.moment;
    } else {
        moment = TRY(find_moment(workspace_, text, {.timeline = options_.timeline, .point = begun}, stop));
    }
    point_ = moment.point;
    auto const& info = point_.info;
    if (info.point.kind != "postgres")
        return fail(ErrorKind::usage, fmt::format("'{}' is no PostgreSQL cluster", printable(info.point.dataset)),
                    "other datasets can be looked into while they come back: holdfast mount");
    if (options_.stay && !prepared && !moment.log)
        return fail(ErrorKind::usage, "without streamed log a cluster can't stay at a moment", "let it open for writing");
    auto tablespaces = options_.tablespaces;
    if (options_.tablespaces_beside) {
        auto original = TRY(postgres::original_tablespaces(info.point));
        for (auto const& [oid, location] : original)
            tablespaces[std::to_string(oid)] = fmt::format("{}.tablespaces/{}", options_.target.native(), oid);
    }
    places_ = TRY(postgres::instant_places(info.point, tablespaces, options_.target));
    for (auto const& place : places_) {
        TRY(workspace_.check_restore_target({.path = place.directory}));
        if (place.directory != options_.target && is_dead_mount(place.directory)) TRY(remove_dead_mount(place.directory, stop));
    }
    auto about = about_text(info, text, options_, places_);
    if (unfinished && unfinished->text != about)
        return fail(ErrorKind::unsafe,
                    fmt::format("'{}' holds an instant recovery that is not finished: {}", printable(options_.target.native()),
                                printable(join(split(unfinished->text, '\n'), ", "))),
                    "go on with it in the words it was begun with, or use another directory");
    if (unfinished && unfinished->phase == OverlayPhase::landing) {
        went_on_ = landed_ = true;
        return postgres::land_instant(places_);
    }

    auto* repository = TRY(workspace_.repository(point_.repository, Role::reader, stop));
    auto open = [repository](std::stop_token stop) { return repository->begin_fetch({.in_flight_bytes = kInstantInFlight}, stop); };
    fetch_ = TRY(RenewedFetch::open(open, workspace_.clock(), stop));
    went_on_ = prepared;
    if (prepared) return {};
    if (moment.log && options_.stay) moment.log->then = postgres::LogPlan::Then::stay;
    auto bring_log = [&](fs::path const& data) -> Result<void> {
        if (moment.log) log_ = TRY(postgres::place_log(*repository, *moment.log, data, progress, stop));
        return {};
    };
    auto result = TRY(postgres::prepare_instant(*fetch_, info.point, places_, about, bring_log, progress, stop));
    for (auto const& problem : result.problems) warn_(fmt::format("{}: {}", printable(problem.path), problem.message));
    return {};
}

Result<void> InstantRecovery::mount(std::stop_token stop) {
    cache_ = std::make_unique<ChunkCache>(*fetch_, options_.cache_bytes);
    std::stop_callback forward(stop, [this] { stopping_.request_stop(); });
    for (auto const& place : places_) {
        auto mounted = std::make_unique<Mounted>();
        Overlay::Options options{.warn = warn_, .stop = stopping_.get_token()};
        mounted->overlay = TRY(Overlay::open(place.directory, place.part, *fetch_, *cache_, std::move(options)));
        mounted->session = TRY(OverlaySession::mount(*mounted->overlay, place.directory));
        mounted->serving = std::jthread([this, raw = mounted.get()](std::stop_token ending) {
            auto served = raw->session->serve(ending);
            if (!served) warn_(served.error().message);
            raw->ended = true;
        });
        mounted_.push_back(std::move(mounted));
    }
    return {};
}

// The data directory first: it is what the cluster wants.
Result<void> InstantRecovery::bring_all_home(ProgressCallback const& progress, std::stop_token stop) {
    std::optional<Error> damaged;
    for (auto mounted = mounted_.rbegin(); mounted != mounted_.rend(); ++mounted) {
        auto brought = bring_home(*(*mounted)->overlay, workspace_.clock(), progress, stop);
        if (!brought && brought.error().kind != ErrorKind::damaged) return brought;
        if (!brought && !damaged) damaged = std::move(brought.error());
    }
    if (damaged) return fail(std::move(*damaged));
    return {};
}

// Whether a server has run here and runs no more. Its lock file is a file of the tree like all others.
bool InstantRecovery::server_is_done() {
    struct stat status {};
    bool here = ::fstatat(mounted_.back()->overlay->tree(), "postmaster.pid", &status, 0) == 0;
    bool before = std::exchange(saw_server_, saw_server_ || here);
    if (!here || !before) return before;
    // One that was killed leaves it behind.
    auto state = postgres::inspect_directory(options_.target);
    return state && !state->server;
}

// False: somebody uses it.
Result<bool> InstantRecovery::land_if_unused() {
    for (auto mounted = mounted_.rbegin(); mounted != mounted_.rend(); ++mounted) {
        if ((*mounted)->ended) continue;  // unmounted by the last attempt
        bool unused = TRY((*mounted)->session->unmount_unused({}));
        if (!unused) return false;
        (*mounted)->serving = {};
    }
    mounted_.clear();
    TRY(postgres::land_instant(places_));
    landed_ = true;
    return true;
}

Result<InstantStage> InstantRecovery::serve(ProgressCallback const& progress, InstantTell const& tell, std::stop_token stop) {
    if (landed_) {
        tell(InstantStage::landed);
        return InstantStage::landed;
    }
    tell(InstantStage::ready);
    std::atomic<bool> home = false;
    std::optional<Error> failed;  // read when `bringing` was joined
    std::jthread bringing;
    if (options_.bring_home) {
        bringing = std::jthread([&](std::stop_token bringing_stop) {
            auto brought = bring_all_home(progress, bringing_stop);
            if (brought) home = true;
            else if (brought.error().kind != ErrorKind::cancelled) failed = std::move(brought.error());
            if (failed) warn_("not all comes home: " + failed->message);
        });
    }
    bool told = false;
    auto in_use = workspace_.clock().elapsed();  // the last time that it was
    for (;;) {
        workspace_.clock().sleep(kLook, stop);
        bool unmounted = std::ranges::any_of(mounted_, [](auto const& mounted) { return mounted->ended.load(); });
        bool stopped = stop.stop_requested();
        auto now = workspace_.clock().elapsed();
        if (unmounted || !server_is_done()) in_use = now;
        bool done = now - in_use >= kSettle;
        if (home && !told) {
            told = true;
            tell(InstantStage::home);
        }
        if (home && (done || stopped || unmounted)) {
            bool landed = TRY(land_if_unused());
            if (landed) {
                tell(InstantStage::landed);
                return InstantStage::landed;
            }
        }
        if (stopped || (unmounted && !home)) break;
    }
    stopping_.request_stop();
    bringing = {};
    if (failed) return fail(std::move(*failed));
    return home ? InstantStage::home : InstantStage::ready;
}

}  // namespace holdfast
