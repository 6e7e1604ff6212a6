#include <array>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <type_traits>

#include "plan/describe.h"
#include "plan/schema.h"

namespace holdfast::plan {
namespace {

using Json = nlohmann::ordered_json;

// Exact, unlike what people are shown: "1d12h".
std::string duration_text(Duration duration) {
    struct Unit {
        std::string_view name;
        std::int64_t milliseconds;
    };
    static constexpr std::array kUnits = {Unit{"d", 86'400'000}, Unit{"h", 3'600'000},
                                          Unit{"m", 60'000}, Unit{"s", 1000}, Unit{"ms", 1}};
    auto rest = std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
    std::string text;
    for (auto const& unit : kUnits) {
        if (rest >= unit.milliseconds)
            text += fmt::format("{}{}", rest / unit.milliseconds, unit.name);
        rest %= unit.milliseconds;
    }
    return text;
}

std::string bytes_text(std::uint64_t bytes) {
    static constexpr std::array kNames = {"B", "KiB", "MiB", "GiB", "TiB"};
    std::size_t unit = 0;
    for (; bytes > 0 && bytes % 1024 == 0 && unit + 1 < kNames.size(); ++unit)
        bytes /= 1024;
    return fmt::format("{} {}", bytes, kNames[unit]);
}

Json json_of(std::string const& value) {
    return value;
}
Json json_of(bool value) {
    return value;
}
Json json_of(std::uint32_t value) {
    return value;
}
Json json_of(Duration value) {
    return duration_text(value);
}
Json json_of(Percent value) {
    return fmt::format("{:.10g}%", value.fraction * 100);
}
Json json_of(ByteCount value) {
    return bytes_text(value.bytes);
}
Json json_of(SecretReference const& value) {
    return to_text(value);
}
template <typename E>
requires std::is_enum_v<E> Json json_of(E value) {
    return to_text(value);
}
template <typename T>
Json json_of(T const& value) requires std::is_class_v<T>;
template <typename T>
Json json_of(std::vector<T> const& value) {
    auto list = Json::array();
    for (auto const& item : value)
        list.push_back(json_of(item));
    return list;
}
template <typename T>
Json json_of(Named<T> const& value) {
    auto map = Json::object();
    for (auto const& item : value)
        map[item.name] = json_of(item);
    return map;
}

template <typename T>
bool is_empty(T const& value) {
    if constexpr (requires { value.empty(); })
        return value.empty();
    return false;
}

// The visitor that writes one value of a type of describe.h. What is not given is left out.
class JsonVisitor {
  public:
    template <typename T>
    void field(std::string_view key, T const& member, Field const& field) {
        if (field.required || !is_empty(member))
            json_[std::string(key)] = json_of(member);
    }
    template <typename T>
    void field(std::string_view key, std::optional<T> const& member, Field const&) {
        if (member)
            json_[std::string(key)] = json_of(*member);
    }
    template <typename T>
    void whole(T const& member, Field const&) {
        json_ = json_of(member);
    }
    template <typename T>
    void alone(T const&, Field const&, auto const&) {}
    void step(Step const& step) { json_[step.kind] = Json::parse(to_json(step.arguments)); }

    Json take() { return std::move(json_); }

  private:
    Json json_ = Json::object();
};

template <typename T>
Json json_of(T const& value) requires std::is_class_v<T> {
    JsonVisitor visitor;
    // describe() serves readers too, which fill what it shows; this visitor only looks.
    describe(visitor, const_cast<T&>(value));
    return visitor.take();
}

}  // namespace

std::string to_json(Plan const& plan) {
    return json_of(plan).dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace holdfast::plan
