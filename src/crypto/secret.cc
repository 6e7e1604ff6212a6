#include "crypto/secret.h"

#include <cassert>
#include <cstring>
#include <mutex>
#include <new>
#include <sodium.h>
#include <sys/mman.h>
#include <utility>

namespace holdfast {
namespace {

constexpr std::size_t kSlotBytes = 64;
constexpr std::size_t kSlabBytes = 16u << 10;

// Pages that stay out of core dumps and, where the limit of locked memory allows, out of swap.
std::uint8_t* map_pages(std::size_t bytes) {
    auto* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        throw std::bad_alloc();
    (void)madvise(at, bytes, MADV_DONTDUMP);
    (void)mlock(at, bytes);
    return static_cast<std::uint8_t*>(at);
}

// Keys are small and many: they share pages, in slots of 64 bytes. What is larger has pages of its
// own.
class Slots {
  public:
    std::uint8_t* take() {
        std::lock_guard lock(mutex_);
        if (free_ == nullptr) {
            auto* slab = map_pages(kSlabBytes);
            for (std::size_t at = 0; at < kSlabBytes; at += kSlotBytes)
                link(slab + at);
        }
        auto* slot = free_;
        std::memcpy(&free_, slot, sizeof free_);
        std::memset(slot, 0, kSlotBytes);
        return slot;
    }
    // `slot` is all zeros.
    void give(std::uint8_t* slot) {
        std::lock_guard lock(mutex_);
        link(slot);
    }

  private:
    void link(std::uint8_t* slot) {
        std::memcpy(slot, &free_, sizeof free_);
        free_ = slot;
    }
    std::mutex mutex_;
    std::uint8_t* free_ = nullptr;  // a list threaded through the free slots
};

// Never destroyed: secrets in static storage may outlive any other static.
Slots& slots() {
    static auto* slots = new Slots;
    return *slots;
}

std::uint8_t* take(std::size_t size) {
    if (size == 0)
        return nullptr;
    return size <= kSlotBytes ? slots().take() : map_pages(size);
}

void give(std::uint8_t* data, std::size_t size) {
    if (data == nullptr)
        return;
    sodium_memzero(data, size);
    if (size <= kSlotBytes) {
        slots().give(data);
    } else {
        munmap(data, size);
    }
}

}  // namespace

Secret::Secret(ByteView bytes) : data_(take(bytes.size())), size_(bytes.size()) {
    if (size_ > 0)
        std::memcpy(data_, bytes.data(), size_);
}

Secret Secret::of_size(std::size_t size) {
    Secret secret;
    secret.data_ = take(size);
    secret.size_ = size;
    return secret;
}

Secret::Secret(Secret&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Secret& Secret::operator=(Secret&& other) noexcept {
    if (this != &other) {
        give(data_, size_);
        data_ = std::exchange(other.data_, nullptr);
        size_ = std::exchange(other.size_, 0);
    }
    return *this;
}

Secret::~Secret() {
    give(data_, size_);
}

bool Secret::equals(ByteView other) const {
    return size_ == other.size() && (size_ == 0 || sodium_memcmp(data_, other.data(), size_) == 0);
}

void wipe(ByteSpan bytes) {
    if (!bytes.empty())
        sodium_memzero(bytes.data(), bytes.size());
}

void wipe(std::string& text) {
    // The whole capacity: a shortened string still holds its old tail.
    text.resize(text.capacity());
    if (!text.empty())
        sodium_memzero(text.data(), text.size());
    text.clear();
}

}  // namespace holdfast
