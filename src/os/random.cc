#include "os/random.h"

#include <cerrno>
#include <cstdlib>
#include <mutex>
#include <random>
#include <sys/random.h>

namespace holdfast {
namespace {

class SystemRandom : public Random {
  public:
    void fill(ByteSpan bytes) override {
        while (!bytes.empty()) {
            auto got = getrandom(bytes.data(), bytes.size(), 0);
            if (got < 0) {
                if (errno == EINTR) continue;
                std::abort();
            }
            bytes = bytes.subspan(static_cast<std::size_t>(got));
        }
    }
};

}  // namespace

Random& system_random() {
    static SystemRandom random;
    return random;
}

struct SeededRandom::State {
    std::mutex mutex;
    std::mt19937_64 engine;
};

SeededRandom::SeededRandom(std::uint64_t seed) : state_(std::make_shared<State>()) {
    state_->engine.seed(seed);
}

void SeededRandom::fill(ByteSpan bytes) {
    std::lock_guard lock(state_->mutex);
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(state_->engine());
}

}  // namespace holdfast
