#include <map>

#include "archive/tree.h"
#include "base/text.h"

namespace holdfast {
namespace {

// The builder follows nested directories by recursion.
constexpr std::size_t kDepthMax = 1000;

Result<std::vector<std::string>> split_path(std::string_view path) {
    auto parts = split(path, '/');
    if (parts.size() > kDepthMax) return fail(ErrorKind::usage, "a path is nested too deep");
    for (auto const& part : parts) {
        if (part.empty() || part == "." || part == "..") {
            return fail(ErrorKind::usage, "'" + printable(path) + "' is not a plain relative path");
        }
    }
    return parts;
}

}  // namespace

struct TreeBuilder::Child {
    Entry entry;
    bool stated = false;         // added, not only implied by what lies below
    bool closed = false;         // a directory that was stored
    std::unique_ptr<Node> node;  // an open directory
};

struct TreeBuilder::Node {
    std::map<std::string, Child, std::less<>> children;
};

TreeBuilder::TreeBuilder(Ingest& ingest) : ingest_(ingest), root_(std::make_unique<Node>()) {}
TreeBuilder::~TreeBuilder() = default;

// The open directory at `parts`, made with its parents when nobody named it yet.
Result<TreeBuilder::Node*> TreeBuilder::descend(std::span<std::string const> parts) {
    Node* node = root_.get();
    for (auto const& part : parts) {
        auto [at, fresh] = node->children.try_emplace(part);
        auto& child = at->second;
        if (fresh) {
            child.entry.name = part;
            child.entry.type = EntryType::directory;
            child.entry.mode = 0755;
        }
        if (child.entry.type != EntryType::directory || child.closed) {
            return fail(ErrorKind::usage, "nothing can be added below '" + printable(part) + "': it is " +
                                              (child.closed ? "closed" : std::string(name(child.entry.type))));
        }
        if (!child.node) child.node = std::make_unique<Node>();
        node = child.node.get();
    }
    return node;
}

Result<void> TreeBuilder::add(std::string_view path, Entry entry) {
    if (path.empty()) {
        if (self_) return fail(ErrorKind::exists, "the root was added before");
        entry.name.clear();
        entry.content = {};
        if (entry.type != EntryType::directory) return fail(ErrorKind::usage, "the root is no directory");
        if (auto fault = entry_fault(entry)) return fail(ErrorKind::usage, std::string("the root: ") + fault);
        self_ = std::move(entry);
        return {};
    }
    auto parts = TRY(split_path(path));
    entry.name = parts.back();
    if (auto fault = entry_fault(entry)) {
        return fail(ErrorKind::usage, "'" + printable(path) + "' can't be stored: " + fault);
    }
    auto* parent = TRY(descend(std::span(parts).first(parts.size() - 1)));
    auto [at, fresh] = parent->children.try_emplace(entry.name);
    auto& child = at->second;
    bool fills = !fresh && !child.stated && entry.type == EntryType::directory;
    if (!fresh && !fills) return fail(ErrorKind::exists, "'" + printable(path) + "' was added before");
    if (entry.type == EntryType::directory) {
        entry.content = child.closed ? child.entry.content : Content{};
        if (fresh) child.node = std::make_unique<Node>();
    }
    child.entry = std::move(entry);
    child.stated = true;
    return {};
}

Result<void> TreeBuilder::close_directory(std::string_view path) {
    auto parts = TRY(split_path(path));
    auto* parent = TRY(descend(std::span(parts).first(parts.size() - 1)));
    TRY(descend(parts));
    auto& child = parent->children.at(parts.back());
    child.entry.content = TRY(store(*child.node, std::nullopt));
    child.node.reset();
    child.closed = true;
    return {};
}

Result<Content> TreeBuilder::finish() {
    auto content = TRY(store(*root_, self_));
    root_ = std::make_unique<Node>();
    self_.reset();
    return content;
}

Result<Content> TreeBuilder::store(Node& node, std::optional<Entry> const& self) {
    DirectoryWriter writer(ingest_);
    if (self) TRY(writer.self(*self));
    for (auto& [name, child] : node.children) {
        if (child.node) {
            child.entry.content = TRY(store(*child.node, std::nullopt));
            child.node.reset();
        }
        TRY(writer.add(child.entry));
    }
    return writer.finish(false);
}

}  // namespace holdfast
