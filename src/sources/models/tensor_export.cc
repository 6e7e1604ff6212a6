#include "sources/models/tensor_export.h"

#include <fmt/format.h>
#include <numeric>

#include "base/text.h"
#include "formats/tensor_heads.h"
#include "formats/tensor_rows.h"

namespace holdfast {
namespace {

constexpr std::size_t kNameBytesMax = 255;

std::string tensor_context(ModelTensor const& tensor) { return fmt::format("tensor '{}'", printable(tensor.name)); }

// One file that is to be written: its head, and which tensors follow.
struct Planned {
    std::string name;
    Bytes head;
    std::vector<std::size_t> tensors;
    std::uint64_t bytes = 0;
};

Result<std::vector<NewTensor>> new_tensors(TensorSet const& set) {
    std::vector<NewTensor> made;
    for (auto const& [file, tensor] : set.tensors()) {
        auto bytes = row_bytes(tensor);
        if (!bytes) {
            return fail(ErrorKind::usage, fmt::format("{}: elements of type {} can't be taken out of their file", tensor_context(tensor),
                                                      printable(tensor.dtype)),
                        "without --tensor the file comes back whole");
        }
        made.push_back({.name = tensor.name, .dtype = tensor.dtype, .shape = tensor.shape, .bytes = *bytes});
    }
    return made;
}

Result<std::vector<Planned>> plan_files(TensorSet const& set, ExportOptions const& options) {
    auto tensors = TRY(new_tensors(set));
    std::vector<Planned> planned;
    if (options.form == TensorForm::safetensors) {
        auto head = TRY(safetensors_head(tensors, set.metadata()));
        planned.push_back({.name = options.name, .head = std::move(head.bytes), .tensors = std::move(head.order)});
    } else {
        std::map<std::string, std::size_t> names;
        for (std::size_t i = 0; i < tensors.size(); ++i) {
            auto context = tensor_context(set.tensors()[i].tensor);
            auto name = npy_name(tensors[i].name);
            if (name.size() > kNameBytesMax) return fail(ErrorKind::usage, context + ": its name is too long for a file");
            if (!names.emplace(name, i).second) return fail(ErrorKind::usage, context + " is there twice");
            auto head = TRY(npy_head(tensors[i].dtype, tensors[i].shape).within(context));
            planned.push_back({.name = std::move(name), .head = std::move(head), .tensors = {i}});
        }
    }
    for (auto& file : planned) {
        file.bytes = file.head.size();
        for (auto i : file.tensors) {
            if (__builtin_add_overflow(file.bytes, tensors[i].bytes, &file.bytes)) {
                return fail(ErrorKind::usage, fmt::format("'{}' would be larger than any file", printable(file.name)));
            }
        }
    }
    return planned;
}

class Export {
  public:
    Export(TensorSet const& set, ExportOptions const& options, FileSystem& files, Random& random,
           std::function<void(std::uint64_t)> const& written, std::stop_token stop)
        : set_(set), options_(options), files_(files), random_(random), written_(written), stop_(std::move(stop)) {}

    Result<void> write(Planned const& planned) {
        std::uint8_t chance[8];
        random_.fill(chance);
        auto const place = options_.directory + "/" + planned.name;
        // Short, whatever the name: it must fit beside any.
        auto const staged = fmt::format("{}/.holdfast.{:02x}.tmp", options_.directory, fmt::join(chance, ""));
        auto done = [&]() -> Result<void> {
            auto file = TRY(files_.create(staged, options_.mode));
            TRY(fill(*file, planned));
            TRY(file->sync());
            file.reset();
            TRY(files_.replace(staged, place));
            return files_.sync_directory(options_.directory);
        }();
        // What failed after the rename stands at its place, and there is nothing here.
        if (!done) (void)files_.remove(staged);
        return std::move(done).within(fmt::format("write '{}'", printable(place)));
    }

  private:
    Result<void> fill(NewFile& file, Planned const& planned) {
        TRY(write_all(file, planned.head));
        for (auto i : planned.tensors) {
            auto const& [source, tensor] = set_.tensors()[i];
            auto sink = [&](ByteView bytes) -> Result<void> {
                if (stop_.stop_requested()) return fail(ErrorKind::cancelled, "stopped");
                TRY(write_all(file, bytes));
                if (written_) written_(bytes.size());
                return {};
            };
            TRY(read_rows(*source, tensor, sink).within(tensor_context(tensor)));
        }
        return {};
    }

    TensorSet const& set_;
    ExportOptions const& options_;
    FileSystem& files_;
    Random& random_;
    std::function<void(std::uint64_t)> const& written_;
    std::stop_token stop_;
};

}  // namespace

std::string npy_name(std::string_view tensor) {
    std::string name;
    for (char c : tensor) {
        auto const byte = static_cast<unsigned char>(c);
        if (c == '/' || c == '%' || byte < 0x20 || byte == 0x7f) {
            name += fmt::format("%{:02X}", byte);
        } else {
            name += c;
        }
    }
    return name + ".npy";
}

Result<std::vector<ExportedFile>> export_tensors(TensorSet const& set, ExportOptions const& options, FileSystem& files,
                                                 Random& random, std::function<void(std::uint64_t)> const& written, std::stop_token stop) {
    auto planned = TRY(plan_files(set, options));
    Export out(set, options, files, random, written, std::move(stop));
    std::vector<ExportedFile> made;
    for (auto const& file : planned) {
        if (!options.dry_run) TRY(out.write(file));
        made.push_back({file.name, file.bytes});
    }
    return made;
}

}  // namespace holdfast
