#include "fibers.h"

#include <cassert>
#include <cstdlib>
#include <sys/mman.h>
#include <ucontext.h>

namespace holdfast::simulation {
namespace {

constexpr std::size_t kStackBytes = 512u << 10;

// Stacks are used again: a history has a few fibers, and there are many histories.
std::vector<void*>& free_stacks() {
    static std::vector<void*> stacks;
    return stacks;
}
void* take_stack() {
    auto& stacks = free_stacks();
    if (!stacks.empty()) {
        auto* stack = stacks.back();
        stacks.pop_back();
        return stack;
    }
    auto* stack = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED) std::abort();
    // An overflow ends the process instead of writing elsewhere.
    mprotect(stack, 4096, PROT_NONE);
    return stack;
}

Fibers* running = nullptr;

}  // namespace

struct Fibers::Fiber {
    std::function<void()> body;
    ucontext_t context{};
    void* stack = nullptr;
    std::uint64_t goes_on = 0;  // at this turn
    bool ended = false;
    ~Fiber() {
        if (stack != nullptr) free_stacks().push_back(stack);
    }
};
struct Fibers::Main {
    ucontext_t context{};
};

Fibers::Fibers(std::mt19937_64& random) : random_(random), main_(std::make_unique<Main>()) {}
Fibers::~Fibers() = default;

void Fibers::add(std::function<void()> body) {
    auto fiber = std::make_unique<Fiber>();
    fiber->body = std::move(body);
    fiber->stack = take_stack();
    getcontext(&fiber->context);
    fiber->context.uc_stack.ss_sp = fiber->stack;
    fiber->context.uc_stack.ss_size = kStackBytes;
    fiber->context.uc_link = nullptr;
    makecontext(&fiber->context, &Fibers::enter, 0);
    fibers_.push_back(std::move(fiber));
}

void Fibers::enter() {
    auto* fiber = running->current_;
    fiber->body();
    fiber->ended = true;
    setcontext(&running->main_->context);
}

void Fibers::run() {
    assert(running == nullptr);
    running = this;
    while (!fibers_.empty()) {
        auto at = choose();
        ++turn_;
        current_ = fibers_[at].get();
        swapcontext(&main_->context, &current_->context);
        if (current_->ended) fibers_.erase(fibers_.begin() + static_cast<std::ptrdiff_t>(at));
        current_ = nullptr;
    }
    running = nullptr;
}

// Any of those that do not stand still; when all do, the one that stands still the shortest.
std::size_t Fibers::choose() {
    std::size_t ready = 0, first = 0;
    for (std::size_t i = 0; i < fibers_.size(); ++i) {
        if (fibers_[i]->goes_on <= turn_) ++ready;
        if (fibers_[i]->goes_on < fibers_[first]->goes_on) first = i;
    }
    if (ready == 0) return first;
    auto at = random_() % ready;
    for (std::size_t i = 0;; ++i) {
        if (fibers_[i]->goes_on <= turn_ && at-- == 0) return i;
    }
}

void Fibers::pause(std::uint64_t turns) {
    if (current_ == nullptr) return;
    current_->goes_on = turn_ + turns;
    swapcontext(&current_->context, &main_->context);
}

}  // namespace holdfast::simulation
