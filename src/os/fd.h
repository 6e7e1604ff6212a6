#pragma once

#include <unistd.h>
#include <utility>

namespace holdfast {

// Owns one file descriptor and closes it. Errors of close are not seen here: whoever writes must
// sync first (see file.h).
class Fd {
  public:
    Fd() = default;
    explicit Fd(int number) : number_(number) {}
    Fd(Fd&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
    Fd& operator=(Fd&& other) noexcept {
        if (this != &other)
            reset(std::exchange(other.number_, -1));
        return *this;
    }
    ~Fd() { reset(); }

    int get() const { return number_; }
    explicit operator bool() const { return number_ >= 0; }
    int release() { return std::exchange(number_, -1); }
    // Never retried on EINTR: Linux has freed the number by then, and another thread may own it.
    void reset(int number = -1) {
        if (number_ >= 0)
            ::close(number_);
        number_ = number;
    }

  private:
    int number_ = -1;
};

}  // namespace holdfast
