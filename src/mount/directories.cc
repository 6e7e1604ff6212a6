#include "mount/directories.h"

#include <algorithm>

namespace holdfast {
namespace {

// Serialised; decoded, an entry takes some three times as much.
constexpr std::uint64_t kDirectoryBytesMax = 2u << 20;
constexpr std::uint64_t kKeptBytesMax = 6u << 20;
constexpr std::size_t kKeptMax = 64;

}  // namespace

Result<std::optional<Entry>> Directories::find(Content const& directory, std::string_view name,
                                               std::stop_token stop) {
    if (directory.size > kDirectoryBytesMax) {
        auto reader = TRY(DirectoryReader::open(fetch_, directory, stop));
        for (;;) {
            auto entry = TRY(reader.next(stop));
            if (!entry || entry->name > name) return std::optional<Entry>();
            if (entry->name == name) return entry;
        }
    }
    auto entries = kept(directory);
    if (!entries) {
        auto reader = TRY(DirectoryReader::open(fetch_, directory, stop));
        std::vector<Entry> read;
        while (auto entry = TRY(reader.next(stop))) read.push_back(std::move(*entry));
        entries = std::make_shared<std::vector<Entry> const>(std::move(read));
        keep(directory, entries);
    }
    auto found = std::ranges::lower_bound(*entries, name, {}, &Entry::name);
    if (found == entries->end() || found->name != name) return std::optional<Entry>();
    return *found;
}

Directories::Decoded Directories::kept(Content const& directory) {
    std::lock_guard lock(mutex_);
    auto found = std::ranges::find(kept_, directory, &Kept::key);
    if (found == kept_.end()) return nullptr;
    kept_.splice(kept_.begin(), kept_, found);
    return kept_.front().entries;
}

void Directories::keep(Content const& directory, Decoded entries) {
    std::lock_guard lock(mutex_);
    kept_.push_front({directory, std::move(entries)});
    bytes_ += directory.size;
    while (kept_.size() > 1 && (bytes_ > kKeptBytesMax || kept_.size() > kKeptMax)) {
        bytes_ -= kept_.back().key.size;
        kept_.pop_back();
    }
}

}  // namespace holdfast
