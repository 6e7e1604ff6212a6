#include "plan/document.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <optional>
#include <spanstream>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include "base/text.h"

namespace holdfast::plan {
namespace {

// Counts characters, not bytes, as editors do.
class LineIndex {
  public:
    explicit LineIndex(std::string_view text) : text_(text) {}

    Position at(std::size_t offset) {
        offset = std::min(offset, text_.size());
        if (offset < offset_)
            *this = LineIndex(text_);
        for (; offset_ < offset; ++offset_) {
            auto byte = static_cast<unsigned char>(text_[offset_]);
            if (byte == '\n') {
                ++position_.line;
                position_.column = 1;
            } else if ((byte & 0xc0) != 0x80) {
                ++position_.column;
            }
        }
        return position_;
    }

  private:
    std::string_view text_;
    std::size_t offset_ = 0;
    Position position_{1, 1};
};

// Stops the parser from within a handler; what is wrong was reported already.
struct Stop {};

// Builds the tree from yaml-cpp's events. Its own loader resolves aliases lazily and keeps only the
// last of duplicate keys; events show everything as it is written.
class TreeBuilder : public YAML::EventHandler {
  public:
    TreeBuilder(std::string_view text, FaultSink& faults) : lines_(text), faults_(faults) {}

    Node take() { return std::move(root_); }
    Position position(YAML::Mark const& mark) {
        return lines_.at(static_cast<std::size_t>(std::max(mark.pos, 0)));
    }

    void OnDocumentStart(YAML::Mark const&) override {}
    void OnDocumentEnd() override {}
    void OnNull(YAML::Mark const& mark, YAML::anchor_t anchor) override {
        add(start(mark, "", anchor, Node::Kind::null));
    }
    void OnAlias(YAML::Mark const& mark, YAML::anchor_t) override {
        faults_.error(position(mark), "aliases ('*name') are not used in a plan",
                      "write the value out where it is needed");
        add(Node{.at = position(mark)});
    }
    void OnScalar(YAML::Mark const& mark, std::string const& tag, YAML::anchor_t anchor,
                  std::string const& value) override {
        auto node = start(mark, tag, anchor, Node::Kind::scalar);
        node.text = value;
        node.plain = tag == "?";
        add(std::move(node));
    }
    void OnSequenceStart(YAML::Mark const& mark, std::string const& tag, YAML::anchor_t anchor,
                         YAML::EmitterStyle::value) override {
        open(start(mark, tag, anchor, Node::Kind::list));
    }
    void OnMapStart(YAML::Mark const& mark, std::string const& tag, YAML::anchor_t anchor,
                    YAML::EmitterStyle::value) override {
        open(start(mark, tag, anchor, Node::Kind::map));
    }
    void OnSequenceEnd() override { close(); }
    void OnMapEnd() override { close(); }

  private:
    // A list or map that is being read; of a map also the key whose value comes next.
    struct Frame {
        Node node;
        bool has_key = false, drop = false;  // drop: the key is at fault, its value is not kept
        std::string key{};
        Position key_at{};
    };

    Node start(YAML::Mark const& mark, std::string const& tag, YAML::anchor_t anchor,
               Node::Kind kind) {
        Node node{.kind = kind, .at = position(mark)};
        if (anchor != YAML::NullAnchor) {
            faults_.error(node.at, "anchors ('&name') are not used in a plan",
                          "write the value out where it is needed");
        }
        if (!tag.empty() && tag != "?" && tag != "!") {
            faults_.error(node.at, "tags ('!type') are not used in a plan", "leave it out");
        }
        return node;
    }

    void open(Node node) {
        if (open_.size() >= kDocumentDepthMax) {
            faults_.error(node.at, fmt::format("nested deeper than {} levels", kDocumentDepthMax));
            throw Stop();
        }
        open_.push_back({.node = std::move(node)});
    }

    void close() {
        auto node = std::move(open_.back().node);
        open_.pop_back();
        add(std::move(node));
    }

    void add(Node node) {
        if (++nodes_ > kDocumentNodesMax) {
            faults_.error(node.at, fmt::format("more than {} values", kDocumentNodesMax));
            throw Stop();
        }
        if (open_.empty()) {
            root_ = std::move(node);
            return;
        }
        auto& frame = open_.back();
        if (frame.node.kind == Node::Kind::list) {
            frame.node.items.push_back(std::move(node));
        } else if (!frame.has_key) {
            take_key(frame, std::move(node));
        } else {
            frame.has_key = false;
            if (!frame.drop)
                frame.node.members.push_back({std::move(frame.key), frame.key_at, std::move(node)});
        }
    }

    void take_key(Frame& frame, Node node) {
        frame.drop = true;
        if (node.kind == Node::Kind::list || node.kind == Node::Kind::map) {
            faults_.error(node.at, "a key must be a word, not a list or a mapping");
        } else if (node.plain && node.text == "<<") {
            faults_.error(node.at, "merge keys ('<<') are not used in a plan",
                          "write the keys out");
        } else if (auto const* first = frame.node.find(node.text)) {
            faults_.error(node.at, fmt::format("the key '{}' stands twice", node.text),
                          fmt::format("the first is in line {}", first->at.line));
        } else {
            frame.drop = false;
        }
        frame.has_key = true;
        frame.key = std::move(node.text);
        frame.key_at = node.at;
    }

    LineIndex lines_;
    FaultSink& faults_;
    std::vector<Frame> open_;
    Node root_;
    std::size_t nodes_ = 0;
};

// The first byte that no plan needs and that yaml-cpp misunderstands (it takes 0x04 for the end of
// the file, and drops the rest silently); npos when there is none.
std::size_t first_bad_byte(std::string_view text) {
    for (std::size_t i = 0; i < text.size();) {
        auto byte = static_cast<unsigned char>(text[i]);
        if (byte == 0x7f || (byte < 0x20 && byte != '\n' && byte != '\t' && byte != '\r'))
            return i;
        std::size_t size = 1;
        while (!is_utf8(text.substr(i, size))) {
            if (++size > 4)
                return i;
        }
        i += size;
    }
    return std::string_view::npos;
}

// yaml-cpp's words name its tokens; these say what to look for.
std::string syntax_hint(std::string_view text, YAML::Mark const& mark) {
    auto lines = split(text, '\n');
    auto line = static_cast<std::size_t>(std::max(mark.line, 0));
    if (line >= lines.size())
        return {};
    if (lines[line].find(" of [") != std::string::npos) {
        return "put it in quotes here: approve: \"1 of [team]\"";
    }
    if (lines[line].find('\t') != std::string::npos)
        return "indent with spaces, not with tabs";
    return "look for a missing quote, comma, bracket or colon, or a wrong indentation, here or "
           "before";
}

bool all_of(std::string_view text, std::string_view allowed) {
    return !text.empty() && text.find_first_not_of(allowed) == std::string_view::npos;
}

std::string_view without_sign(std::string_view text) {
    return !text.empty() && (text[0] == '-' || text[0] == '+') ? text.substr(1) : text;
}

bool is_float(std::string_view text) {
    // [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?
    text = without_sign(text);
    if (auto e = text.find_first_of("eE"); e != std::string_view::npos) {
        if (!all_of(without_sign(text.substr(e + 1)), "0123456789"))
            return false;
        text = text.substr(0, e);
    }
    auto digits = std::string(text);
    if (auto point = digits.find('.'); point != std::string::npos)
        digits.erase(point, 1);
    return all_of(digits, "0123456789");
}

template <typename T>
std::optional<T> convert(std::string_view text, int base) {
    T value{};
    if (text.starts_with('+'))
        text.remove_prefix(1);
    std::from_chars_result result{};
    if constexpr (std::is_integral_v<T>) {
        result = std::from_chars(text.data(), text.data() + text.size(), value, base);
    } else {
        result = std::from_chars(text.data(), text.data() + text.size(), value);
    }
    if (result.ec != std::errc() || result.ptr != text.data() + text.size())
        return std::nullopt;
    return value;
}

}  // namespace

Node::Member const* Node::find(std::string_view key) const {
    for (auto const& member : members) {
        if (member.name == key)
            return &member;
    }
    return nullptr;
}

Node read_document(std::string_view text, FaultSink& faults) {
    if (text.size() > kDocumentBytesMax) {
        faults.error({1, 1},
                     fmt::format("the plan is larger than {} MiB", kDocumentBytesMax >> 20));
        return {};
    }
    if (auto bad = first_bad_byte(text); bad != std::string_view::npos) {
        faults.error(LineIndex(text).at(bad), "this is not text (UTF-8 without control characters)",
                     "is it really a plan file?");
        return {};
    }
    if (text.starts_with("\xef\xbb\xbf"))
        text.remove_prefix(3);

    TreeBuilder builder(text, faults);
    try {
        std::ispanstream stream(text);
        YAML::Parser parser(stream);
        if (!parser.HandleNextDocument(builder)) {
            faults.error({1, 1}, "the plan is empty", "see `holdfast plan example`");
            return {};
        }
        auto root = builder.take();
        TreeBuilder second(text, faults);
        if (parser.HandleNextDocument(second)) {
            faults.error(second.take().at, "a second document begins here",
                         "a plan is one document: take the '---' out");
        }
        return root;
    } catch (YAML::Exception const& e) {
        faults.error(builder.position(e.mark), fmt::format("not YAML: {}", e.msg),
                     syntax_hint(text, e.mark));
    } catch (Stop const&) {
    }
    return {};
}

Value meaning(Node const& scalar) {
    auto const& text = scalar.text;
    if (scalar.kind == Node::Kind::null)
        return {};
    if (!scalar.plain)
        return text;
    if (text == "true" || text == "True" || text == "TRUE")
        return true;
    if (text == "false" || text == "False" || text == "FALSE")
        return false;

    auto unsigned_text = without_sign(text);
    if (all_of(unsigned_text, "0123456789")) {
        if (is_octal_trap(scalar))
            return text;
        if (auto value = convert<std::int64_t>(text, 10))
            return *value;
    }
    for (auto [prefix, base] : {std::pair("0x", 16), std::pair("0o", 8)}) {
        if (!text.starts_with(prefix))
            continue;
        auto digits = std::string_view(text).substr(2);
        if (digits.starts_with('-') || digits.starts_with('+'))
            continue;
        if (auto value = convert<std::int64_t>(digits, base))
            return *value;
    }
    if (is_float(text)) {
        if (auto value = convert<double>(text, 10); value && std::isfinite(*value))
            return *value;
    }
    return text;
}

bool is_octal_trap(Node const& scalar) {
    auto digits = without_sign(scalar.text);
    return scalar.plain && digits.size() > 1 && digits[0] == '0' && all_of(digits, "0123456789");
}

Value to_value(Node const& node) {
    if (node.kind == Node::Kind::list) {
        Value::List list;
        for (auto const& item : node.items)
            list.push_back(to_value(item));
        return list;
    }
    if (node.kind == Node::Kind::map) {
        Value::Map map;
        for (auto const& member : node.members) {
            map.push_back({member.name, to_value(member.value)});
        }
        return map;
    }
    return meaning(node);
}

}  // namespace holdfast::plan
