#include <algorithm>
#include <fmt/format.h>
#include <unordered_map>

#include "base/text.h"
#include "formats/model_readers.h"

namespace holdfast {
namespace {

constexpr std::uint16_t kStored = 0, kEncrypted = 1;

using ByName = std::unordered_map<std::string_view, ZipEntry const*>;

Result<Bytes> bytes_of(RandomAccess const& file, ZipEntry const& entry) {
    return read_run(file, entry.data, entry.stored, kModelTableMax);
}

// The folder of "NAME/data.pkl": PyTorch calls it as it was told to call the file.
std::optional<std::string> folder_with(ZipArchive const& archive, std::string_view file) {
    for (auto const& entry : archive.entries) {
        if (!entry.name.ends_with(file)) continue;
        auto folder = entry.name.substr(0, entry.name.size() - file.size());
        if (folder.empty() || (folder.ends_with('/') && folder.find('/') == folder.size() - 1)) return folder;
    }
    return std::nullopt;
}

// One pickle of a PyTorch archive with the storages that it names, NAME/data/KEY.
Result<void> read_archive_pickle(RandomAccess const& file, ByName const& names, std::string const& folder, std::string_view pickle_name,
                                 std::string_view data, PickleNames allowed, ModelFile& model) {
    auto at = names.find(std::string(folder).append(pickle_name));
    if (at == names.end()) return {};
    auto const& entry = *at->second;
    if (entry.method != kStored || (entry.flags & kEncrypted)) {
        model.judge(ModelVerdict::not_verified, fmt::format("'{}' is compressed or encrypted", printable(entry.name)));
        return {};
    }
    auto bytes = bytes_of(file, entry);
    if (!bytes) {
        if (bytes.error().kind != ErrorKind::damaged) return fail(bytes.error());
        return model.judge(ModelVerdict::not_verified, fmt::format("'{}': {}", printable(entry.name), bytes.error().message)), Result<void>();
    }
    auto pickle = read_pickle(*bytes, allowed);
    judge_pickle(pickle, fmt::format("'{}'", pickle_name), model);
    if (!pickle.whole()) return {};
    if (pickle.bytes != bytes->size()) model.judge(ModelVerdict::not_verified, fmt::format("'{}' goes on behind its end", pickle_name));
    auto table = torch_table(pickle);
    std::vector<std::optional<Place>> places;
    for (auto const& storage : table.storages) {
        auto& place = places.emplace_back();
        auto record = names.find(folder + std::string(data) + storage.key);
        auto what = fmt::format("storage '{}'", printable(storage.key));
        if (record == names.end()) {
            model.judge(ModelVerdict::damaged, what + " is missing");
            continue;
        }
        auto const& found = *record->second;
        if (found.method != kStored || (found.flags & kEncrypted)) {
            model.judge(ModelVerdict::not_verified, what + " is compressed or encrypted");
            continue;
        }
        auto element = dtype_bytes(storage.dtype);
        std::uint64_t needed = 0;
        if (!element) {
            model.judge(ModelVerdict::not_verified, what + " holds elements of an unknown type");
            continue;
        }
        // Untyped storages state bytes.
        if (__builtin_mul_overflow(storage.elements, *element, &needed) || needed != found.stored) {
            model.judge(ModelVerdict::damaged, fmt::format("{} has {} bytes, its {} elements need {}", what, found.stored, storage.elements,
                                                           needed));
        }
        place = Place{found.data, found.stored};
    }
    add_views(table, places, model);
    return {};
}

// Entries that PyTorch would not read, and that hold what could run.
Result<void> look_into_others(RandomAccess const& file, ZipArchive const& archive, std::string const& known, ModelFile& model) {
    for (auto const& entry : archive.entries) {
        if (!known.empty() && (entry.name == known + "data.pkl" || entry.name == known + "constants.pkl" ||
                               entry.name.starts_with(known + "data/") || entry.name.starts_with(known + "constants/"))) {
            continue;
        }
        if (entry.method != kStored || entry.stored < 2) continue;
        auto head = TRY(read_run(file, entry.data, std::min<std::uint64_t>(entry.stored, 6), 6));
        auto what = fmt::format("'{}'", printable(entry.name));
        if (looks_like_pickle(head)) {
            if (entry.stored > kModelTableMax) {
                model.judge(ModelVerdict::not_verified, what + " is a pickle too large to be looked at");
                continue;
            }
            auto bytes = TRY(bytes_of(file, entry));
            judge_pickle(read_pickle(bytes, known.empty() ? PickleNames::weights : PickleNames::torchscript), what, model);
        } else if (as_text(head).starts_with("PK\x03\x04") || as_text(head).starts_with("7z\xbc\xaf\x27\x1c")) {
            model.judge(ModelVerdict::not_verified, what + " is an archive in the archive: what is in it is not looked at");
        }
    }
    return {};
}

Result<void> check_sums(RandomAccess const& file, ZipArchive const& archive, ModelFile& model) {
    for (auto const& entry : archive.entries) {
        if (entry.method != kStored) continue;
        auto fits = TRY(zip_sum_fits(file, entry));
        // PyTorch could be told to write none, and some of its versions wrote wrong ones: no proof of damage.
        if (!fits && model.warnings.size() < kModelReasonsMax) {
            model.warnings.push_back(fmt::format("the sum of '{}' does not fit its bytes", printable(entry.name)));
        }
    }
    return {};
}

Result<void> read_npz(RandomAccess const& file, ZipArchive const& archive, ModelFile& model) {
    model.format = "NumPy archive";
    for (auto const& entry : archive.entries) {
        auto what = fmt::format("'{}'", printable(entry.name));
        if (entry.method != kStored || (entry.flags & kEncrypted)) {
            model.judge(ModelVerdict::not_verified, what + " is compressed: its array is not looked at");
        } else if (!entry.name.ends_with(".npy")) {
            model.judge(ModelVerdict::not_verified, what + " is no array");
        } else {
            PartialAccess part(file, entry.data, entry.stored);
            TRY(read_npy(part, entry.data, entry.name.substr(0, entry.name.size() - 4), model));
        }
    }
    return {};
}

}  // namespace

Result<void> read_zip_model(RandomAccess const& file, ReadModelOptions options, ModelFile& model) {
    model.format = "zip";
    auto archive = read_zip(file);
    if (!archive) {
        if (archive.error().kind != ErrorKind::damaged) return fail(archive.error());
        return model.judge(ModelVerdict::damaged, archive.error().message), Result<void>();
    }
    for (auto const& fault : archive->faults) model.judge(ModelVerdict::damaged, fault);
    if (archive->before > 0) {
        model.judge(ModelVerdict::not_verified, fmt::format("{} bytes before the archive begins: another program may read another file",
                                                            archive->before));
    }
    ByName names;
    for (auto const& entry : archive->entries) names.emplace(entry.name, &entry);

    std::string known;
    if (auto folder = folder_with(*archive, "data.pkl")) {
        known = *folder;
        bool const script = names.contains(known + "constants.pkl");
        model.format = script ? "TorchScript" : "PyTorch zip";
        auto allowed = script ? PickleNames::torchscript : PickleNames::weights;
        if (auto order = names.find(known + "byteorder"); order != names.end() && order->second->stored <= 16) {
            auto text = TRY(bytes_of(file, *order->second));
            if (as_text(text) != "little") model.judge(ModelVerdict::not_verified, "its numbers are big-endian");
        }
        TRY(read_archive_pickle(file, names, known, "data.pkl", "data/", allowed, model));
        if (script) TRY(read_archive_pickle(file, names, known, "constants.pkl", "constants/", allowed, model));
    } else if (!archive->entries.empty() && std::ranges::any_of(archive->entries, [](auto const& e) { return e.name.ends_with(".npy"); })) {
        TRY(read_npz(file, *archive, model));
    } else {
        model.judge(ModelVerdict::not_verified, "an archive of another program");
    }
    TRY(look_into_others(file, *archive, known, model));
    if (options.check_sums) TRY(check_sums(file, *archive, model));
    return {};
}

}  // namespace holdfast
