#include "formats/tensor_values.h"

#include <bit>
#include <cmath>
#include <limits>

namespace holdfast {
namespace {

// A multiple of every element's size.
constexpr std::size_t kPart = 1u << 20;

// Of a floating-point number of the given widths, sign on top; IEEE 754 unless `finite_only` (float8 E4M3FN of
// "FP8 Formats for Deep Learning", 2022: no infinities, one NaN).
double small_float(std::uint32_t bits, unsigned exponent_bits, unsigned mantissa_bits, bool finite_only = false) {
    auto const mantissa = bits & ((1u << mantissa_bits) - 1);
    auto const exponent = bits >> mantissa_bits & ((1u << exponent_bits) - 1);
    auto const all_ones = (1u << exponent_bits) - 1;
    bool const negative = bits >> (exponent_bits + mantissa_bits) & 1;
    auto const bias = static_cast<int>(all_ones >> 1);
    double value;
    if (finite_only && exponent == all_ones && mantissa == (1u << mantissa_bits) - 1) {
        value = std::numeric_limits<double>::quiet_NaN();
    } else if (!finite_only && exponent == all_ones) {
        value = mantissa == 0 ? std::numeric_limits<double>::infinity() : std::numeric_limits<double>::quiet_NaN();
    } else if (exponent == 0) {
        value = std::ldexp(static_cast<double>(mantissa), 1 - bias - static_cast<int>(mantissa_bits));
    } else {
        value = std::ldexp(static_cast<double>(mantissa | 1u << mantissa_bits),
                           static_cast<int>(exponent) - bias - static_cast<int>(mantissa_bits));
    }
    return negative ? -value : value;
}

template <typename T>
T load(std::uint8_t const* from) {
    T value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

using Load = double (*)(std::uint8_t const*);
Load load_of(std::string_view dtype) {
    if (dtype == "F32") return [](std::uint8_t const* p) { return static_cast<double>(load<float>(p)); };
    if (dtype == "F64") return [](std::uint8_t const* p) { return load<double>(p); };
    if (dtype == "F16") return [](std::uint8_t const* p) { return small_float(load<std::uint16_t>(p), 5, 10); };
    if (dtype == "BF16") {
        return [](std::uint8_t const* p) {
            return static_cast<double>(std::bit_cast<float>(std::uint32_t{load<std::uint16_t>(p)} << 16));
        };
    }
    if (dtype == "F8_E5M2") return [](std::uint8_t const* p) { return small_float(*p, 5, 2); };
    if (dtype == "F8_E4M3") return [](std::uint8_t const* p) { return small_float(*p, 4, 3, true); };
    if (dtype == "I64") return [](std::uint8_t const* p) { return static_cast<double>(load<std::int64_t>(p)); };
    if (dtype == "I32") return [](std::uint8_t const* p) { return static_cast<double>(load<std::int32_t>(p)); };
    if (dtype == "I16") return [](std::uint8_t const* p) { return static_cast<double>(load<std::int16_t>(p)); };
    if (dtype == "I8") return [](std::uint8_t const* p) { return static_cast<double>(load<std::int8_t>(p)); };
    if (dtype == "U64") return [](std::uint8_t const* p) { return static_cast<double>(load<std::uint64_t>(p)); };
    if (dtype == "U32") return [](std::uint8_t const* p) { return static_cast<double>(load<std::uint32_t>(p)); };
    if (dtype == "U16") return [](std::uint8_t const* p) { return static_cast<double>(load<std::uint16_t>(p)); };
    if (dtype == "U8" || dtype == "BOOL") return [](std::uint8_t const* p) { return static_cast<double>(*p); };
    return nullptr;
}

}  // namespace

double TensorValues::norm() const { return std::sqrt(square_sum); }

Result<std::optional<TensorValues>> tensor_values(RandomAccess const& file, ModelTensor const& tensor) {
    auto load = load_of(tensor.dtype);
    auto width = dtype_bytes(tensor.dtype);
    if (!load || !width) return std::optional<TensorValues>();
    TensorValues values;
    Bytes part(std::min<std::uint64_t>(kPart, tensor.bytes));
    bool first = true;
    for (std::uint64_t at = 0; at + *width <= tensor.bytes;) {
        auto bytes = ByteSpan(part).first(std::min<std::uint64_t>(part.size(), (tensor.bytes - at) / *width * *width));
        TRY(file.read(tensor.offset + at, bytes));
        for (std::size_t i = 0; i < bytes.size(); i += *width) {
            auto value = load(bytes.data() + i);
            ++values.count;
            if (std::isnan(value)) {
                ++values.nan;
            } else if (std::isinf(value)) {
                ++values.infinite;
            } else {
                if (value == 0) ++values.zero;
                values.low = first ? value : std::min(values.low, value);
                values.high = first ? value : std::max(values.high, value);
                values.square_sum += value * value;
                first = false;
            }
        }
        at += bytes.size();
    }
    return std::optional(values);
}

Result<std::optional<TensorDistance>> tensor_distance(RandomAccess const& a_file, ModelTensor const& a,
                                                      RandomAccess const& b_file, ModelTensor const& b) {
    auto load = load_of(a.dtype);
    auto width = dtype_bytes(a.dtype);
    if (!load || !width || a.dtype != b.dtype || a.shape != b.shape || a.strides != b.strides || a.bytes != b.bytes) {
        return std::optional<TensorDistance>();
    }
    TensorDistance distance{.same = true, .relative = 0};
    double base = 0, difference = 0;
    Bytes a_part(std::min<std::uint64_t>(kPart, a.bytes)), b_part(a_part.size());
    for (std::uint64_t at = 0; at + *width <= a.bytes;) {
        auto size = std::min<std::uint64_t>(a_part.size(), (a.bytes - at) / *width * *width);
        TRY(a_file.read(a.offset + at, ByteSpan(a_part).first(size)));
        TRY(b_file.read(b.offset + at, ByteSpan(b_part).first(size)));
        distance.same = distance.same && std::equal(a_part.begin(), a_part.begin() + static_cast<std::ptrdiff_t>(size), b_part.begin());
        for (std::size_t i = 0; i < size; i += *width) {
            auto x = load(a_part.data() + i), y = load(b_part.data() + i);
            if (!std::isfinite(x) || !std::isfinite(y)) continue;
            base += x * x;
            difference += (x - y) * (x - y);
        }
        at += size;
    }
    if (difference > 0) distance.relative = base > 0 ? std::sqrt(difference / base) : std::numeric_limits<double>::infinity();
    return std::optional(distance);
}

}  // namespace holdfast
