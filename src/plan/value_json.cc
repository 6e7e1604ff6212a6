#include <fmt/format.h>
#include <limits>
#include <nlohmann/json.hpp>

#include "plan/value.h"

namespace holdfast::plan {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kDepthMax = 64;

Json document(Value const& value) {
    if (auto const* content = value.boolean())
        return *content;
    if (auto const* content = value.integer())
        return *content;
    if (auto const* content = value.number())
        return *content;
    if (auto const* content = value.text())
        return *content;
    if (value.is_list()) {
        auto list = Json::array();
        for (auto const& item : value.items())
            list.push_back(document(item));
        return list;
    }
    if (value.is_map()) {
        auto map = Json::object();
        for (auto const& member : value.members())
            map[member.name] = document(member.value);
        return map;
    }
    return nullptr;
}

// Builds the tree while the text is read, so that hostile depth and duplicate members are refused
// before they cost anything.
class Builder : public nlohmann::json_sax<Json> {
  public:
    bool null() override { return put({}); }
    bool boolean(bool value) override { return put(value); }
    bool number_integer(number_integer_t value) override { return put(std::int64_t{value}); }
    bool number_unsigned(number_unsigned_t value) override {
        if (value <= static_cast<number_unsigned_t>(std::numeric_limits<std::int64_t>::max())) {
            return put(static_cast<std::int64_t>(value));
        }
        return put(static_cast<double>(value));
    }
    bool number_float(number_float_t value, string_t const&) override { return put(value); }
    bool string(string_t& value) override { return put(std::move(value)); }
    bool binary(binary_t&) override { return refuse("binary data"); }

    bool start_object(std::size_t) override { return open(Value::Map{}); }
    bool start_array(std::size_t) override { return open(Value::List{}); }
    bool end_object() override { return close(); }
    bool end_array() override { return close(); }
    bool key(string_t& name) override {
        if (open_.back().value.find(name))
            return refuse(fmt::format("member '{}' twice", name));
        open_.back().key = std::move(name);
        return true;
    }
    bool parse_error(std::size_t position, std::string const&,
                     nlohmann::detail::exception const&) override {
        return refuse(fmt::format("not JSON at byte {}", position));
    }

    Value result;
    std::string fault;

  private:
    struct Open {
        Value value;
        std::string key;  // of the member that comes next
    };

    bool refuse(std::string why) {
        if (fault.empty())
            fault = std::move(why);
        return false;
    }
    bool put(Value value) {
        if (open_.empty()) {
            result = std::move(value);
        } else if (open_.back().value.is_list()) {
            open_.back().value.items().push_back(std::move(value));
        } else {
            open_.back().value.members().push_back({std::move(open_.back().key), std::move(value)});
        }
        return true;
    }
    bool open(Value value) {
        if (open_.size() == kDepthMax)
            return refuse(fmt::format("deeper than {} levels", kDepthMax));
        open_.push_back({std::move(value), {}});
        return true;
    }
    bool close() {
        auto value = std::move(open_.back().value);
        open_.pop_back();
        return put(std::move(value));
    }

    std::vector<Open> open_;
};

}  // namespace

std::string to_json(Value const& value) {
    return document(value).dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<Value> value_from_json(std::string_view text) {
    Builder builder;
    bool good = false;
    try {
        good = Json::sax_parse(text.begin(), text.end(), &builder);
    } catch (std::exception const& error) {
        return fail(ErrorKind::usage, fmt::format("JSON: {}", error.what()));
    }
    if (!good)
        return fail(ErrorKind::usage, fmt::format("JSON: {}", builder.fault));
    return std::move(builder.result);
}

}  // namespace holdfast::plan
