#pragma once

#include "steps/notify_step.h"

namespace holdfast::steps {

// Who is told of alarms: `notify.alarms`, else the plan's teams, else its people. `usage` as recipients().
Result<std::vector<Recipient>> alarm_recipients(Plan const& plan);

// Tells them through the plan's mail server that something
// needs a person now. False, with nothing sent, when the plan has no `notify.mail`.
Result<bool> send_alarm(Plan const& plan, std::string subject, std::string text, SendMail const& send,
                        std::stop_token stop);

}  // namespace holdfast::steps
