#include "mount/view.h"

#include <cassert>
#include <fmt/format.h>

#include "archive/metadata.h"
#include "base/text.h"
#include "mount/point_names.h"

namespace holdfast {
namespace {

// Messages that are remembered so as not to be said twice.
constexpr std::size_t kComplaintsMax = 1000;
constexpr blksize_t kBlockSize = 128 << 10;  // what programs should read at once

NodeTable::Held make_top(View::Top const& top) {
    auto node = std::make_shared<Node>();
    node->inode = kRootNode;
    if (auto const* point = std::get_if<std::shared_ptr<MountedPoint>>(&top)) {
        node->kind = Node::Kind::entry;
        node->point = *point;
        node->inode = inode_of(0, (*point)->info.id.hex());
    } else {
        node->kind = Node::Kind::top;
    }
    return node;
}

timespec moment(std::int64_t seconds, std::uint32_t nanoseconds) {
    return {.tv_sec = seconds, .tv_nsec = static_cast<long>(nanoseconds)};
}

// Of what no point holds: the directories above points, and `latest`.
struct stat status_above(std::uint64_t inode, mode_t mode) {
    struct stat status {};
    status.st_ino = inode;
    status.st_mode = mode;
    status.st_nlink = 1;
    status.st_blksize = kBlockSize;
    return status;
}

}  // namespace

View::View(Fetch& fetch, Top top, Options options)
    : fetch_(fetch),
      top_(std::move(top)),
      options_(std::move(options)),
      directories_(fetch),
      nodes_(make_top(top_)),
      cache_(fetch, options_.cache_bytes) {}

// --- names ----------------------------------------------------------------------------------------

Result<std::optional<View::Seen>> View::look_up(NodeTable::Held const& parent, std::string_view name) {
    if (parent->kind != Node::Kind::entry) return told(*parent, look_up_above(parent, name));
    auto find = [&]() -> Result<std::optional<Seen>> {
        auto directory = parent->entry();
        if (directory.type != EntryType::directory) return std::optional<Seen>();
        auto entry = TRY(directories_.find(directory.content, name, options_.stop));
        if (!entry) return std::optional<Seen>();
        auto seen = TRY(seen_entry(parent, *entry));
        return std::optional<Seen>(std::move(seen));
    };
    return told(*parent, find());
}

Result<std::optional<View::Seen>> View::look_up(NodeTable::Held const& parent, Listing::Item const& item) {
    if (!item.entry) return look_up(parent, item.name);
    auto seen = TRY(told(*parent, seen_entry(parent, *item.entry)));
    return std::optional<Seen>(std::move(seen));
}

Result<std::optional<View::Seen>> View::look_up_above(NodeTable::Held const& parent, std::string_view name) {
    auto snapshot = TRY(std::get<PointTable*>(top_)->now(options_.stop));
    auto fresh = std::make_shared<Node>();
    fresh->name = name;
    fresh->inode = inode_of(parent->inode, name);
    Seen seen;
    seen.lasting = false;
    if (parent->kind == Node::Kind::top) {
        if (!snapshot->datasets.contains(fresh->name)) return std::optional<Seen>();
        fresh->kind = Node::Kind::dataset;
        seen.node = nodes_.look_up(*parent, std::move(fresh), 0);
        seen.status = TRY(status(seen.node));
        return std::optional<Seen>(std::move(seen));
    }
    auto dataset = snapshot->datasets.find(parent->name);
    if (dataset == snapshot->datasets.end()) return std::optional<Seen>();
    if (name == kLatestName && !dataset->second.latest.empty()) {
        fresh->kind = Node::Kind::latest;
        seen.node = nodes_.look_up(*parent, std::move(fresh), 0);
        seen.status = TRY(status(seen.node));
        seen.status_exact = false;  // it points elsewhere as soon as there is a newer point
        return std::optional<Seen>(std::move(seen));
    }
    auto point = dataset->second.points.find(fresh->name);
    if (point == dataset->second.points.end()) return std::optional<Seen>();
    fresh->kind = Node::Kind::entry;
    fresh->point = point->second;
    fresh->inode = inode_of(0, point->second->info.id.hex());
    seen.node = nodes_.look_up(*parent, std::move(fresh), 0);
    seen.status = TRY(status(seen.node));
    return std::optional<Seen>(std::move(seen));
}

Result<View::Seen> View::seen_entry(NodeTable::Held const& parent, Entry const& entry) {
    auto fresh = std::make_shared<Node>();
    fresh->name = entry.name;
    fresh->point = parent->point;
    fresh->inode = entry.link_group == 0
                       ? inode_of(parent->inode, entry.name)
                       : inode_of(entry.link_group, parent->point->info.id.hex() + " links");
    ByteWriter writer;
    encode(entry, writer);
    fresh->encoded = writer.take();
    Seen seen;
    auto linked = entry.type == EntryType::directory ? 0 : entry.link_group;
    seen.node = nodes_.look_up(*parent, std::move(fresh), linked);
    auto status = status_of(*seen.node, entry, false);
    if (!status) {
        nodes_.forget(seen.node->id, 1);
        return fail(std::move(status.error()));
    }
    seen.status = *status;
    std::lock_guard lock(seen.node->mutex);
    seen.status_exact = entry.type != EntryType::file || entry.content.depth == 0 || seen.node->data_bytes;
    return seen;
}

// --- what they are --------------------------------------------------------------------------------

Result<struct stat> View::status(NodeTable::Held const& node) {
    switch (node->kind) {
        case Node::Kind::top:
        case Node::Kind::dataset: return status_above(node->inode, S_IFDIR | 0555);
        case Node::Kind::latest: {
            auto status = status_above(node->inode, S_IFLNK | 0777);
            status.st_size = static_cast<off_t>(TRY(target(node)).size());
            return status;
        }
        case Node::Kind::entry: break;
    }
    return told(*node, status_of(*node, node->entry(), true));
}

Result<struct stat> View::status_of(Node& node, Entry const& entry, bool exact) {
    struct stat status {};
    status.st_ino = node.inode;
    status.st_mode = type_bits(entry.type) | entry.mode;
    status.st_nlink = 1;
    if (entry.link_group != 0 && entry.type != EntryType::directory) {
        status.st_nlink = TRY(node.point->links.of(entry.link_group, fetch_, node.point->info.point.tree,
                                                   options_.stop));
    }
    status.st_uid = owner_here(entry);
    status.st_gid = group_here(entry);
    status.st_rdev = entry.device;
    status.st_blksize = kBlockSize;
    status.st_mtim = status.st_ctim = status.st_atim = moment(entry.mtime_seconds, entry.mtime_nanoseconds);
    if (entry.type == EntryType::symlink) status.st_size = static_cast<off_t>(entry.target.size());
    if (entry.type != EntryType::file) return status;

    status.st_size = static_cast<off_t>(entry.content.size);
    auto data = entry.content.size;
    std::unique_lock lock(node.mutex);
    if (node.data_bytes) {
        data = *node.data_bytes;
    } else if (entry.content.depth == 0) {
        for (auto const& extent : entry.content.extents) data -= extent.chunk ? 0 : extent.length;
    } else if (exact) {
        // Only who asks for this file pays for its lists.
        lock.unlock();
        data = TRY(map_of(node, entry))->data_bytes();
        lock.lock();
        node.data_bytes = data;
    }
    status.st_blocks = static_cast<blkcnt_t>((data + 511) / 512);
    return status;
}

Result<std::string> View::target(NodeTable::Held const& node) {
    if (node->kind == Node::Kind::entry) return node->entry().target;
    auto snapshot = TRY(told(*node, std::get<PointTable*>(top_)->now(options_.stop)));
    auto parent = nodes_.get(node->parent);
    auto dataset = snapshot->datasets.find(parent ? parent->name : "");
    if (dataset == snapshot->datasets.end()) return std::string();
    return dataset->second.latest;
}

Attributes View::attributes(Node const& node) const {
    if (node.kind != Node::Kind::entry) return {};
    return node.entry().xattrs;
}

// --- directories ----------------------------------------------------------------------------------

std::unique_ptr<Listing> View::list(NodeTable::Held const& node) {
    return std::unique_ptr<Listing>(new Listing(*this, node));
}

Result<Listing::Item const*> View::item(Listing& listing, std::uint64_t offset) {
    return told(*listing.node_, listing.at(offset, options_.stop));
}

Result<std::vector<Listing::Item>> View::above(Node const& node) {
    auto snapshot = TRY(std::get<PointTable*>(top_)->now(options_.stop));
    std::vector<Listing::Item> items;
    if (node.kind == Node::Kind::top) {
        for (auto const& [name, dataset] : snapshot->datasets) {
            items.push_back({.name = name, .inode = inode_of(node.inode, name)});
        }
        return items;
    }
    auto dataset = snapshot->datasets.find(node.name);
    if (dataset == snapshot->datasets.end()) return items;
    for (auto const& [name, point] : dataset->second.points) {
        items.push_back({.name = name, .inode = inode_of(0, point->info.id.hex())});
    }
    if (!dataset->second.latest.empty()) {
        items.push_back({.name = kLatestName, .type = EntryType::symlink,
                         .inode = inode_of(node.inode, kLatestName)});
    }
    return items;
}

Result<Listing::Item const*> Listing::at(std::uint64_t offset, std::stop_token stop) {
    if (!begun_ || offset < offset_) TRY(rewind(stop));
    while (offset_ < offset && item_) {
        ++offset_;
        TRY(step(stop));
    }
    return item_ ? &*item_ : nullptr;
}

Result<void> Listing::rewind(std::stop_token stop) {
    begun_ = false;
    offset_ = 0;
    reader_.reset();
    if (node_->kind == Node::Kind::entry) {
        auto directory = node_->entry();
        reader_ = TRY(DirectoryReader::open(view_.fetch_, directory.content, stop));
    } else {
        above_ = TRY(view_.above(*node_));
    }
    begun_ = true;
    return step(stop);
}

Result<void> Listing::step(std::stop_token stop) {
    item_.reset();
    if (!reader_) {
        if (offset_ < above_.size()) item_ = above_[offset_];
        return {};
    }
    auto entry = reader_->next(stop);
    if (!entry) {
        begun_ = false;  // where the reader stands is not known: the next one begins again
        return fail(std::move(entry.error()));
    }
    if (!*entry) return {};
    item_ = Item{.name = (*entry)->name, .type = (*entry)->type,
                 .inode = inode_of(node_->inode, (*entry)->name), .entry = std::move(**entry)};
    return {};
}

// --- files ----------------------------------------------------------------------------------------

Result<std::shared_ptr<FileMap const>> View::map_of(Node& node, Entry const& entry) {
    {
        std::lock_guard lock(node.mutex);
        if (auto map = node.map.lock()) return map;
    }
    auto loaded = TRY(FileMap::load(fetch_, entry.content, options_.stop));
    auto map = std::make_shared<FileMap const>(std::move(loaded));
    std::lock_guard lock(node.mutex);
    if (auto other = node.map.lock()) return other;
    node.map = map;
    return map;
}

Result<std::unique_ptr<OpenFile>> View::open(NodeTable::Held const& node) {
    auto entry = node->entry();
    assert(entry.type == EntryType::file && "the kernel opens nothing else");
    auto map = TRY(told(*node, map_of(*node, entry)));
    return std::make_unique<OpenFile>(std::move(map), cache_);
}

Result<std::vector<Piece>> View::read(NodeTable::Held const& node, OpenFile& file, std::uint64_t offset,
                                      std::uint64_t size) {
    return told(*node, file.read(offset, size, options_.stop));
}

// --- complaints -----------------------------------------------------------------------------------

void View::complain(Node const& node, Error const& error) {
    if (error.kind == ErrorKind::cancelled) return;
    auto path = nodes_.path(node);
    auto message = fmt::format("'{}': {}", path.empty() ? "/" : path, error.message);
    {
        std::lock_guard lock(complaints_mutex_);
        if (complained_.size() >= kComplaintsMax || !complained_.insert(message).second) return;
    }
    ++complaints_;
    if (options_.warn) options_.warn(message);
}

}  // namespace holdfast
