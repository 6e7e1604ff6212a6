#include "steps/step_registry.h"

#include "steps/command_step.h"
#include "steps/manual_step.h"
#include "steps/restore_step.h"
#include "steps/send_mail.h"
#include "steps/sql_check_step.h"
#include "steps/verify_step.h"

namespace holdfast::steps {

Result<runbook::StepRegistry> make_step_registry(StepWorld const& world) {
    Plan const* plan = TRY(world.workspace.plan());
    auto const send = world.send_mail ? world.send_mail : SendMail(send_by_smtp);
    runbook::StepRegistry registry;
    auto const restore = [&](std::string kind, RestoreKind what) {
        registry.add(std::move(kind), [world, what] { return make_restore_step(what, world); });
    };
    restore("restore", RestoreKind::any);
    restore("files.restore", RestoreKind::files);
    restore("models.restore", RestoreKind::models);
    restore("postgres.restore", RestoreKind::postgres);
    registry.add("verify", [world] { return make_verify_step(world); });
    registry.add("sql.check", [world] { return make_sql_check_step(world); });
    registry.add("command", [world] { return make_command_step(world.isolation); });
    registry.add("manual", [world] { return make_manual_step(world.isolation); });
    registry.add("notify", [world, plan, send] { return make_notify_step(*plan, send, world.isolation); });
    return registry;
}

}  // namespace holdfast::steps
