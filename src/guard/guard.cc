#include "guard/guard.h"

#include <algorithm>
#include <fmt/format.h>
#include <thread>
#include <unistd.h>

#include "base/text.h"
#include "os/file.h"
#include "os/file_lock.h"

namespace holdfast::guard {
namespace {

// Wall clocks jump: nobody sleeps for longer before looking at them again.
constexpr Duration kTick = std::chrono::seconds(1);

class Keeper {
  public:
    Keeper(Clock& clock, GuardOptions const& options, AlarmBook& book) : clock_(clock), options_(options), book_(book) {}

    // Does it once: log, alarms.
    Result<void> attempt(Duty& duty, std::stop_token stop) {
        auto name = duty.name();
        auto done = duty.run([&](Duty::Outcome const& outcome) { note(name, outcome); }, stop);
        if (!done && done.error().kind == ErrorKind::cancelled && stop.stop_requested()) return fail(done.error());
        if (!done) {
            options_.log({Event::Level::error, name, done.error().message});
            raise(name, done.error().message);
            return fail(std::move(done.error()));
        }
        note(name, *done);
        if (!done->concern || done->concern->empty()) return {};
        return fail(ErrorKind::partial, name + ": " + *done->concern);
    }

    void repeat(Duty& duty, std::stop_token stop) {
        auto began = duty.last();
        unsigned failures = 0;
        while (!stop.stop_requested()) {
            auto now = clock_.now();
            // What is asked for and fails is tried again as anything else.
            auto due = duty.asked_for() && failures == 0 ? now : next_due(began, duty.every(), failures, now);
            if (due > now) {
                clock_.sleep(std::min(due - now, kTick), stop);
                continue;
            }
            began = now;
            auto done = attempt(duty, stop);
            failures = done || done.error().kind == ErrorKind::partial ? 0 : failures + 1;
        }
    }

    void deliver() {
        if (!options_.tell) return;
        auto told = book_.deliver(options_.plan, options_.tell);
        // Said once, not each second.
        auto why = told ? std::string() : told.error().message;
        if (!why.empty() && why != undelivered_) options_.log({Event::Level::error, "alarms", "nobody could be told: " + why});
        undelivered_ = why;
    }

  private:
    // How a duty stands: log, alarms.
    void note(std::string const& name, Duty::Outcome const& outcome) {
        auto alarm = outcome.about.empty() ? name : name + ": " + outcome.about;
        if (!outcome.text.empty()) options_.log({Event::Level::info, name, outcome.text});
        if (!outcome.concern) return;
        if (outcome.concern->empty()) return note(book_.clear(alarm));
        options_.log({Event::Level::concern, name, *outcome.concern});
        raise(alarm, *outcome.concern);
    }
    void raise(std::string const& name, std::string const& text) { note(book_.raise(name, text)); }
    void note(Result<void> const& noted) {
        if (!noted) options_.log({Event::Level::error, "alarms", noted.error().message});
    }

    Clock& clock_;
    GuardOptions const& options_;
    AlarmBook& book_;
    std::string undelivered_;
};

// Held as long as the guard lives; names its process for people.
Result<Fd> take_place(std::filesystem::path const& directory) {
    std::error_code error;
    std::filesystem::create_directories(directory, error);
    if (error) return fail(errno_error(fmt::format("make '{}'", printable(directory.native())), error.value()));
    auto path = (directory / "lock").string();
    auto lock = TRY(try_lock_file(path));
    if (!lock) {
        auto holder = read_file(path, 64);
        return fail(ErrorKind::unsafe,
                    fmt::format("another guard keeps '{}'{}", printable(directory.native()),
                                holder ? " (process " + printable(as_text(*holder)) + ")" : ""),
                    "one is enough; another one needs a --state of its own");
    }
    auto process = std::to_string(::getpid());
    if (::ftruncate(lock->get(), 0) != 0) return fail(errno_error("write '" + path + "'", errno));
    TRY(pwrite_full(*lock, as_bytes(process), 0));
    return std::move(*lock);
}

Result<void> once(std::vector<std::unique_ptr<Duty>> const& duties, Clock& clock, Keeper& keeper, std::stop_token stop) {
    Result<void> worst;
    for (auto const& duty : duties) {
        auto now = clock.now();
        if (next_due(duty->last(), duty->every(), 0, now) > now) continue;
        auto done = keeper.attempt(*duty, stop);
        if (stop.stop_requested()) return done;
        if (!done && (worst || worst.error().kind == ErrorKind::partial)) worst = std::move(done);
    }
    keeper.deliver();
    return worst;
}

}  // namespace

Result<void> keep(std::vector<std::unique_ptr<Duty>> duties, Clock& clock, ServiceManager const& manager,
                  GuardOptions const& options, std::stop_token stop) {
    auto directory = options.state / "guard";
    auto place = TRY(take_place(directory));
    auto book = TRY(AlarmBook::open(directory / "alarms", clock));
    Keeper keeper(clock, options, *book);
    if (options.once) return once(duties, clock, keeper, stop);

    std::vector<std::jthread> threads;
    for (auto const& duty : duties) {
        threads.emplace_back([&keeper, &duty, stop] { keeper.repeat(*duty, stop); });
    }
    // Apart from this thread: a mail server that hangs must not look like a guard that does.
    threads.emplace_back([&keeper, &clock, stop] {
        while (!stop.stop_requested()) {
            keeper.deliver();
            clock.sleep(kTick, stop);
        }
    });
    manager.ready();
    options.log({Event::Level::info, "guard", fmt::format("keeps {} duties", duties.size())});
    auto tick = manager.watchdog() ? std::min(kTick, Duration(*manager.watchdog() / 3)) : kTick;
    std::optional<std::size_t> shown;
    while (!stop.stop_requested()) {
        manager.alive();
        if (auto raised = book->raised(); shown != raised) {
            manager.status(raised == 0 ? "all is well" : fmt::format("{} alarms", raised));
            shown = raised;
        }
        clock.sleep(tick, stop);
    }
    manager.stopping();
    threads.clear();
    options.log({Event::Level::info, "guard", "stopped"});
    return {};
}

}  // namespace holdfast::guard
