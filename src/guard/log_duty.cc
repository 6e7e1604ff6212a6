#include "guard/log_duty.h"

#include <fmt/format.h>

#include "base/text.h"
#include "datasets/receive_log.h"
#include "guard/log_listener.h"

namespace holdfast::guard {
namespace {

// A receiver that ended with an error is started again after this at the latest.
constexpr Duration kLogRestartMax = std::chrono::minutes(5);
// Alarms end as soon as a position shows that they may.
constexpr Duration kLogToldEvery = std::chrono::seconds(1);

class LogDuty : public Duty {
  public:
    LogDuty(Workspace& workspace, plan::Dataset dataset, std::string repository, StreamedLog& log)
        : workspace_(workspace), dataset_(std::move(dataset)), repository_(std::move(repository)), log_(log) {}

    std::string name() const override {
        return fmt::format("log of '{}' in '{}'", printable(dataset_.name), printable(repository_));
    }
    Duration every() const override { return kLogRestartMax; }
    std::optional<Time> last() override { return {}; }

    Result<Outcome> run(Tell const& tell, std::stop_token stop) override {
        auto cut_off = [&]() -> Result<bool> {
            auto* repository = TRY(workspace_.repository(repository_, Role::writer, stop));
            return log_is_cut_off(*repository, dataset_.name, stop);
        };
        LogListener listener(log_, tell, cut_off);
        postgres::WalReceiveOptions options{.conninfo = {}, .dataset = {}};
        options.tell_every = kLogToldEvery;
        options.tell = [&](postgres::WalEvent const& event) { listener.hear(event); };
        TRY(receive_log(workspace_, dataset_, std::move(options), stop));
        // It ends well only when it is stopped: what is wrong still is.
        return fail(ErrorKind::cancelled, "stopped");
    }

  private:
    Workspace& workspace_;
    plan::Dataset dataset_;
    std::string repository_;
    StreamedLog& log_;
};

}  // namespace

std::unique_ptr<Duty> make_log_duty(Workspace& workspace, plan::Dataset dataset, std::string repository, StreamedLog& log) {
    return std::make_unique<LogDuty>(workspace, std::move(dataset), std::move(repository), log);
}

}  // namespace holdfast::guard
