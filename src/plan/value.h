#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace holdfast::plan {

// A small JSON-like tree that keeps the order of its members: the arguments of a step.
class Value {
  public:
    struct Member;
    using List = std::vector<Value>;
    using Map = std::vector<Member>;

    Value() = default;  // null
    Value(bool value) : content_(value) {}
    Value(int value) : content_(std::int64_t{value}) {}
    Value(std::int64_t value) : content_(value) {}
    Value(double value) : content_(value) {}
    Value(char const* value) : content_(std::string(value)) {}
    Value(std::string value) : content_(std::move(value)) {}
    Value(List value) : content_(std::move(value)) {}
    Value(Map value) : content_(std::move(value)) {}

    bool is_null() const { return std::holds_alternative<std::monostate>(content_); }
    bool is_list() const { return std::holds_alternative<List>(content_); }
    bool is_map() const { return std::holds_alternative<Map>(content_); }
    bool is_scalar() const { return !is_null() && !is_list() && !is_map(); }

    // The content when it has that type, else null.
    bool const* boolean() const { return std::get_if<bool>(&content_); }
    std::int64_t const* integer() const { return std::get_if<std::int64_t>(&content_); }
    double const* number() const { return std::get_if<double>(&content_); }
    std::string const* text() const { return std::get_if<std::string>(&content_); }
    // The items or members; empty when it is not a list or a map.
    List const& items() const;
    Map const& members() const;
    List& items();
    Map& members();

    // The member of that name, or null.
    Value const* find(std::string_view key) const;
    // Sets or adds a member; a null value becomes a map first.
    void set(std::string key, Value value);

    // A scalar as a person would write it: "0", "1.5", "true", the text itself. Empty for null,
    // lists and maps.
    std::string scalar() const;
    // The scalar text of a member; `otherwise` when there is none.
    std::string member_text(std::string_view key, std::string_view otherwise = "") const;
    // A list's scalars, or the one scalar as a list of one.
    std::vector<std::string> texts() const;

    friend bool operator==(Value const&, Value const&) = default;

  private:
    std::variant<std::monostate, bool, std::int64_t, double, std::string, List, Map> content_;
};

struct Value::Member {
    std::string name;
    Value value;
    friend bool operator==(Member const&, Member const&) = default;
};

// Compact JSON text, and back. Text that is not UTF-8 is replaced by U+FFFD. Reading refuses text
// that is not JSON, deeper than 64 levels, or a duplicate member.
std::string to_json(Value const& value);
Result<Value> value_from_json(std::string_view text);

}  // namespace holdfast::plan
