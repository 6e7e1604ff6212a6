#include "formats/safetensors.h"

#include <algorithm>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "base/text.h"

namespace holdfast {
namespace {

constexpr std::size_t kLengthBytes = 8;
constexpr std::size_t kRankMax = 64;

// Reads the header's JSON event by event: a header of 100 MB never becomes a tree of 1 GB, and a name
// that stands twice is seen (a tree would keep the last).
class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
  public:
    explicit HeaderReader(Safetensors& result) : result_(result) {}

    std::string fault;

    bool start_object(std::size_t) override {
        switch (at_) {
            case At::start: at_ = At::names; return true;
            case At::entry:
                if (metadata_) {
                    at_ = At::metadata;
                } else {
                    at_ = At::fields;
                    fields_.clear();
                }
                return true;
            default: return refuse("an object where none belongs");
        }
    }
    bool end_object() override {
        switch (at_) {
            case At::names: at_ = At::end; return true;
            case At::metadata: at_ = At::names; return true;
            case At::fields:
                if (fields_.size() != 3) return refuse("it lacks dtype, shape or data_offsets");
                result_.tensors.push_back(std::move(tensor_));
                at_ = At::names;
                return true;
            default: return refuse("the header is not as it should be");
        }
    }
    bool key(string_t& key) override {
        if (at_ == At::names) {
            if (!names_.insert(key).second) return refuse(fmt::format("'{}' stands twice", printable(key)));
            metadata_ = key == "__metadata__";
            tensor_ = {.name = key, .dtype = {}, .shape = {}};
            at_ = At::entry;
            return true;
        }
        key_ = key;
        if (at_ == At::metadata) return true;
        if (!fields_.insert(key).second) return refuse(fmt::format("'{}' stands twice", printable(key)));
        return true;
    }
    bool string(string_t& value) override {
        if (at_ == At::metadata) {
            result_.metadata[key_] = value;
            return true;
        }
        if (at_ != At::fields || key_ != "dtype") return refuse("text where none belongs");
        tensor_.dtype = value;
        return true;
    }
    bool start_array(std::size_t) override {
        if (at_ != At::fields || (key_ != "shape" && key_ != "data_offsets")) {
            return refuse("a list where none belongs");
        }
        numbers_.clear();
        at_ = At::numbers;
        return true;
    }
    bool number_unsigned(number_unsigned_t value) override {
        if (at_ != At::numbers || numbers_.size() >= kRankMax) return refuse("a number where none belongs");
        numbers_.push_back(value);
        return true;
    }
    bool end_array() override {
        at_ = At::fields;
        if (key_ == "shape") {
            tensor_.shape = numbers_;
        } else {
            if (numbers_.size() != 2) return refuse("data_offsets are not two numbers");
            tensor_.begin = numbers_[0];
            tensor_.end = numbers_[1];
        }
        return true;
    }
    bool null() override { return refuse("null"); }
    bool boolean(bool) override { return refuse("true or false"); }
    bool number_integer(number_integer_t) override { return refuse("a negative number"); }
    bool number_float(number_float_t, string_t const&) override { return refuse("a number with a fraction"); }
    bool binary(binary_t&) override { return refuse("binary data"); }
    bool parse_error(std::size_t position, std::string const&, nlohmann::detail::exception const&) override {
        fault = fmt::format("the header is not JSON (byte {})", position);
        return false;
    }
    bool complete() const { return at_ == At::end; }

  private:
    enum class At { start, names, entry, metadata, fields, numbers, end };

    bool refuse(std::string_view what) {
        fault = tensor_.name.empty() ? std::string(what)
                                     : fmt::format("tensor '{}': {}", printable(tensor_.name), what);
        return false;
    }

    Safetensors& result_;
    At at_ = At::start;
    bool metadata_ = false;
    std::string key_;
    std::set<std::string> names_, fields_;
    std::vector<std::uint64_t> numbers_;
    SafetensorsTensor tensor_;
};

// Elements times bytes of one; nothing when that does not fit into 64 bits.
std::optional<std::uint64_t> bytes_needed(SafetensorsTensor const& tensor, std::uint64_t element) {
    auto total = element;
    for (auto size : tensor.shape) {
        if (__builtin_mul_overflow(total, size, &total)) return std::nullopt;
    }
    return total;
}

std::unexpected<Error> safetensors_damaged(std::string message) { return fail(ErrorKind::damaged, std::move(message)); }

}  // namespace

std::optional<std::uint64_t> safetensors_element_bytes(std::string_view dtype) {
    static std::map<std::string_view, std::uint64_t> const kSizes = {
        {"BOOL", 1}, {"U8", 1},       {"I8", 1},       {"F8_E5M2", 1}, {"F8_E4M3", 1}, {"F8_E8M0", 1},
        {"I16", 2},  {"U16", 2},      {"F16", 2},      {"BF16", 2},    {"I32", 4},     {"U32", 4},
        {"F32", 4},  {"F64", 8},      {"I64", 8},      {"U64", 8},     {"C64", 8},
    };
    auto found = kSizes.find(dtype);
    return found == kSizes.end() ? std::nullopt : std::optional(found->second);
}

Result<std::uint64_t> safetensors_head_size(ByteView first, std::uint64_t file_size) {
    if (first.size() < kLengthBytes || file_size < kLengthBytes) {
        return safetensors_damaged("shorter than a safetensors header");
    }
    auto length = ByteReader(first).u64();
    if (length > kSafetensorsHeaderMax) {
        return safetensors_damaged(fmt::format("its header claims {} bytes, more than the format allows", length));
    }
    if (length > file_size - kLengthBytes) {
        return safetensors_damaged(fmt::format("its header claims {} bytes, the file has {}", length, file_size));
    }
    return kLengthBytes + length;
}

Result<Safetensors> parse_safetensors(ByteView head, std::uint64_t file_size) {
    if (head.size() < kLengthBytes + 2 || head[kLengthBytes] != '{') return safetensors_damaged("the header is not JSON");
    Safetensors result{.data_start = head.size(), .tensors = {}, .metadata = {}, .unknown_dtypes = {}};
    auto text = as_text(head.subspan(kLengthBytes));
    HeaderReader reader(result);
    bool read = nlohmann::json::sax_parse(text, &reader);
    if (!read || !reader.complete()) {
        return safetensors_damaged(reader.fault.empty() ? "the header is not JSON" : reader.fault);
    }

    std::ranges::sort(result.tensors, [](auto const& a, auto const& b) {
        return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
    });
    std::uint64_t at = 0;
    for (auto const& tensor : result.tensors) {
        auto context = fmt::format("tensor '{}'", printable(tensor.name));
        if (tensor.begin != at) {
            return safetensors_damaged(fmt::format("{} begins at {}, the one before it ends at {}", context, tensor.begin, at));
        }
        if (tensor.end < tensor.begin) return safetensors_damaged(context + " ends before it begins");
        if (auto element = safetensors_element_bytes(tensor.dtype)) {
            auto needed = bytes_needed(tensor, *element);
            if (!needed || *needed != tensor.end - tensor.begin) {
                return safetensors_damaged(fmt::format("{} has {} bytes, its shape and type need {}", context,
                                           tensor.end - tensor.begin,
                                           needed ? std::to_string(*needed) : "more than any file has"));
            }
        } else if (std::ranges::find(result.unknown_dtypes, tensor.dtype) == result.unknown_dtypes.end()) {
            result.unknown_dtypes.push_back(tensor.dtype);
        }
        at = tensor.end;
    }
    if (at != file_size - head.size()) {
        return safetensors_damaged(fmt::format("its tensors need {} bytes behind the header, the file has {}", at,
                                   file_size - head.size()));
    }
    return result;
}

}  // namespace holdfast
