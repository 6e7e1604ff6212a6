#include "os/simulated_file_system.h"

#include <algorithm>
#include <cassert>
#include <fmt/format.h>
#include <set>

#include "base/text.h"
#include "os/file.h"

namespace holdfast {

struct SimulatedFileSystem::Node {
    bool is_directory = false;
    Time modified{};
    Bytes content;          // as everybody sees it
    Bytes durable_content;  // as it was at the last sync
    bool sync_failed = false;
    std::map<std::string, NodePointer> names;
    std::map<std::string, NodePointer> durable_names;
};

namespace {

std::string quoted(std::string_view verb, std::string const& path) {
    return fmt::format("{} '{}'", verb, printable(path));
}

std::string last_name(std::string const& path) {
    return path.substr(path.rfind('/') + 1);
}

constexpr std::size_t kPageBytes = 512;  // what a disk writes at once

}  // namespace

// Files keep the number of the boot in which they were opened: after a power loss they are dead.
class SimulatedFileSystem::New : public NewFile {
  public:
    New(SimulatedFileSystem& files, NodePointer node, std::string path)
        : files_(files), node_(std::move(node)), path_(std::move(path)), boot_(files.boot_) {}

    Result<std::size_t> write(ByteView bytes) override {
        std::lock_guard lock(files_.mutex_);
        auto what = quoted("write", path_);
        TRY(files_.check_alive(boot_, what));
        TRY(files_.begin(what));
        auto size = files_.shorten(bytes.size());
        if (files_.capacity_) {
            auto used = files_.used();
            auto left = *files_.capacity_ > used ? *files_.capacity_ - used : 0;
            if (left == 0)
                return fail(ErrorKind::no_space, what + ": No space left on device");
            size = std::min<std::uint64_t>(size, left);
        }
        auto some = bytes.first(size);
        node_->content.insert(node_->content.end(), some.begin(), some.end());
        node_->modified = files_.clock_.now();
        return size;
    }

    Result<void> sync() override {
        std::lock_guard lock(files_.mutex_);
        auto what = quoted("sync", path_);
        TRY(files_.check_alive(boot_, what));
        return files_.sync(*node_, what);
    }

  private:
    SimulatedFileSystem& files_;
    NodePointer node_;
    std::string path_;
    std::uint64_t boot_;
};

class SimulatedFileSystem::Old : public OldFile {
  public:
    Old(SimulatedFileSystem& files, NodePointer node, std::string path)
        : files_(files), node_(std::move(node)), path_(std::move(path)), boot_(files.boot_) {}

    Result<std::uint64_t> size() override {
        std::lock_guard lock(files_.mutex_);
        auto what = quoted("look at", path_);
        TRY(files_.check_alive(boot_, what));
        TRY(files_.begin(what));
        return node_->content.size();
    }

    Result<std::size_t> read(std::uint64_t offset, ByteSpan to) override {
        std::lock_guard lock(files_.mutex_);
        auto what = quoted("read", path_);
        TRY(files_.check_alive(boot_, what));
        TRY(files_.begin(what));
        if (offset >= node_->content.size())
            return std::size_t{0};
        auto left = node_->content.size() - static_cast<std::size_t>(offset);
        auto size = files_.shorten(std::min(to.size(), left));
        std::copy_n(node_->content.begin() + static_cast<std::ptrdiff_t>(offset), size, to.begin());
        return size;
    }

    Result<void> sync() override {
        std::lock_guard lock(files_.mutex_);
        auto what = quoted("sync", path_);
        TRY(files_.check_alive(boot_, what));
        return files_.sync(*node_, what);
    }

  private:
    SimulatedFileSystem& files_;
    NodePointer node_;
    std::string path_;
    std::uint64_t boot_;
};

SimulatedFileSystem::SimulatedFileSystem(std::uint64_t seed, Clock& clock)
    : clock_(clock), random_(seed), root_(std::make_shared<Node>()) {
    root_->is_directory = true;
}

std::uint64_t SimulatedFileSystem::operations() const {
    std::lock_guard lock(mutex_);
    return operations_;
}

void SimulatedFileSystem::fail_operation(std::uint64_t number, ErrorKind kind) {
    assert(kind == ErrorKind::io || kind == ErrorKind::no_space);
    std::lock_guard lock(mutex_);
    failures_[number] = kind;
}

void SimulatedFileSystem::crash_at(std::uint64_t number) {
    std::lock_guard lock(mutex_);
    crash_at_ = number;
}

void SimulatedFileSystem::set_hook(std::function<void(std::uint64_t, std::string const&)> hook) {
    std::lock_guard lock(mutex_);
    hook_ = std::move(hook);
}

void SimulatedFileSystem::set_short_io(bool on) {
    std::lock_guard lock(mutex_);
    short_io_ = on;
}

void SimulatedFileSystem::set_capacity(std::optional<std::uint64_t> bytes) {
    std::lock_guard lock(mutex_);
    capacity_ = bytes;
}

// Counts an operation, and fails it when that was asked for.
Result<void> SimulatedFileSystem::begin(std::string const& what) {
    auto number = operations_++;
    auto hook = hook_;  // it may set another one
    if (hook)
        hook(number, what);
    if (crash_at_ && number >= *crash_at_)
        return fail(ErrorKind::io, what + ": the machine is off");
    auto failure = failures_.find(number);
    if (failure == failures_.end())
        return {};
    bool full = failure->second == ErrorKind::no_space;
    return fail(failure->second,
                what + (full ? ": No space left on device" : ": Input/output error"));
}

Result<void> SimulatedFileSystem::check_alive(std::uint64_t boot, std::string const& what) {
    if (boot == boot_)
        return {};
    return fail(ErrorKind::io, what + ": opened before the power was lost");
}

SimulatedFileSystem::NodePointer SimulatedFileSystem::find(std::string const& path) const {
    assert(path.starts_with('/'));
    auto node = root_;
    for (auto const& name : split(path, '/')) {
        if (name.empty())
            continue;
        if (!node->is_directory)
            return nullptr;
        auto at = node->names.find(name);
        if (at == node->names.end())
            return nullptr;
        node = at->second;
    }
    return node;
}

Result<SimulatedFileSystem::NodePointer> SimulatedFileSystem::find_directory_of(
    std::string const& path, std::string const& what) const {
    auto node = find(parent_directory(path));
    if (!node)
        return fail(ErrorKind::not_found, what + ": No such file or directory");
    if (!node->is_directory)
        return fail(ErrorKind::io, what + ": Not a directory");
    return node;
}

std::uint64_t SimulatedFileSystem::used() const {
    std::set<Node const*> seen;
    std::vector<Node const*> waiting = {root_.get()};
    std::uint64_t bytes = 0;
    while (!waiting.empty()) {
        auto const* node = waiting.back();
        waiting.pop_back();
        if (!seen.insert(node).second)
            continue;
        bytes += node->content.size();
        for (auto const& [name, child] : node->names)
            waiting.push_back(child.get());
    }
    return bytes;
}

std::size_t SimulatedFileSystem::shorten(std::size_t size) {
    return short_io_ && size > 1 ? 1 + random_() % size : size;
}

Result<std::unique_ptr<NewFile>> SimulatedFileSystem::create(std::string const& path, unsigned) {
    std::lock_guard lock(mutex_);
    auto what = quoted("open", path);
    TRY(begin(what));
    auto directory = TRY(find_directory_of(path, what));
    if (find(path))
        return fail(ErrorKind::exists, what + ": File exists");
    auto& name = directory->names[last_name(path)];
    name = std::make_shared<Node>();
    name->modified = clock_.now();
    return std::make_unique<New>(*this, name, path);
}

Result<std::unique_ptr<OldFile>> SimulatedFileSystem::open(std::string const& path) {
    std::lock_guard lock(mutex_);
    auto what = quoted("open", path);
    TRY(begin(what));
    auto node = find(path);
    if (!node)
        return fail(ErrorKind::not_found, what + ": No such file or directory");
    if (node->is_directory)
        return fail(ErrorKind::not_found, what + ": not a file");
    return std::make_unique<Old>(*this, node, path);
}

Result<void> SimulatedFileSystem::publish(std::string const& from, std::string const& to) {
    std::lock_guard lock(mutex_);
    auto what = quoted("publish", to);
    TRY(begin(what));
    auto node = find(from);
    if (!node)
        return fail(ErrorKind::not_found, what + ": No such file or directory");
    auto directory = TRY(find_directory_of(to, what));
    auto [at, fresh] = directory->names.emplace(last_name(to), node);
    if (!fresh)
        return fail(ErrorKind::exists, what + ": File exists");
    return {};
}

Result<void> SimulatedFileSystem::replace(std::string const& from, std::string const& to) {
    std::lock_guard lock(mutex_);
    auto what = quoted("replace", to);
    TRY(begin(what));
    auto node = find(from);
    if (!node)
        return fail(ErrorKind::not_found, what + ": No such file or directory");
    auto directory = TRY(find_directory_of(to, what));
    directory->names.insert_or_assign(last_name(to), node);
    find(parent_directory(from))->names.erase(last_name(from));
    return {};
}

Result<void> SimulatedFileSystem::remove(std::string const& path) {
    std::lock_guard lock(mutex_);
    auto what = quoted("remove", path);
    TRY(begin(what));
    auto node = find(path);
    if (!node)
        return fail(ErrorKind::not_found, what + ": No such file or directory");
    if (node->is_directory)
        return fail(ErrorKind::io, what + ": Is a directory");
    find(parent_directory(path))->names.erase(last_name(path));
    return {};
}

Result<void> SimulatedFileSystem::make_directory(std::string const& path, unsigned) {
    std::lock_guard lock(mutex_);
    auto what = quoted("make directory", path);
    TRY(begin(what));
    auto directory = TRY(find_directory_of(path, what));
    if (find(path))
        return fail(ErrorKind::exists, what + ": File exists");
    auto& name = directory->names[last_name(path)];
    name = std::make_shared<Node>();
    name->is_directory = true;
    name->modified = clock_.now();
    return {};
}

Result<void> SimulatedFileSystem::sync_directory(std::string const& path) {
    std::lock_guard lock(mutex_);
    auto what = quoted("sync directory", path);
    TRY(begin(what));
    auto node = find(path);
    if (!node)
        return fail(ErrorKind::not_found, what + ": No such file or directory");
    if (!node->is_directory)
        return fail(ErrorKind::io, what + ": Not a directory");
    node->durable_names = node->names;
    return {};
}

Result<std::vector<DirectoryEntry>> SimulatedFileSystem::list(std::string const& path) {
    std::lock_guard lock(mutex_);
    auto what = quoted("list", path);
    TRY(begin(what));
    auto node = find(path);
    if (!node)
        return fail(ErrorKind::not_found, what + ": No such file or directory");
    if (!node->is_directory)
        return fail(ErrorKind::not_found, what + ": Not a directory");
    std::vector<DirectoryEntry> entries;
    for (auto const& [name, child] : node->names) {
        entries.push_back({name, child->is_directory ? FileKind::directory : FileKind::file});
    }
    std::shuffle(entries.begin(), entries.end(), random_);
    return entries;
}

Result<FileInfo> SimulatedFileSystem::info(std::string const& path) {
    std::lock_guard lock(mutex_);
    auto what = quoted("look at", path);
    TRY(begin(what));
    auto node = find(path);
    if (!node)
        return fail(ErrorKind::not_found, what + ": No such file or directory");
    return FileInfo{node->is_directory ? FileKind::directory : FileKind::file, node->content.size(),
                    node->modified};
}

void SimulatedFileSystem::flip(std::string const& path, std::uint64_t offset, std::uint8_t mask) {
    std::lock_guard lock(mutex_);
    auto node = find(path);
    assert(node && offset < node->content.size());
    node->content[offset] ^= mask;
    node->durable_content = node->content;
}

// The kernel marks pages clean even when it could not write them: after a failed sync a later one
// reports success, and the data is lost all the same.
Result<void> SimulatedFileSystem::sync(Node& node, std::string const& what) {
    auto begun = begin(what);
    if (!begun)
        node.sync_failed = true;
    if (!node.sync_failed)
        node.durable_content = node.content;
    return begun;
}

// What is on the disk of a file's content after the power went.
void SimulatedFileSystem::settle_data(Node& node, Unsynced unsynced) {
    if (unsynced == Unsynced::lost)
        node.content = node.durable_content;
    if (unsynced == Unsynced::partial && node.content != node.durable_content) {
        Bytes torn = node.durable_content;
        auto grown = node.content.size() - std::min(node.content.size(), torn.size());
        torn.resize(torn.size() + (grown ? random_() % (grown + 1) : 0));  // new pages are zeros
        for (std::size_t at = 0; at < std::min(torn.size(), node.content.size());
             at += kPageBytes) {
            if (random_() % 2)
                continue;
            auto size = std::min({kPageBytes, torn.size() - at, node.content.size() - at});
            std::copy_n(node.content.begin() + static_cast<std::ptrdiff_t>(at), size,
                        torn.begin() + static_cast<std::ptrdiff_t>(at));
        }
        node.content = std::move(torn);
    }
    node.durable_content = node.content;
    node.sync_failed = false;
}

// Which names a directory has after the power went. Each one that changed is on its own: POSIX
// promises no order between them.
void SimulatedFileSystem::settle_names(Node& node, Unsynced unsynced) {
    if (unsynced == Unsynced::lost)
        node.names = node.durable_names;
    if (unsynced == Unsynced::partial) {
        auto settled = node.durable_names;
        for (auto const& [name, child] : node.names) {
            if (!settled.contains(name) && random_() % 2)
                settled[name] = child;
        }
        std::erase_if(settled, [&](auto const& item) {
            return !node.names.contains(item.first) && random_() % 2;
        });
        node.names = std::move(settled);
    }
    node.durable_names = node.names;
}

void SimulatedFileSystem::lose_power(PowerLoss loss) {
    std::lock_guard lock(mutex_);
    ++boot_;
    crash_at_.reset();
    failures_.clear();
    std::set<Node*> seen;
    std::vector<NodePointer> waiting = {root_};
    while (!waiting.empty()) {
        auto node = waiting.back();
        waiting.pop_back();
        if (!seen.insert(node.get()).second)
            continue;
        settle_data(*node, loss.data);
        settle_names(*node, loss.names);
        for (auto const& [name, child] : node->names)
            waiting.push_back(child);
    }
}

}  // namespace holdfast
