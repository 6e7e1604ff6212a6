#pragma once

#include "base/bytes.h"

namespace holdfast {

// Secret bytes: wiped when they go away, kept out of core dumps where the system allows, never
// printed, never compared in variable time, never copied by accident.
class Secret {
  public:
    Secret() = default;
    explicit Secret(ByteView bytes);         // copies; the caller wipes its own
    static Secret of_size(std::size_t size);  // zeros, to be filled through writable()
    Secret(Secret&& other) noexcept;
    Secret& operator=(Secret&& other) noexcept;
    Secret(Secret const&) = delete;
    Secret& operator=(Secret const&) = delete;
    ~Secret();

    Secret clone() const { return Secret(view()); }
    ByteView view() const { return {data_, size_}; }
    ByteSpan writable() { return {data_, size_}; }
    std::size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }
    // Constant time for equal sizes.
    bool equals(ByteView other) const;

  private:
    std::uint8_t* data_ = nullptr;
    std::size_t size_ = 0;
};

// Overwrites memory in a way that the compiler does not remove.
void wipe(ByteSpan bytes);
void wipe(std::string& text);

}  // namespace holdfast
