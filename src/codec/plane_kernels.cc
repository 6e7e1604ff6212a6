#include "codec/plane_kernels.h"

#include <bit>
#include <cassert>
#include <cstring>

namespace holdfast {
namespace {

template <typename Word, Transform transform>
Word forward(Word x) {
    if constexpr (transform == Transform::rotate) return std::rotl(x, 1);
    if constexpr (transform == Transform::zigzag) {
        return static_cast<Word>(static_cast<Word>(x << 1) ^ (x >> (sizeof(Word) * 8 - 1) ? Word(~Word{}) : Word{}));
    }
    return x;
}

template <typename Word, Transform transform>
Word backward(Word x) {
    if constexpr (transform == Transform::rotate) return std::rotr(x, 1);
    if constexpr (transform == Transform::zigzag) {
        return static_cast<Word>((x >> 1) ^ ((x & 1) ? Word(~Word{}) : Word{}));
    }
    return x;
}

template <typename Word, Transform transform>
void split(std::uint8_t const* source, std::uint8_t* const* planes) {
    for (std::size_t i = 0; i < kPlaneBlock; ++i) {
        Word x;
        std::memcpy(&x, source + i * sizeof x, sizeof x);
        x = forward<Word, transform>(x);
        for (std::size_t k = 0; k < sizeof x; ++k) planes[k][i] = static_cast<std::uint8_t>(x >> (8 * k));
    }
}

template <typename Word, Transform transform>
void merge(std::uint8_t const* const* planes, std::uint8_t* target) {
    for (std::size_t i = 0; i < kPlaneBlock; ++i) {
        Word x = 0;
        for (std::size_t k = 0; k < sizeof x; ++k) x = static_cast<Word>(x | static_cast<Word>(planes[k][i]) << (8 * k));
        x = backward<Word, transform>(x);
        std::memcpy(target + i * sizeof x, &x, sizeof x);
    }
}

std::uint32_t sum(std::uint8_t const* plane) {
    std::uint32_t total = 0;
    for (std::size_t i = 0; i < kPlaneBlock; ++i) total += plane[i];
    return total;
}

template <typename Word>
PlaneKernel portable(Transform transform) {
    switch (transform) {
        case Transform::rotate: return {split<Word, Transform::rotate>, merge<Word, Transform::rotate>, sum};
        case Transform::zigzag: return {split<Word, Transform::zigzag>, merge<Word, Transform::zigzag>, sum};
        case Transform::none: break;
    }
    return {split<Word, Transform::none>, merge<Word, Transform::none>, sum};
}

PlaneKernel portable(ElementForm form) {
    switch (form.width) {
        case 2: return portable<std::uint16_t>(form.transform);
        case 4: return portable<std::uint32_t>(form.transform);
        case 8: return portable<std::uint64_t>(form.transform);
        default: return portable<std::uint8_t>(form.transform);
    }
}

}  // namespace

#if defined(__x86_64__)
Instructions best_instructions() {
    static Instructions const best = [] {
        if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("bmi2")) return Instructions::portable;
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") ? Instructions::avx512
                                                                                       : Instructions::avx2;
    }();
    return best;
}
#else
Instructions best_instructions() { return Instructions::portable; }
PlaneKernel plane_kernel_avx2(ElementForm, PlaneKernel portable) { return portable; }
PlaneKernel plane_kernel_avx512(ElementForm, PlaneKernel portable) { return portable; }
#endif

PlaneKernel plane_kernel(ElementForm form, Instructions instructions) {
    assert(instructions <= best_instructions());
    auto kernel = portable(form);
    switch (instructions) {
        case Instructions::portable: break;
        case Instructions::avx2: return plane_kernel_avx2(form, kernel);
        case Instructions::avx512: return plane_kernel_avx512(form, kernel);
    }
    return kernel;
}

}  // namespace holdfast
