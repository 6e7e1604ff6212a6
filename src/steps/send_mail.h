#pragma once

#include "steps/notify_step.h"

namespace holdfast::steps {

// Through the plan's mail server. `tls: required` is kept also towards this machine; the others only say that
// a server on this machine may do without: mail to another host never travels in the clear.
Result<void> send_by_smtp(plan::Mail const& server, OutgoingMail const& mail, std::stop_token stop);

}  // namespace holdfast::steps
