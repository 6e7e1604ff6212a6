#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "plan/plan.h"
#include "runbook/step.h"
#include "steps/isolation.h"
#include "steps/recipients.h"

namespace holdfast::steps {

struct OutgoingMail {
    std::vector<Recipient> to;
    std::string subject;
    std::string text;
};

// Sends one mail through the server of the plan. Fetches the server's password at the last moment.
using SendMail = std::function<Result<void>(plan::Mail const& server, OutgoingMail const& mail,
                                            std::stop_token stop)>;

// `notify`: tells people and teams of the plan by mail. `plan` outlives the step.
std::unique_ptr<runbook::Step> make_notify_step(Plan const& plan, SendMail send,
                                                std::optional<Isolation> isolation);

}  // namespace holdfast::steps
