#include "guard/lock_duty.h"

#include "base/text.h"
#include "datasets/locks.h"

namespace holdfast::guard {
namespace {

class LockDuty : public Duty {
  public:
    LockDuty(Workspace& workspace, Duration every) : workspace_(workspace), every_(every) {}

    std::string name() const override { return "locks of repositories"; }
    Duration every() const override { return every_; }
    std::optional<Time> last() override { return {}; }

    Result<Outcome> run(Tell const&, std::stop_token stop) override {
        return Outcome{.concern = join(lock_alarms(workspace_, stop), "; ")};
    }

  private:
    Workspace& workspace_;
    Duration every_;
};

}  // namespace

std::unique_ptr<Duty> make_lock_duty(Workspace& workspace, Duration every) {
    return std::make_unique<LockDuty>(workspace, every);
}

}  // namespace holdfast::guard
