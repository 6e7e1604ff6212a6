#include "repo/index_cache.h"

#include <algorithm>
#include <unistd.h>

#include "repo/repository.h"

namespace holdfast {
namespace {

constexpr std::size_t kBlocksCached = 1024;  // 4 MiB
constexpr std::string_view kTableSuffix = ".table";
// What a process that was killed has left is removed when it is this old.
constexpr auto kUnfinishedFor = std::chrono::hours(24);

}  // namespace

IndexCache::IndexCache(std::filesystem::path directory, SealedBlocksOwner owner, Random& random)
    : directory_(std::move(directory)),
      owner_(std::move(owner)),
      random_(random),
      blocks_(std::make_shared<BlockCache>(kBlocksCached)) {}

std::shared_ptr<IndexCache> IndexCache::of(Repository& repository) {
    auto const& world = repository.world();
    if (world.cache.empty()) return nullptr;
    auto const& keys = repository.keys();
    SealedBlocksOwner owner{derive_from_index_key(keys, "holdfast 1 index cache"),
                            Bytes(keys.id.view().begin(), keys.id.view().end())};
    return std::shared_ptr<IndexCache>(
        new IndexCache(world.cache / repository.id().hex() / "index" / keys.id.hex(), std::move(owner), world.random));
}

std::vector<std::shared_ptr<FileTable>> IndexCache::tables(std::set<Hash32> const& segments) {
    std::vector<std::shared_ptr<FileTable>> found;
    std::error_code error;
    std::filesystem::directory_iterator entry(directory_, error), end;
    for (; !error && entry != end; entry.increment(error)) {
        auto const& path = entry->path();
        if (path.extension() != kTableSuffix) {
            std::error_code gone;
            auto written = entry->last_write_time(gone);
            auto old = !gone && std::filesystem::file_time_type::clock::now() - written > kUnfinishedFor;
            if (path.extension() == ".tmp" && old) ::unlink(path.c_str());
            continue;
        }
        auto table = FileTable::open(path.string(), owner_, blocks_);
        if (table && std::ranges::includes(segments, (*table)->segments())) {
            found.push_back(std::move(*table));
        } else if (table || table.error().kind == ErrorKind::damaged) {
            ::unlink(path.c_str());
        }
    }
    // Another process may just have merged some: then the greater one says it all.
    std::ranges::sort(found, std::greater(), [](auto const& table) {
        return std::tuple(table->segments().size(), table->path());
    });
    std::set<Hash32> said;
    std::erase_if(found, [&](auto const& table) {
        auto const& own = table->segments();
        auto again = std::ranges::any_of(own, [&](auto const& segment) { return said.contains(segment); });
        if (again) remove(*table);
        said.insert(own.begin(), own.end());
        return again;
    });
    return found;
}

Result<std::shared_ptr<FileTable>> IndexCache::write(std::span<IndexTable const* const> tables,
                                                     std::vector<Hash32> segments) {
    std::error_code error;
    std::filesystem::create_directories(directory_, error);
    std::array<std::uint8_t, 16> name;
    random_.fill(name);
    auto path = (directory_ / (to_hex(name) + std::string(kTableSuffix))).string();
    TRY(write_index_file(path, owner_, random_, tables, std::move(segments)));
    return FileTable::open(path, owner_, blocks_);
}

void IndexCache::remove(FileTable const& table) { ::unlink(table.path().c_str()); }

}  // namespace holdfast
