#include "archive/tree.h"
#include "base/text.h"

namespace holdfast {

Result<Entry> TreeReader::find(std::string_view path, std::stop_token stop) {
    Entry entry;
    entry.type = EntryType::directory;
    entry.mode = 0755;
    entry.content = root_;
    std::string found;
    bool at_root = true;
    for (auto const& part : split(path, '/')) {
        if (part.empty()) continue;
        at_root = false;
        auto missing = [&] {
            auto where = found.empty() ? std::string("the point") : "'" + printable(found) + "'";
            return fail(ErrorKind::not_found, "'" + printable(path) + "': " + where + " holds no '" +
                                                  printable(part) + "'");
        };
        if (entry.type != EntryType::directory) return missing();
        auto outer = [&] { return "directory '" + printable(found) + "'"; };
        auto reader = TRY(DirectoryReader::open(fetch_, entry.content, stop).within(outer()));
        std::optional<Entry> next;
        do {
            next = TRY(reader.next(stop).within(outer()));
        } while (next && next->name < part);
        if (!next || next->name != part) return missing();
        entry = std::move(*next);
        if (!found.empty()) found += '/';
        found += part;
    }
    if (at_root) {
        auto reader = TRY(DirectoryReader::open(fetch_, root_, stop).within("the root directory"));
        if (reader.self()) {
            entry = *reader.self();
            entry.content = root_;
        }
    }
    return entry;
}

Result<std::vector<Entry>> TreeReader::list(Entry const& directory, std::stop_token stop) {
    auto reader = TRY(DirectoryReader::open(fetch_, directory.content, stop));
    std::vector<Entry> entries;
    for (;;) {
        auto entry = TRY(reader.next(stop));
        if (!entry) return entries;
        entries.push_back(std::move(*entry));
    }
}

Result<void> TreeReader::walk(std::string_view start, Visit const& visit, Damaged const& damaged,
                              std::stop_token stop) {
    struct Level {
        DirectoryReader reader;
        std::size_t path_size;  // of the directory's path, with the '/' behind it
    };
    auto found = find(start, stop);
    if (!found) {
        // A root that can't be read is one more damaged directory to those who collect them.
        auto passes = damaged && start.empty() && found.error().kind != ErrorKind::cancelled;
        if (!passes) return fail(std::move(found.error()));
        return damaged("", found.error());
    }
    auto top = std::move(*found);
    if (top.type != EntryType::directory) {
        TRY(visit("", top));
        return {};
    }
    std::vector<Level> levels;
    std::string path;
    // The error of the directory at `path`: told and passed over, or the end of the walk.
    auto pass_over = [&](Error error) -> Result<void> {
        if (error.kind == ErrorKind::cancelled || !damaged) {
            return fail(std::move(error).within("directory '" + printable(path) + "'"));
        }
        return damaged(path, error);
    };
    auto enter = [&](Content const& content) -> Result<void> {
        auto reader = DirectoryReader::open(fetch_, content, stop);
        if (!reader) return pass_over(std::move(reader.error()));
        if (!levels.empty()) path += '/';
        levels.push_back({std::move(*reader), path.size()});
        return {};
    };
    TRY(enter(top.content));
    while (!levels.empty()) {
        if (stop.stop_requested()) return fail(ErrorKind::cancelled, "stopped");
        auto& level = levels.back();
        auto size = level.path_size;
        auto entry = level.reader.next(stop);
        if (!entry || !*entry) {
            levels.pop_back();
            path.resize(size == 0 ? 0 : size - 1);
            if (!entry) TRY(pass_over(std::move(entry.error())));
            continue;
        }
        path.resize(size);
        path += (*entry)->name;
        auto descend = TRY(visit(path, **entry));
        if (descend && (*entry)->type == EntryType::directory) TRY(enter((*entry)->content));
    }
    return {};
}

}  // namespace holdfast
