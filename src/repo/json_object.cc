#include "repo/json_object.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/text.h"

namespace holdfast {

using Json = nlohmann::ordered_json;

struct JsonObject::Data {
    Json json = Json::object();
};

namespace {
constexpr std::size_t kTextBytesMax = 16u << 20;
}  // namespace

JsonObject::JsonObject() : data_(std::make_unique<Data>()) {}
JsonObject::JsonObject(JsonObject&&) noexcept = default;
JsonObject& JsonObject::operator=(JsonObject&&) noexcept = default;
JsonObject::~JsonObject() = default;

Result<JsonObject> JsonObject::parse(std::string_view text) {
    if (text.size() > kTextBytesMax)
        return fail(ErrorKind::damaged, "document is too long");
    // Without exceptions: what does not parse is `discarded`.
    auto json = Json::parse(text, nullptr, false);
    if (!json.is_object())
        return fail(ErrorKind::damaged, "document is no JSON object");
    JsonObject object;
    object.data_->json = std::move(json);
    return object;
}

// Strings are valid UTF-8 by printable(), so writing cannot fail.
std::string JsonObject::dump() const {
    return data_->json.dump();
}
std::string JsonObject::dump_lines() const {
    return data_->json.dump(2) + "\n";
}

void JsonObject::set(std::string_view name, std::string_view text) {
    data_->json[std::string(name)] = printable(text);
}
void JsonObject::set(std::string_view name, std::uint64_t value) {
    data_->json[std::string(name)] = value;
}
void JsonObject::set(std::string_view name, JsonObject const& object) {
    data_->json[std::string(name)] = object.data_->json;
}

bool JsonObject::has(std::string_view name) const {
    return data_->json.contains(name);
}

std::string JsonObject::text(std::string_view name) {
    auto found = data_->json.find(name);
    if (found != data_->json.end() && found->is_string()) {
        auto text = from_printable(found->get_ref<std::string const&>());
        if (text)
            return std::move(*text);
    }
    fail_reading();
    return {};
}

std::uint64_t JsonObject::number(std::string_view name) {
    auto found = data_->json.find(name);
    if (found != data_->json.end() && found->is_number_unsigned())
        return found->get<std::uint64_t>();
    fail_reading();
    return 0;
}

Time JsonObject::time(std::string_view name) {
    auto text = this->text(name);
    auto time = parse_rfc3339(text);
    if (time && to_rfc3339(*time) == text)
        return *time;
    fail_reading();
    return {};
}

Bytes JsonObject::hex(std::string_view name) {
    auto bytes = from_hex(text(name));
    if (bytes)
        return std::move(*bytes);
    fail_reading();
    return {};
}

JsonObject JsonObject::object(std::string_view name) {
    JsonObject object;
    auto found = data_->json.find(name);
    if (found != data_->json.end() && found->is_object()) {
        object.data_->json = *found;
    } else {
        fail_reading();
    }
    return object;
}

std::vector<std::string> JsonObject::names() const {
    std::vector<std::string> names;
    for (auto const& item : data_->json.items())
        names.push_back(item.key());
    return names;
}

}  // namespace holdfast
