#pragma once

#include <cstddef>
#include <cstdint>

namespace holdfast {

// What a run of bytes is made of, as far as it matters for making it small: how wide an element is, and
// where its sign is. Little-endian. Stated by whoever knows the format of the bytes; a wrong statement
// costs room and nothing else.
enum class Element : std::uint8_t {
    none,  // nothing is known
    float8,   // E4M3, E5M2: the sign on top
    float16,  // IEEE half or bfloat16
    float32,
    float64,
    signed8,
    signed16,
    signed32,
    signed64,
    unsigned8,  // and bool
    unsigned16,
    unsigned32,
    unsigned64,
};

// How an element becomes an unsigned number whose high byte says the most.
enum class Transform : std::uint8_t {
    none = 0,
    rotate = 1,  // left by one bit: the sign becomes the lowest bit, the exponent begins at the highest
    zigzag = 2,  // 0, -1, 1, -2 … become 0, 1, 2, 3 …
};

struct ElementForm {
    std::size_t width;  // bytes
    Transform transform;
};
constexpr ElementForm form_of(Element element) {
    switch (element) {
        case Element::none:
        case Element::unsigned8: return {1, Transform::none};
        case Element::unsigned16: return {2, Transform::none};
        case Element::unsigned32: return {4, Transform::none};
        case Element::unsigned64: return {8, Transform::none};
        case Element::float8: return {1, Transform::rotate};
        case Element::float16: return {2, Transform::rotate};
        case Element::float32: return {4, Transform::rotate};
        case Element::float64: return {8, Transform::rotate};
        case Element::signed8: return {1, Transform::zigzag};
        case Element::signed16: return {2, Transform::zigzag};
        case Element::signed32: return {4, Transform::zigzag};
        case Element::signed64: return {8, Transform::zigzag};
    }
    return {1, Transform::none};
}

}  // namespace holdfast
