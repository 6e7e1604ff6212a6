#pragma once

#include <fmt/format.h>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "base/units.h"
#include "plan/describe.h"
#include "plan/document.h"
#include "plan/fault_sink.h"
#include "plan/load.h"
#include "plan/step_kinds.h"

// Fills a plan from a document by the table in describe.h. Each read() says whether the value is
// good; what is wrong with it is among the faults then, and reading goes on, so that all faults
// come at once.
namespace holdfast::plan {

class Reader {
  public:
    Reader(FaultSink& faults, Positions& positions) : faults_(faults), positions_(positions) {}

    bool read(Node const& node, std::string& value, Field const& field);
    bool read(Node const& node, bool& value, Field const& field);
    bool read(Node const& node, std::uint32_t& value, Field const& field);
    bool read(Node const& node, Duration& value, Field const& field);
    bool read(Node const& node, Percent& value, Field const& field);
    bool read(Node const& node, ByteCount& value, Field const& field);
    bool read(Node const& node, SecretReference& value, Field const& field);
    bool read(Node const& node, std::vector<std::string>& value, Field const& field);

    template <typename E>
    requires std::is_enum_v<E>
    bool read(Node const& node, E& value, Field const&) {
        auto index = read_word(node, {kWords<E>.begin(), kWords<E>.end()});
        if (index)
            value = static_cast<E>(*index);
        return index.has_value();
    }

    template <typename T>
    bool read(Node const& node, std::optional<T>& value, Field const& field) {
        return read(node, value.emplace(), field);
    }

    template <typename T>
    bool read(Node const& node, std::vector<T>& value, Field const& field) {
        if (node.kind != Node::Kind::list)
            return wrong_kind(node, "a list");
        bool good = true;
        for (std::size_t i = 0; i < node.items.size(); ++i) {
            Inside inside(*this, std::to_string(i), node.items[i].at, node.items[i]);
            auto& item = value.emplace_back();
            item.at = node.items[i].at;
            good = read(node.items[i], item, field) && good;
        }
        return good;
    }

    template <typename T>
    bool read(Node const& node, Named<T>& value, Field const& field) {
        if (node.kind != Node::Kind::map)
            return wrong_kind(node, "a mapping of names");
        bool good = true;
        for (auto const& member : node.members) {
            Inside inside(*this, member.name, member.at, member.value);
            good = check_name(member, kNameForm<T>) && good;
            T item;
            item.name = member.name;
            item.at = member.at;
            good = read(member.value, item, field) && good;
            value.add(std::move(item));
        }
        return good;
    }

    // Everything else is a type of describe.h.
    template <typename T>
    requires std::is_class_v<T>
    bool read(Node const& node, T& value, Field const&);

    bool read_arguments(Node const& node, StepKind const& kind, Value& arguments);

    // "datasets.database: must be …", at the value, or at its key when it is a mapping or list.
    bool fault(std::string_view message, std::string hint = {}) {
        return fault_at(where_, message, std::move(hint));
    }
    bool fault_at(Position at, std::string_view message, std::string hint = {});
    bool wrong_kind(Node const& node, std::string_view wanted);

    // While it lives, the reader is at a value within the one it was at.
    class Inside {
      public:
        Inside(Reader& reader, std::string_view name, Position name_at, Node const& node);
        ~Inside();
        Inside(Inside const&) = delete;
        Inside& operator=(Inside const&) = delete;

      private:
        Reader& reader_;
        std::size_t path_size_;
        Position where_;
    };

  private:
    // A text that matches the form.
    std::optional<std::string> take_text(Node const& node, Form form);
    std::optional<std::size_t> read_word(Node const& node, std::vector<std::string> const& words);
    bool check_name(Node::Member const& member, Form form);
    bool check_argument(Node const& node, Argument const& argument);

    FaultSink& faults_;
    Positions& positions_;
    std::string path_;  // "datasets/database"
    Position where_{1, 1};
};

// The visitor that reads one mapping.
class MapReader {
  public:
    MapReader(Reader& reader, Node const& node) : reader_(reader), node_(node) {}

    template <typename T>
    void field(std::string_view key, T& member, Field const& field) {
        keys_.emplace_back(key);
        if (done_ || node_.kind != Node::Kind::map)
            return;
        auto const* found = node_.find(key);
        if (found) {
            Reader::Inside inside(reader_, key, found->at, found->value);
            good_ = reader_.read(found->value, member, field) && good_;
        } else if (field.required) {
            good_ = reader_.fault(fmt::format("'{}' is missing", key), std::string(field.doc));
        }
    }

    template <typename T>
    void whole(T& member, Field const& field) {
        good_ = reader_.read(node_, member, field);
        done_ = true;
    }

    template <typename T>
    void alone(T value, Field const& field, auto const& set) {
        constexpr bool kList = std::is_same_v<T, std::vector<std::string>>;
        if (node_.kind != (kList ? Node::Kind::list : Node::Kind::scalar))
            return;
        good_ = reader_.read(node_, value, field);
        if (good_)
            set(std::move(value));
        done_ = true;
    }

    // Every key that is not a field of a step is its kind.
    void step(Step& step);

    bool finish();

  private:
    bool is_key(std::string_view name) const;

    Reader& reader_;
    Node const& node_;
    std::vector<std::string> keys_;
    bool good_ = true, done_ = false, has_kind_ = false;
};

template <typename T>
requires std::is_class_v<T>
bool Reader::read(Node const& node, T& value, Field const&) {
    MapReader visitor(*this, node);
    describe(visitor, value);
    if constexpr (std::is_same_v<T, AfterRecovery>) {
        value.due = parse_duration(value.name).value_or(Duration(0));
    }
    return visitor.finish();
}

// The whole document. Positions get the place of every key that was read.
void read_plan(Node const& root, Plan& plan, FaultSink& faults, Positions& positions);

}  // namespace holdfast::plan
