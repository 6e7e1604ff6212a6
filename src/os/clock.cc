#include "os/clock.h"

#include <condition_variable>
#include <ctime>
#include <mutex>

namespace holdfast {
namespace {

class SystemClock : public Clock {
  public:
    Time now() override {
        return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
    }
    Duration elapsed() override {
        timespec time{};
        clock_gettime(CLOCK_BOOTTIME, &time);
        return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
    }
    bool sleep(Duration duration, std::stop_token stop) override {
        std::mutex mutex;
        std::condition_variable_any changed;
        std::unique_lock lock(mutex);
        changed.wait_for(lock, stop, duration, [] { return false; });
        return !stop.stop_requested();
    }
};

}  // namespace

Clock& system_clock() {
    static SystemClock clock;
    return clock;
}

bool ManualClock::sleep(Duration duration, std::stop_token stop) {
    if (stop.stop_requested()) return false;
    advance(duration);
    return true;
}

void ManualClock::advance(Duration duration) {
    elapsed_ += duration.count();
}

}  // namespace holdfast
