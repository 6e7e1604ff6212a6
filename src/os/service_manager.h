#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"

namespace holdfast {

// Tells the service manager (systemd) how a service is, by the protocol of sd_notify(3): a datagram of "NAME=value" lines
// to the socket that NOTIFY_SOCKET names. Without one, nothing happens. Best effort: a manager that does not listen
// changes nothing.
class ServiceManager {
  public:
    // Takes NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID out of the environment: they are this process's, not its
    // children's.
    static ServiceManager from_environment();

    void ready() const { tell("READY=1"); }
    void stopping() const { tell("STOPPING=1"); }
    void alive() const { tell("WATCHDOG=1"); }
    // One line for `systemctl status`.
    void status(std::string_view text) const;
    // The longest time between two alive(); nothing when nobody watches.
    std::optional<Duration> watchdog() const { return watchdog_; }

  private:
    void tell(std::string_view lines) const;
    std::string socket_;
    std::optional<Duration> watchdog_;
};

}  // namespace holdfast
