#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <vector>

namespace holdfast::simulation {

// Processes that take turns on one thread: each runs until it yields, then chance says who goes on. The
// same seed gives the same turns.
class Fibers {
  public:
    explicit Fibers(std::mt19937_64& random);
    ~Fibers();
    Fibers(Fibers const&) = delete;
    Fibers& operator=(Fibers const&) = delete;

    void add(std::function<void()> body);
    // Runs all to their ends.
    void run();
    // From within a fiber: lets others go on. Outside of run() nothing happens.
    void yield() { pause(0); }
    // And stands still while they take so many turns, or until none of them can go on.
    void pause(std::uint64_t turns);

  private:
    struct Fiber;
    static void enter();
    std::size_t choose();

    std::mt19937_64& random_;
    std::vector<std::unique_ptr<Fiber>> fibers_;
    std::uint64_t turn_ = 0;
    struct Main;
    std::unique_ptr<Main> main_;
    Fiber* current_ = nullptr;
};

}  // namespace holdfast::simulation
