#include "plan/value.h"

#include <fmt/format.h>

namespace holdfast::plan {

Value::List const& Value::items() const {
    static List const none;
    auto const* list = std::get_if<List>(&content_);
    return list ? *list : none;
}

Value::Map const& Value::members() const {
    static Map const none;
    auto const* map = std::get_if<Map>(&content_);
    return map ? *map : none;
}

Value::List& Value::items() {
    if (!is_list())
        content_ = List();
    return std::get<List>(content_);
}

Value::Map& Value::members() {
    if (!is_map())
        content_ = Map();
    return std::get<Map>(content_);
}

Value const* Value::find(std::string_view key) const {
    for (auto const& member : members()) {
        if (member.name == key)
            return &member.value;
    }
    return nullptr;
}

void Value::set(std::string key, Value value) {
    for (auto& member : members()) {
        if (member.name == key) {
            member.value = std::move(value);
            return;
        }
    }
    members().push_back({std::move(key), std::move(value)});
}

std::string Value::scalar() const {
    if (auto const* value = boolean())
        return *value ? "true" : "false";
    if (auto const* value = integer())
        return fmt::format("{}", *value);
    if (auto const* value = number())
        return fmt::format("{}", *value);
    if (auto const* value = text())
        return *value;
    return {};
}

std::string Value::member_text(std::string_view key, std::string_view otherwise) const {
    auto const* value = find(key);
    return value ? value->scalar() : std::string(otherwise);
}

std::vector<std::string> Value::texts() const {
    if (is_scalar())
        return {scalar()};
    std::vector<std::string> texts;
    for (auto const& item : items())
        texts.push_back(item.scalar());
    return texts;
}

}  // namespace holdfast::plan
