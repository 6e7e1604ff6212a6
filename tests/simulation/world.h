#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "fibers.h"
#include "history.h"
#include "medium.h"
#include "os/executor.h"
#include "os/random.h"
#include "past.h"
#include "repo/repository.h"

namespace holdfast::simulation {

// The time as one machine tells it.
class SkewedClock : public Clock {
  public:
    explicit SkewedClock(ManualClock& truth) : truth_(truth) {}
    Time now() override { return truth_.now() + skew_; }
    Duration elapsed() override { return truth_.elapsed(); }
    bool sleep(Duration duration, std::stop_token stop) override { return truth_.sleep(duration, stop); }
    void jump(Duration skew) { skew_ = skew; }

  private:
    ManualClock& truth_;
    Duration skew_{};
};

// The same bytes for the same seed, quickly (splitmix64).
class Stream : public Random {
  public:
    explicit Stream(std::uint64_t seed) : state_(seed) {}
    void fill(ByteSpan bytes) override;

  private:
    std::uint64_t state_;
};

// One process, and what befalls it. Numbers count its steps.
struct Process {
    std::string name;
    SkewedClock clock;
    std::unique_ptr<Executor> executor;
    std::unique_ptr<Store> store;
    std::uint64_t steps = 0;
    bool dead = false;
    bool hurt = false;  // by anything: its errors are no surprise

    std::optional<std::uint64_t> dies_at;
    Effect last = Effect::none;  // of the step at which it dies
    // Stands still while the others take so many turns and so much time passes.
    struct Nap {
        std::uint64_t at, turns;
        Duration lasts;
    };
    std::optional<Nap> nap;
    std::optional<std::uint64_t> clock_jumps_at;
    std::uint64_t fails_one_in = 0;
};

// The world of one history: time, the medium, and processes that take turns at every step.
class World {
  public:
    World(std::uint64_t seed, Tally& tally, bool trace);

    std::uint64_t draw(std::uint64_t below) { return random_() % below; }
    bool chance(std::uint64_t one_in) { return draw(one_in) == 0; }
    void say(std::string const& what) const;
    Tally& tally() { return tally_; }

    // Adds a process, for run(). What befalls it is drawn now.
    void add(std::string name, std::function<void(Process&)> body);
    // Runs them to their ends; the power may go meanwhile.
    void run();
    // A process's way into the repository, and that of somebody whom nothing befalls.
    Result<std::unique_ptr<Repository>> open(Process& process, KeyBundle const& keys);
    Result<std::unique_ptr<Repository>> open(KeyBundle const& keys);

    // Between runs: time goes by; room ends, or does not; a bit rots, and is put right.
    void pass(Duration duration) { clock_.advance(duration + lag_); }
    void rest();
    void limit_room();
    void lift_limit();
    void rot();
    void mend();

    Past const& past() const { return past_; }
    // Whether failures need no other reason.
    bool is_troubled() const { return rot_.has_value() || full_ || lag_ > Duration(0); }

  private:
    struct Rot {
        std::string key;
        std::uint64_t offset;
        std::uint8_t mask;
        Bytes bad;
    };

    std::optional<Fault> befall(Process& process, Step const& step);
    void stand_still(Process& process);
    void lose_power();
    void draw_fate(Process& process);
    Duration draw_skew();
    std::vector<std::string> keys_below(std::string_view prefix);

    std::mt19937_64 random_;
    Stream stream_;
    Tally& tally_;
    bool const trace_;
    Past const& past_;
    mutable ManualClock clock_;
    Duration lag_{};
    bool skewed_ = false;
    std::unique_ptr<Medium> medium_;
    std::unique_ptr<Executor> executor_;  // of whoever looks undisturbed
    Fibers fibers_;
    std::vector<std::unique_ptr<Process>> processes_;
    std::uint64_t started_ = 0;
    std::optional<std::uint64_t> power_goes_in_;  // steps of anybody
    std::optional<Rot> rot_;
    bool full_ = false;
};

}  // namespace holdfast::simulation
