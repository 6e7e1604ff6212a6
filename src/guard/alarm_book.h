#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "base/result.h"
#include "os/clock.h"

namespace holdfast::guard {

// What is wrong now. Remembered in a file, so that after a restart nobody is told the same twice, and what ended while
// the guard was down is still said to have ended. Thread-safe.
class AlarmBook {
  public:
    struct Message {
        std::string subject, text;
    };
    // Tells people; what fails is tried again by the next deliver().
    using Tell = std::function<Result<void>(Message const&)>;

    // Reads `file` (made when there is none). A damaged one is put aside with a notice: alarms are raised again by
    // what is wrong.
    static Result<std::unique_ptr<AlarmBook>> open(std::filesystem::path file, Clock& clock);

    // Something is wrong, or still is. `id` is the same for the same thing. Durable when it returns.
    Result<void> raise(std::string const& id, std::string const& text);
    // It is not, or not any more.
    Result<void> clear(std::string const& id);
    // How many are raised now.
    std::size_t raised() const;

    // Tells, in one message, what was raised or ended since the last one, and again what is still wrong after a day.
    // `cause` names the plan in the subject. Without anything to tell, tells nothing.
    Result<void> deliver(std::string const& cause, Tell const& tell);

  private:
    struct Alarm {
        std::string text;
        Time since{};
        std::optional<Time> told, ended;
    };
    AlarmBook(std::filesystem::path file, Clock& clock) : file_(std::move(file)), clock_(clock) {}
    Result<void> read();
    Result<void> write() const;  // with the lock held

    std::filesystem::path file_;
    Clock& clock_;
    mutable std::mutex mutex_;
    std::map<std::string, Alarm> alarms_;
};

}  // namespace holdfast::guard
