#include "formats/tensor_rows.h"

#include <algorithm>

namespace holdfast {
namespace {

constexpr std::uint64_t kRunBytesMax = 16u << 20;
// Of a tensor with strides, so much is read at once around an element.
constexpr std::uint64_t kWindowBytes = 64u << 10;

struct Dimension {
    std::uint64_t size = 0;
    std::uint64_t from = 0;  // bytes from one index to the next, in the file
    std::uint64_t to = 0;    // … in the run that is handed out
};

// Elements of the file one by one, mostly in ascending order.
class Window {
  public:
    Window(RandomAccess const& file, ModelTensor const& tensor) : file_(file), tensor_(tensor) {}

    Result<std::uint8_t const*> at(std::uint64_t offset, std::uint64_t size) {
        if (offset < from_ || offset + size > from_ + bytes_.size()) {
            if (offset > tensor_.bytes || size > tensor_.bytes - offset) return fail(ErrorKind::damaged, "it leaves its own bytes");
            bytes_.resize(std::min(kWindowBytes, tensor_.bytes - offset));
            from_ = offset;
            TRY(file_.read(tensor_.offset + offset, bytes_));
        }
        return bytes_.data() + (offset - from_);
    }

  private:
    RandomAccess const& file_;
    ModelTensor const& tensor_;
    std::uint64_t from_ = 0;
    Bytes bytes_;
};

Result<void> read_in_order(RandomAccess const& file, ModelTensor const& tensor, std::uint64_t bytes,
                           std::function<Result<void>(ByteView)> const& sink) {
    if (bytes > tensor.bytes) return fail(ErrorKind::damaged, "it leaves its own bytes");
    Bytes run(std::min<std::uint64_t>(bytes, 1u << 20));
    for (std::uint64_t at = 0; at < bytes;) {
        auto part = ByteSpan(run).first(std::min<std::uint64_t>(run.size(), bytes - at));
        TRY(file.read(tensor.offset + at, part));
        TRY(sink(part));
        at += part.size();
    }
    return {};
}

// One run: all indices of `dimensions`, whose `to` say where each element goes. The file is gone through in ascending
// order as far as there is one, so that what it is fetched from is fetched once.
Result<void> gather(Window& window, std::uint64_t start, std::vector<Dimension> dimensions, std::uint64_t width, ByteSpan run) {
    std::ranges::stable_sort(dimensions, std::greater(), &Dimension::from);
    std::vector<std::uint64_t> index(dimensions.size());
    std::uint64_t from = start, to = 0;
    while (true) {
        auto const* element = TRY(window.at(from, width));
        std::copy_n(element, width, run.begin() + static_cast<std::ptrdiff_t>(to));
        auto d = dimensions.size();
        for (; d > 0; --d) {
            auto const& dimension = dimensions[d - 1];
            from += dimension.from;
            to += dimension.to;
            if (++index[d - 1] < dimension.size) break;
            from -= dimension.from * dimension.size;
            to -= dimension.to * dimension.size;
            index[d - 1] = 0;
        }
        if (d == 0) return {};
    }
}

}  // namespace

std::optional<std::uint64_t> row_bytes(ModelTensor const& tensor) {
    auto width = dtype_bytes(tensor.dtype);
    auto count = element_count(tensor.shape);
    std::uint64_t bytes = 0;
    if (!width || !count || __builtin_mul_overflow(*width, *count, &bytes)) return std::nullopt;
    return bytes;
}

Result<void> read_rows(RandomAccess const& file, ModelTensor const& tensor, std::function<Result<void>(ByteView)> const& sink) {
    auto const width = *dtype_bytes(tensor.dtype);
    auto const bytes = *row_bytes(tensor);
    if (bytes == 0) return {};
    if (tensor.strides.empty()) return read_in_order(file, tensor, bytes, sink);

    std::vector<Dimension> dimensions;
    std::uint64_t last = 0;
    for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
        Dimension dimension{.size = tensor.shape[i], .from = 0, .to = 0};
        std::uint64_t step = 0;
        if (dimension.size == 1) continue;
        // The steps of all dimensions together stay within the tensor, so no sum of some of them overflows.
        if (__builtin_mul_overflow(tensor.strides[i], width, &dimension.from) ||
            __builtin_mul_overflow(dimension.from, dimension.size - 1, &step) || __builtin_add_overflow(last, step, &last) ||
            last > tensor.bytes) {
            return fail(ErrorKind::damaged, "it leaves its own bytes");
        }
        dimensions.push_back(dimension);
    }
    auto block = width;
    for (auto dimension = dimensions.rbegin(); dimension != dimensions.rend(); ++dimension) {
        dimension->to = block;
        block *= dimension->size;
    }
    // A run is some indices of the dimension `split` and all of those behind it.
    std::size_t split = 0;
    while (split < dimensions.size() && dimensions[split].to > kRunBytesMax) ++split;
    Window window(file, tensor);
    if (split == dimensions.size()) {  // one element
        Bytes one(width);
        TRY(gather(window, 0, {}, width, one));
        return sink(one);
    }
    auto const rows_max = std::max<std::uint64_t>(1, kRunBytesMax / dimensions[split].to);
    std::vector<std::uint64_t> outer(split);
    Bytes run;
    for (std::uint64_t start = 0;;) {
        for (std::uint64_t row = 0; row < dimensions[split].size; row += rows_max) {
            std::vector<Dimension> inner(dimensions.begin() + static_cast<std::ptrdiff_t>(split), dimensions.end());
            inner[0].size = std::min(rows_max, dimensions[split].size - row);
            run.resize(inner[0].size * inner[0].to);
            TRY(gather(window, start + row * dimensions[split].from, std::move(inner), width, run));
            TRY(sink(run));
        }
        auto d = split;
        for (; d > 0; --d) {
            start += dimensions[d - 1].from;
            if (++outer[d - 1] < dimensions[d - 1].size) break;
            start -= dimensions[d - 1].from * dimensions[d - 1].size;
            outer[d - 1] = 0;
        }
        if (d == 0) return {};
    }
}

}  // namespace holdfast
