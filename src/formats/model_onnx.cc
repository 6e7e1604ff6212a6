#include <fmt/format.h>

#include "base/text.h"
#include "formats/model_readers.h"

namespace holdfast {
namespace {

// The fields of onnx/onnx.proto that hold tensors, read off the protobuf wire format by hand (protobuf.dev,
// "Encoding"): ModelProto.graph 7, .functions 25; GraphProto.node 1, .initializer 5, .sparse_initializer 15;
// NodeProto.attribute 5; AttributeProto.t 5, .g 6, .tensors 10, .graphs 11, .sparse_tensor 22; TensorProto.dims 1,
// .data_type 2, .name 8, .raw_data 9, .external_data 13, .data_location 14; FunctionProto.node 7.

constexpr unsigned kGraphNestingMax = 64;
constexpr std::size_t kOnnxRankMax = 64;
constexpr std::uint64_t kOnnxNameMax = 1u << 16;

struct Field {
    std::uint64_t number = 0;
    unsigned wire = 0;
    std::uint64_t value = 0;              // of a number
    std::uint64_t begin = 0, end = 0;     // of bytes, in the file
};

std::string onnx_dtype(std::uint64_t type) {
    switch (type) {
        case 1: return "F32";
        case 2: return "U8";
        case 3: return "I8";
        case 4: return "U16";
        case 5: return "I16";
        case 6: return "I32";
        case 7: return "I64";
        case 9: return "BOOL";
        case 10: return "F16";
        case 11: return "F64";
        case 12: return "U32";
        case 13: return "U64";
        case 14: return "C64";
        case 15: return "C128";
        case 16: return "BF16";
        case 17: case 18: return "F8_E4M3";
        case 19: case 20: return "F8_E5M2";
        default: return "";
    }
}

class OnnxReader {
  public:
    OnnxReader(RandomAccess const& file, ModelFile& model) : file_(file), model_(model) {}

    Result<void> run() {
        TRY(each(0, file_.size(), [&](Field const& field) -> Result<void> {
            if (field.number == 1 && field.wire == 0) versioned_ = true;
            if (field.number == 7 && field.wire == 2) return graph(field, 0);
            if (field.number == 25 && field.wire == 2) return nodes_of(field, 7, 0);
            return {};
        }));
        if (broken_) {
            model_.judge(ModelVerdict::damaged, fmt::format("the message is broken at byte {}", broken_at_));
        } else if (!versioned_) {
            model_.judge(ModelVerdict::not_verified, "no ONNX model: it states no version");
        }
        return {};
    }

  private:
    // Calls `visit` for each field between `begin` and `end`.
    template <typename Visit>
    Result<void> each(std::uint64_t begin, std::uint64_t end, Visit const& visit) {
        SequentialReader reader(file_, begin, end);
        while (!broken_ && reader.remaining() > 0) {
            auto const at = reader.at();
            Field field;
            auto key = varint(reader);
            field.number = key >> 3;
            field.wire = key & 7;
            if (field.wire == 0) {
                field.value = varint(reader);
            } else if (field.wire == 2) {
                auto size = varint(reader);
                field.begin = reader.at();
                reader.skip(size);
                field.end = reader.at();
            } else if (field.wire == 1) {
                reader.skip(8);
            } else if (field.wire == 5) {
                reader.skip(4);
            } else {
                reader.fault("a field of an unknown kind");
            }
            if (field.number == 0) reader.fault("a field without a number");
            if (!reader.ok()) {
                if (reader.error().kind != ErrorKind::damaged) return fail(reader.error());
                broken_ = true;
                broken_at_ = at;
                return {};
            }
            TRY(visit(field));
        }
        return {};
    }
    static std::uint64_t varint(SequentialReader& reader) {
        std::uint64_t value = 0;
        for (unsigned shift = 0; shift < 64; shift += 7) {
            auto byte = reader.u8();
            value |= std::uint64_t{byte & 0x7fu} << shift;
            if (byte < 0x80) return value;
        }
        reader.fault("a number that is too long");
        return 0;
    }
    Result<std::string> text(Field const& field) {
        auto bytes = TRY(read_run(file_, field.begin, std::min(field.end - field.begin, kOnnxNameMax), kOnnxNameMax));
        return to_text(bytes);
    }

    Result<void> graph(Field const& of, unsigned depth) {
        if (depth > kGraphNestingMax) return model_.judge(ModelVerdict::not_verified, "graphs nested too deeply"), Result<void>();
        return each(of.begin, of.end, [&](Field const& field) -> Result<void> {
            if (field.wire != 2) return {};
            if (field.number == 1) return node(field, depth);
            if (field.number == 5) return tensor(field);
            if (field.number == 15) return sparse(field);
            return {};
        });
    }
    Result<void> nodes_of(Field const& of, std::uint64_t number, unsigned depth) {
        return each(of.begin, of.end, [&](Field const& field) -> Result<void> {
            return field.wire == 2 && field.number == number ? node(field, depth) : Result<void>();
        });
    }
    Result<void> node(Field const& of, unsigned depth) {
        return each(of.begin, of.end, [&](Field const& field) -> Result<void> {
            return field.wire == 2 && field.number == 5 ? attribute(field, depth) : Result<void>();
        });
    }
    Result<void> attribute(Field const& of, unsigned depth) {
        return each(of.begin, of.end, [&](Field const& field) -> Result<void> {
            if (field.wire != 2) return {};
            if (field.number == 5 || field.number == 10) return tensor(field);
            if (field.number == 6 || field.number == 11) return graph(field, depth + 1);
            if (field.number == 22) return sparse(field);
            return {};
        });
    }
    Result<void> sparse(Field const& of) {  // SparseTensorProto.values 1, .indices 2
        return each(of.begin, of.end, [&](Field const& field) -> Result<void> {
            return field.wire == 2 && field.number <= 2 ? tensor(field) : Result<void>();
        });
    }

    Result<void> tensor(Field const& of) {
        ModelTensor made;
        std::uint64_t type = 0, location = 0;
        std::optional<Field> raw;
        bool typed = false, malformed = false;
        std::string file;
        TRY(each(of.begin, of.end, [&](Field const& field) -> Result<void> {
            if (field.number == 1 && field.wire == 0) {
                if (made.shape.size() < kOnnxRankMax) made.shape.push_back(field.value);
                else malformed = true;
            } else if (field.number == 1 && field.wire == 2) {  // packed
                SequentialReader dims(file_, field.begin, field.end);
                while (dims.remaining() > 0 && dims.ok() && made.shape.size() < kOnnxRankMax) made.shape.push_back(varint(dims));
                malformed = malformed || dims.remaining() > 0 || !dims.ok();
            } else if (field.number == 2 && field.wire == 0) {
                type = field.value;
            } else if (field.number == 8 && field.wire == 2) {
                made.name = TRY(text(field));
            } else if (field.number == 9 && field.wire == 2) {
                raw = field;
            } else if (field.number == 13 && field.wire == 2) {
                TRY(external(field, file));
            } else if (field.number == 14 && field.wire == 0) {
                location = field.value;
            } else if ((field.number >= 4 && field.number <= 7) || field.number == 10 || field.number == 11) {
                typed = true;  // numbers in the message itself: they are what they are
            }
            return {};
        }));
        if (broken_) return {};
        auto what = fmt::format("tensor '{}'", printable(made.name));
        if (location == 1) return external_tensor(what, file);
        made.dtype = onnx_dtype(type);
        auto count = element_count(made.shape);
        if (malformed || !count) return model_.judge(ModelVerdict::damaged, what + " has an impossible shape"), Result<void>();
        if (!raw) {
            if (!typed && *count > 0) model_.judge(ModelVerdict::damaged, what + " has no data");
            return {};
        }
        if (made.dtype.empty()) {
            model_.judge(ModelVerdict::not_verified, fmt::format("{} has elements of the unknown type {}", what, type));
            return {};
        }
        std::uint64_t bytes = 0;
        made.offset = raw->begin;
        made.bytes = raw->end - raw->begin;
        if (__builtin_mul_overflow(*count, *dtype_bytes(made.dtype), &bytes) || bytes != made.bytes) {
            model_.judge(ModelVerdict::damaged, fmt::format("{} has {} bytes, its shape and type need {}", what, made.bytes, bytes));
            return {};
        }
        auto dtype = made.dtype;
        add_tensor(model_, std::move(made), std::move(dtype));
        return {};
    }

    Result<void> external(Field const& of, std::string& file) {  // StringStringEntryProto.key 1, .value 2
        std::string key, value;
        TRY(each(of.begin, of.end, [&](Field const& field) -> Result<void> {
            if (field.wire != 2) return {};
            if (field.number == 1) key = TRY(text(field));
            if (field.number == 2) value = TRY(text(field));
            return {};
        }));
        if (key == "location") file = value;
        return {};
    }
    Result<void> external_tensor(std::string const& what, std::string const& file) {
        bool outside = file.empty() || file.starts_with('/') || file.find('\\') != std::string::npos || file.find('\0') != std::string::npos;
        for (auto const& part : split(file, '/')) outside = outside || part == "..";
        if (outside) {
            model_.judge(ModelVerdict::suspicious, fmt::format("{} is to be read from '{}', outside of the model", what, printable(file)));
        } else if (model_.files.empty() || model_.files.back() != file) {
            if (model_.files.size() < kModelReasonsMax) model_.files.push_back(file);
            model_.judge(ModelVerdict::not_verified, fmt::format("data in '{}' is not checked against it", printable(file)));
        }
        return {};
    }

    RandomAccess const& file_;
    ModelFile& model_;
    bool versioned_ = false, broken_ = false;
    std::uint64_t broken_at_ = 0;
};

}  // namespace

Result<void> read_onnx(RandomAccess const& file, ModelFile& model) {
    model.format = "ONNX";
    return OnnxReader(file, model).run();
}

}  // namespace holdfast
