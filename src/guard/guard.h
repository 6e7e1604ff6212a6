#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "guard/alarm_book.h"
#include "guard/duty.h"
#include "os/service_manager.h"

namespace holdfast::guard {

struct Event {
    enum class Level { info, concern, error };
    Level level = Level::info;
    std::string duty;  // its name
    std::string text;
};

struct GuardOptions {
    std::filesystem::path state;  // the state directory: one guard for each
    std::string plan;             // its name, for messages
    // Hears what happens, from any thread.
    std::function<void(Event const&)> log;
    // Tells people of alarms; not set: nobody.
    AlarmBook::Tell tell = {};
    // Do what is due now once, and end.
    bool once = false;
};

// Keeps the duties until it is stopped. With `once`, fails with the first failure after all were tried, `partial` where
// something was done but is a concern. `unsafe` (exit 10) when another guard has this state directory.
// Killed at any moment, the next one goes on: what was begun is begun again, what people were told is remembered.
Result<void> keep(std::vector<std::unique_ptr<Duty>> duties, Clock& clock, ServiceManager const& manager,
                  GuardOptions const& options, std::stop_token stop);

}  // namespace holdfast::guard
