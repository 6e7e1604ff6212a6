#include "guard/replicate_duty.h"

#include <algorithm>
#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"
#include "repo/replicate.h"

namespace holdfast::guard {
namespace {

// Looking costs a listing of both; a copy that may be a minute behind is looked at more often.
constexpr Duration kEvery = std::chrono::seconds(30);
constexpr Duration kEveryMin = std::chrono::seconds(5);

class ReplicateDuty : public Duty {
  public:
    ReplicateDuty(Workspace& workspace, plan::Repository copy) : workspace_(workspace), copy_(std::move(copy)) {}

    std::string name() const override {
        return fmt::format("copy of '{}' in '{}'", printable(copy_.copy_of), printable(copy_.name));
    }
    Duration every() const override {
        return copy_.lag ? std::clamp(Duration(*copy_.lag / 4), kEveryMin, kEvery) : kEvery;
    }
    std::optional<Time> last() override { return {}; }

    Result<Outcome> run(Tell const&, std::stop_token stop) override {
        auto from = TRY(workspace_.open_store_of(copy_.copy_of, {.stop = stop}));
        auto to = TRY(workspace_.open_store_of(copy_.name, {.create = true, .stop = stop}));
        ReplicateOptions const options{.lock = workspace_.lock_of(copy_.name)};
        auto done = TRY(replicate(*from, *to, workspace_.executor(), workspace_.clock(), options, {}, stop));
        Outcome outcome;
        if (done.copied > 0) {
            outcome.text = fmt::format("{} objects, {}{}", done.copied, format_bytes(done.bytes_copied),
                                       done.lag ? ", was " + format_duration(*done.lag) + " behind" : "");
        }
        if (!done.healed.empty()) outcome.text += fmt::format(", {} healed", done.healed.size());
        if (!done.damaged.empty()) {
            outcome.concern = fmt::format("{} objects are damaged in '{}', first {}: {}", done.damaged.size(),
                                          printable(copy_.copy_of), printable(done.damaged[0].key),
                                          done.damaged[0].error.message);
        } else if (copy_.lag && done.lag && *done.lag > *copy_.lag) {
            outcome.concern = fmt::format("it was {} behind, the plan allows {}", format_duration(*done.lag),
                                          format_duration(*copy_.lag));
        }
        return outcome;
    }

  private:
    Workspace& workspace_;
    plan::Repository copy_;
};

}  // namespace

std::unique_ptr<Duty> make_replicate_duty(Workspace& workspace, plan::Repository copy) {
    return std::make_unique<ReplicateDuty>(workspace, std::move(copy));
}

}  // namespace holdfast::guard
