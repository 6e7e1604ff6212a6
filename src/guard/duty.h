#pragma once

#include <functional>
#include <optional>
#include <stop_token>
#include <string>

#include "base/result.h"
#include "base/time.h"

namespace holdfast::guard {

// Something that the guard does again and again. Each duty has a thread of its own.
class Duty {
  public:
    struct Outcome {
        std::string text = {};     // what was done, for the log; empty: nothing worth a line
        // What is wrong although it was done; empty: nothing; nullopt: what was wrong may still be.
        std::optional<std::string> concern = std::string();
        // Of what the concern is, where a duty can have several at a time: each begins and ends on its own.
        std::string about = {};
    };
    // Hears how it stands while a duty that takes months is being done. From any thread.
    using Tell = std::function<void(Outcome const&)>;

    virtual ~Duty() = default;
    // "backup of 'models' in 'primary'": names it in logs and alarms, unique in a guard.
    virtual std::string name() const = 0;
    virtual Duration every() const = 0;
    // When it last began to be done with success, as far as is remembered from before this guard.
    virtual std::optional<Time> last() = 0;
    // Somebody asks for it: it is due now, however long ago it was done. Asked from another thread than run().
    virtual bool asked_for() const { return false; }
    // Does it once. May be repeated after any failure.
    virtual Result<Outcome> run(Tell const& tell, std::stop_token stop) = 0;
};

// The first repetition after a failure comes after this, each further one after twice as long, never later than the
// duty would be due anyway.
inline constexpr Duration kRetryFirst = std::chrono::seconds(30);

// When a duty that last began at `began` is due. What was missed while nobody kept the plan is done once, at once, and
// not as often as it was missed. A beginning in the future (the clock was set back) counts as none.
Time next_due(std::optional<Time> began, Duration every, unsigned failures, Time now);

}  // namespace holdfast::guard
