#include "world.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "repo/lease.h"
#include "repo/reserve.h"

namespace holdfast::simulation {

using namespace std::chrono_literals;

void Stream::fill(ByteSpan bytes) {
    while (!bytes.empty()) {
        auto value = state_ += 0x9e3779b97f4a7c15;
        value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
        value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
        value ^= value >> 31;
        auto size = std::min(bytes.size(), sizeof value);
        std::memcpy(bytes.data(), &value, size);
        bytes = bytes.subspan(size);
    }
}

World::World(std::uint64_t seed, Tally& tally, bool trace)
    : random_(seed),
      stream_(seed),
      tally_(tally),
      trace_(trace),
      past_(simulation::past(draw(kPasts))),
      clock_(past_.end),
      executor_(make_seeded_executor(1)),
      fibers_(random_) {
    ++tally_.histories;
    if (chance(10)) {
        ++tally_.directories;
        medium_ = make_directory(past_.objects, clock_, random_);
    } else {
        // Where listings lag, the collector's wait is what makes up for it: then clocks tell the truth.
        if (chance(6)) lag_ = std::chrono::seconds(1 + draw(600));
        medium_ = make_bucket(past_.objects, clock_, random_, lag_);
    }
    skewed_ = lag_ == Duration(0) && chance(3);
}

void World::say(std::string const& what) const {
    if (!trace_) return;
    fmt::print("{:>12.3f} {}\n", std::chrono::duration<double>(clock_.now() - past_.end).count(), what);
}

// ---- processes

Duration World::draw_skew() {
    constexpr Duration skews[] = {Duration(0), -std::chrono::days(365), std::chrono::days(3650), 5h, -30min};
    return skews[draw(std::size(skews))];
}

void World::draw_fate(Process& process) {
    auto scale = medium_->steps_per_operation();
    if (skewed_) process.clock.jump(draw_skew());
    if (skewed_ && chance(3)) process.clock_jumps_at = draw(50 * scale);
    if (chance(4)) {
        process.dies_at = draw(50 * scale);
        process.last = chance(2) ? Effect::done : Effect::none;
    }
    // A collection beside a step, a few, or longer than a lease lasts.
    if (chance(2)) {
        constexpr Duration naps[] = {1s, 1min, 1h, kLeaseSilenceMax + 1h};
        process.nap = {draw(35 * scale), (20 + draw(200)) * scale, naps[draw(std::size(naps))]};
    }
    if (chance(6)) process.fails_one_in = (5 + draw(60)) * scale;
}

void World::add(std::string name, std::function<void(Process&)> body) {
    auto added = std::make_unique<Process>(Process{.name = fmt::format("{} {}", name, ++started_),
                                                   .clock = SkewedClock(clock_),
                                                   .executor = make_seeded_executor(random_()),
                                                   .store = {},
                                                   .dies_at = {},
                                                   .nap = {},
                                                   .clock_jumps_at = {}});
    draw_fate(*added);
    fibers_.add([&process = *added, body = std::move(body)] { body(process); });
    processes_.push_back(std::move(added));
}

void World::run() {
    power_goes_in_.reset();
    if (medium_->steps_per_operation() > 1 && chance(2)) power_goes_in_ = draw(1200);
    fibers_.run();
    processes_.clear();
    if (keys_below(kReservePrefix).empty()) {
        (void)medium_->truth().put(ObjectKey(std::string(kReservePrefix) + "0000000000000000"), as_bytes("room"), {});
    }
}

std::optional<Fault> World::befall(Process& process, Step const& step) {
    ++tally_.operations;
    auto number = process.steps++;
    auto tell = [&](std::string_view what) {
        say(fmt::format("{}: {} {}{}", process.name, step.verb, step.object, what));
    };
    if (!process.dead) fibers_.yield();
    clock_.advance(Duration(1'000'000 * (1 + draw(20))) / medium_->steps_per_operation());
    if (process.nap && process.nap->at == number && !process.dead) stand_still(process);
    if (process.clock_jumps_at == number) {
        ++tally_.jumps;
        process.clock.jump(draw_skew());
    }
    if (power_goes_in_ && !process.dead && (*power_goes_in_)-- == 0) lose_power();
    if (process.dead) return Fault{ErrorKind::unreachable};
    if (process.dies_at == number) {
        ++tally_.kills;
        process.dead = process.hurt = true;
        tell(process.last == Effect::done ? " is done, and it is killed" : " is where it is killed");
        return Fault{ErrorKind::unreachable, process.last};
    }
    if (process.fails_one_in != 0 && chance(process.fails_one_in)) {
        ++tally_.faults;
        process.hurt = true;
        constexpr ErrorKind kinds[] = {ErrorKind::unreachable, ErrorKind::io, ErrorKind::no_space};
        auto kind = kinds[draw(step.kind == Step::Kind::put ? 3 : 2)];
        auto effect = kind == ErrorKind::unreachable && chance(2) ? Effect::done : Effect::none;
        tell(fmt::format(" fails with {}{}", holdfast::name(kind), effect == Effect::done ? ", and is done" : ""));
        return Fault{kind, effect};
    }
    if (trace_ && step.kind != Step::Kind::get && step.kind != Step::Kind::other) tell("");
    return {};
}

void World::stand_still(Process& process) {
    ++tally_.naps;
    say(process.name + " stands still");
    fibers_.pause(process.nap->turns);
    clock_.advance(process.nap->lasts);
    // Its own lease has lapsed, and those of the others.
    if (process.nap->lasts > kLeaseSilenceMax) {
        for (auto& other : processes_) other->hurt = true;
    }
    say(process.name + " goes on");
}

void World::lose_power() {
    if (!medium_->lose_power()) return;
    ++tally_.powerless;
    say("the power goes");
    for (auto& process : processes_) process->dead = process->hurt = true;
}

Result<std::unique_ptr<Repository>> World::open(Process& process, KeyBundle const& keys) {
    auto before = [this, &process](Step const& step) { return befall(process, step); };
    if (!process.store) process.store = TRY(medium_->connect(process.name, process.clock, before));
    return open_repository(*process.store, keys.clone(), {process.clock, stream_, *process.executor, {}, {}}, {}, {});
}

Result<std::unique_ptr<Repository>> World::open(KeyBundle const& keys) {
    return open_repository(medium_->truth(), keys.clone(), {clock_, stream_, *executor_, {}, {}}, {}, {});
}

// ---- between runs

void World::rest() {
    constexpr Duration pauses[] = {Duration(0), 1min, 2h, 7h, 25h, std::chrono::days(40)};
    pass(pauses[draw(std::size(pauses))]);
}

void World::limit_room() {
    ++tally_.full;
    full_ = true;
    medium_->set_room(draw(12'000));
    say("room ends");
}
void World::lift_limit() {
    if (!std::exchange(full_, false)) return;
    medium_->set_room({});
    say("there is room");
}

std::vector<std::string> World::keys_below(std::string_view prefix) {
    std::vector<std::string> keys;
    auto visit = [&](ObjectInfo const& info) -> Result<void> {
        keys.push_back(info.key.text());
        return {};
    };
    (void)medium_->truth().list(prefix, visit, {});
    return keys;
}

void World::rot() {
    std::vector<std::string> keys;
    for (auto prefix : {"packs/", "index/", "points/"}) {
        for (auto& key : keys_below(prefix)) keys.push_back(std::move(key));
    }
    if (keys.empty()) return;
    auto key = keys[draw(keys.size())];
    auto bytes = medium_->truth().get(ObjectKey(key), {}).value();
    auto offset = draw(bytes.size());
    auto mask = static_cast<std::uint8_t>(1u << draw(8));
    bytes[offset] ^= mask;
    medium_->flip(key, offset, mask);
    ++tally_.rotten;
    say("a bit rots in " + key);
    rot_ = Rot{key, offset, mask, std::move(bytes)};
}

// As from another copy. What somebody removed on purpose stays away.
void World::mend() {
    if (!rot_) return;
    auto bytes = medium_->truth().get(ObjectKey(rot_->key), {});
    if (bytes && *bytes == rot_->bad) medium_->flip(rot_->key, rot_->offset, rot_->mask);
    rot_.reset();
    say("mended");
}

}  // namespace holdfast::simulation
