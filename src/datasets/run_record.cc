#include "datasets/run_record.h"

namespace holdfast {

std::string new_run_id(Clock& clock, Random& random) {
    std::array<std::uint8_t, 4> salt{};
    random.fill(salt);
    return to_key_time(clock.now()).substr(0, 15) + "-" + to_hex(salt);
}

RunRecord::RunRecord(Workspace& workspace, catalog::RunKind kind, std::string const& subject, Warn warn)
    : warn_(std::move(warn)), id_(new_run_id(workspace.clock(), system_random())) {
    auto opened = workspace.catalog();
    if (!opened) {
        warn_("the catalog can't be used, so this run is not remembered: " + opened.error().message);
        return;
    }
    catalog_ = *opened;
    note([&](Catalog& catalog) { return catalog.begin_run(id_, kind, subject); });
}

RunRecord::~RunRecord() {
    if (!finished_) finish({.outcome = catalog::RunOutcome::failed, .error = "it did not end"});
}

void RunRecord::note(std::function<Result<void>(Catalog&)> const& action) {
    if (catalog_ == nullptr) return;
    auto written = action(*catalog_);
    if (!written) {
        warn_("the catalog can't be written, so this run is not remembered: " + written.error().message);
        catalog_ = nullptr;
    }
}

void RunRecord::finish(catalog::RunEnd const& end) {
    finished_ = true;
    note([&](Catalog& catalog) { return catalog.end_run(id_, end); });
}

Error RunRecord::failed(Error error) {
    auto outcome = error.kind == ErrorKind::cancelled ? catalog::RunOutcome::interrupted
                                                      : catalog::RunOutcome::failed;
    finish({.outcome = outcome, .error = error.message});
    return error;
}

catalog::Point catalog_point(Repository const& repository, PointInfo const& info) {
    auto state = catalog::PointState::ok;
    if (info.point.unreadable > 0) state = catalog::PointState::partial;
    if (!info.confirmed) state = catalog::PointState::unconfirmed;
    auto lsn = info.point.attributes.find("lsn");
    return {.repository = repository.id().hex(),
            .id = info.id.hex(),
            .dataset = info.point.dataset,
            .kind = info.point.kind,
            .time = info.point.time,
            .received = info.received,
            .state = state,
            .files = info.point.files,
            .bytes = info.point.bytes,
            .stored = info.point.stored,
            .lsn = lsn == info.point.attributes.end() ? "" : lsn->second,
            .attributes = info.point.attributes};
}

}  // namespace holdfast
