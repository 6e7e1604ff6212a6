#include <charconv>
#include <fmt/format.h>
#include <unordered_map>

#include "base/text.h"
#include "formats/model_readers.h"

namespace holdfast {
namespace {

constexpr std::uint64_t kHeaderMax = 1u << 20;

std::string numpy_dtype(std::string_view descr) {
    static std::unordered_map<std::string_view, std::string_view> const kTypes = {
        {"<f4", "F32"}, {"<f8", "F64"}, {"<f2", "F16"}, {"<i8", "I64"}, {"<i4", "I32"}, {"<i2", "I16"}, {"|i1", "I8"},
        {"<u8", "U64"}, {"<u4", "U32"}, {"<u2", "U16"}, {"|u1", "U8"},  {"|b1", "BOOL"}, {"<c8", "C64"}, {"<c16", "C128"},
    };
    auto found = kTypes.find(descr);
    return found == kTypes.end() ? std::string() : std::string(found->second);
}

// The header is a Python dictionary of three entries as repr() writes it; nothing else is accepted.
class HeaderText {
  public:
    explicit HeaderText(std::string_view text) : rest_(text) {}

    bool take(std::string_view word) {
        while (!rest_.empty() && (rest_[0] == ' ' || rest_[0] == '\n')) rest_.remove_prefix(1);
        if (!rest_.starts_with(word)) return false;
        rest_.remove_prefix(word.size());
        return true;
    }
    std::optional<std::string> quoted() {
        if (!take("'")) return std::nullopt;
        auto end = rest_.find('\'');
        if (end == std::string_view::npos || end > 64) return std::nullopt;
        auto text = std::string(rest_.substr(0, end));
        rest_.remove_prefix(end + 1);
        return text;
    }
    std::optional<std::uint64_t> number() {
        take("");
        std::uint64_t value = 0;
        auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
        if (error != std::errc()) return std::nullopt;
        rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
        return value;
    }

  private:
    std::string_view rest_;
};

struct Header {
    std::string descr;
    bool fortran = false;
    std::vector<std::uint64_t> shape;
};
std::optional<Header> parse(std::string_view text) {
    HeaderText at(text);
    Header header;
    unsigned seen = 0;
    if (!at.take("{")) return std::nullopt;
    while (!at.take("}")) {
        auto key = at.quoted();
        if (!key || !at.take(":")) return std::nullopt;
        unsigned bit = *key == "descr" ? 1 : *key == "fortran_order" ? 2 : *key == "shape" ? 4 : 8;
        if (bit == 8 || (seen & bit)) return std::nullopt;
        seen |= bit;
        if (bit == 1) {
            auto descr = at.quoted();
            if (!descr) return std::nullopt;  // a list of fields: a record
            header.descr = *descr;
        } else if (bit == 2) {
            header.fortran = at.take("True");
            if (!header.fortran && !at.take("False")) return std::nullopt;
        } else {
            if (!at.take("(")) return std::nullopt;
            while (!at.take(")")) {
                auto size = at.number();
                if (!size || header.shape.size() >= 64) return std::nullopt;
                header.shape.push_back(*size);
                if (!at.take(",")) {
                    if (!at.take(")")) return std::nullopt;
                    break;
                }
            }
        }
        if (!at.take(",")) {
            if (!at.take("}")) return std::nullopt;
            break;
        }
    }
    return seen == 7 ? std::optional(header) : std::nullopt;
}

}  // namespace

Result<void> read_npy(RandomAccess const& file, std::uint64_t offset, std::string const& tensor, ModelFile& model) {
    auto what = tensor.empty() ? std::string("the array") : fmt::format("array '{}'", printable(tensor));
    auto judge = [&](ModelVerdict verdict, std::string_view why) { model.judge(verdict, fmt::format("{}: {}", what, why)); };
    SequentialReader reader(file, 0, file.size());
    auto magic = reader.run(6, 6);
    auto major = reader.u8();
    reader.u8();
    std::uint64_t size = major == 1 ? reader.integer<std::uint16_t>() : reader.integer<std::uint32_t>();
    if (reader.ok() && (as_text(magic) != "\x93NUMPY" || major < 1 || major > 3)) return judge(ModelVerdict::not_verified, "no NumPy array of a known version"), Result<void>();
    auto text = reader.run(size, kHeaderMax);
    if (!reader.ok()) {
        if (reader.error().kind != ErrorKind::damaged) return fail(reader.error());
        return judge(ModelVerdict::damaged, "its header ends early"), Result<void>();
    }
    auto header = parse(as_text(text));
    if (!header) return judge(ModelVerdict::not_verified, "its header is not understood"), Result<void>();
    if (header->descr.find('O') != std::string::npos) {
        // Objects: numpy.load would unpickle them.
        auto bytes = TRY(read_run(file, reader.at(), std::min(reader.remaining(), kModelTableMax), kModelTableMax));
        judge_pickle(read_pickle(bytes), what, model);
        return judge(ModelVerdict::not_verified, "it holds objects and no numbers"), Result<void>();
    }
    auto dtype = numpy_dtype(header->descr);
    if (dtype.empty()) return judge(ModelVerdict::not_verified, fmt::format("elements '{}' are not known", printable(header->descr))), Result<void>();
    auto count = element_count(header->shape);
    std::uint64_t bytes = 0;
    if (!count || __builtin_mul_overflow(*count, *dtype_bytes(dtype), &bytes) || bytes != reader.remaining()) {
        return judge(ModelVerdict::damaged, fmt::format("its shape and type need {} bytes, it has {}", count ? std::to_string(bytes) : "too many", reader.remaining())), Result<void>();
    }
    ModelTensor made{.name = tensor, .dtype = dtype, .shape = header->shape, .strides = {}, .offset = offset + reader.at(), .bytes = bytes};
    if (header->fortran && header->shape.size() > 1) {
        std::uint64_t step = 1;
        for (auto dimension : header->shape) made.strides.push_back(step), step *= dimension;
    }
    add_tensor(model, std::move(made), dtype);
    return {};
}

}  // namespace holdfast
