#include "steps/verify_step.h"

#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"
#include "datasets/point_reference.h"
#include "steps/arguments.h"
#include "steps/read_point.h"
#include "steps/stand_in.h"

namespace holdfast::steps {
namespace {

class VerifyStep : public runbook::Step {
  public:
    explicit VerifyStep(StepWorld const& world) : world_(world) {}

    bool idempotent() const override { return true; }

    Result<std::string> describe(Value const& arguments) const override {
        auto const point = arguments.member_text("point");
        if (!point.empty()) return "read point " + printable(point) + " in full and check every chunk";
        auto const dataset = TRY(required_text(arguments, "dataset"));
        return "read the newest point of '" + dataset + "' in full and check every chunk";
    }

    Result<void> preflight(Value const& arguments, std::stop_token stop) override {
        if (!runbook::is_known(arguments)) return {};
        TRY(find(arguments, "", stop));
        return {};
    }

    Result<runbook::StepResult> run(runbook::StepContext& context) override {
        auto const& arguments = context.arguments();
        auto const chosen = context.point_of(arguments.member_text("dataset"));
        auto const point = TRY(find(arguments, chosen, context.stop()));
        TRY(tell_stand_in(point, world_, context));
        auto* repository = TRY(world_.workspace.repository(point.repository, Role::reader, context.stop()));
        auto const began = context.clock().elapsed();
        auto const progress = [&](Progress const& at) {
            context.progress({.what = at.what, .done = at.bytes, .total = at.bytes_total});
        };
        auto const read = TRY(read_point(*repository, point.info.point, progress, context.stop()));
        if (read.damaged_count > 0) {
            return fail(ErrorKind::damaged,
                        fmt::format("point {} of '{}': {} files cannot be had whole, e.g. {}", point.info.id.brief(),
                                    printable(point.info.point.dataset), read.damaged_count, read.damaged.front()),
                        "holdfast verify --data names everything that is hurt");
        }
        note_rung(point, *repository);
        runbook::StepResult result;
        result.outputs.set("point", point.info.id.hex());
        result.outputs.set("files", static_cast<std::int64_t>(read.files));
        result.outputs.set("bytes", static_cast<std::int64_t>(read.bytes));
        result.summary = fmt::format("point {}: {} chunks of {} files, {} in {}", point.info.id.brief(), read.chunks,
                                     read.files, format_bytes(read.bytes),
                                     format_duration(context.clock().elapsed() - began));
        return result;
    }

  private:
    Result<PointReference> find(Value const& arguments, std::string const& chosen, std::stop_token stop) const {
        auto text = arguments.member_text("point");
        if (text.empty()) text = chosen;
        if (text.empty()) {
            auto const dataset = TRY(required_text(arguments, "dataset"));
            text = dataset + "@latest";
        }
        return find_point(world_.workspace, text, {}, stop);
    }

    // The catalog is memory, never a condition.
    void note_rung(PointReference const& point, Repository& repository) const {
        auto const noted = [&]() -> Result<void> {
            auto* catalog = TRY(world_.workspace.catalog());
            return catalog->reach(repository.id().hex(), point.info.id.hex(), catalog::Rung::hashed, "");
        }();
        if (!noted && noted.error().kind != ErrorKind::not_found && world_.warn) {
            world_.warn("the catalog does not know what was verified: " + noted.error().message);
        }
    }

    StepWorld world_;
};

}  // namespace

std::unique_ptr<runbook::Step> make_verify_step(StepWorld const& world) {
    return std::make_unique<VerifyStep>(world);
}

}  // namespace holdfast::steps
