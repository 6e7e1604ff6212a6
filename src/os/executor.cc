#include "os/executor.h"

#include <cassert>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

namespace holdfast {
namespace {

class ThreadExecutor : public Executor {
  public:
    explicit ThreadExecutor(unsigned threads) {
        for (unsigned i = 0; i < threads; ++i) {
            threads_.emplace_back([this] { run(); });
        }
    }
    ~ThreadExecutor() override {
        {
            std::lock_guard lock(mutex_);
            closing_ = true;
        }
        queued_.notify_all();
        threads_.clear();
    }

    void post(std::function<void()> task) override {
        {
            std::lock_guard lock(mutex_);
            tasks_.push_back(std::move(task));
        }
        queued_.notify_one();
    }

    void wait_until(std::function<bool()> const& ready) override {
        // `ended_` is read before ready(): a task that ends in between is not missed.
        std::unique_lock lock(mutex_);
        for (;;) {
            auto seen = ended_;
            lock.unlock();
            if (ready()) return;
            lock.lock();
            progress_.wait(lock, [&] { return ended_ != seen; });
        }
    }

    unsigned width() const override { return static_cast<unsigned>(threads_.size()); }

  private:
    void run() {
        std::unique_lock lock(mutex_);
        for (;;) {
            queued_.wait(lock, [&] { return closing_ || !tasks_.empty(); });
            if (tasks_.empty()) return;
            auto task = std::move(tasks_.front());
            tasks_.pop_front();
            lock.unlock();
            task();
            task = nullptr;
            lock.lock();
            ++ended_;
            progress_.notify_all();
        }
    }

    std::mutex mutex_;
    std::condition_variable queued_, progress_;
    std::deque<std::function<void()>> tasks_;
    std::uint64_t ended_ = 0;
    bool closing_ = false;
    std::vector<std::jthread> threads_;
};

class SeededExecutor : public Executor {
  public:
    explicit SeededExecutor(std::uint64_t seed) : engine_(seed) {}
    ~SeededExecutor() override {
        while (!tasks_.empty()) run_one();
    }

    void post(std::function<void()> task) override { tasks_.push_back(std::move(task)); }

    void wait_until(std::function<bool()> const& ready) override {
        while (!ready()) {
            assert(!tasks_.empty() && "waiting for what no task will do");
            run_one();
        }
    }

    unsigned width() const override { return 1; }

  private:
    void run_one() {
        auto at = std::uniform_int_distribution<std::size_t>(0, tasks_.size() - 1)(engine_);
        std::swap(tasks_[at], tasks_.back());
        auto task = std::move(tasks_.back());
        tasks_.pop_back();
        task();
    }

    std::mt19937_64 engine_;
    std::vector<std::function<void()>> tasks_;
};

}  // namespace

std::unique_ptr<Executor> make_thread_executor(unsigned threads) {
    if (threads == 0) threads = std::max(1u, std::thread::hardware_concurrency());
    return std::make_unique<ThreadExecutor>(threads);
}

std::unique_ptr<Executor> make_seeded_executor(std::uint64_t seed) {
    return std::make_unique<SeededExecutor>(seed);
}

}  // namespace holdfast
