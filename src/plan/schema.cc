#include "plan/schema.h"

#include <nlohmann/json.hpp>
#include <type_traits>

#include "plan/describe.h"
#include "plan/step_kinds.h"

namespace holdfast::plan {
namespace {

using Json = nlohmann::ordered_json;

Json text_schema(Form form) {
    Json schema;
    bool any_scalar = form == Form::free_text || form == Form::scalar;
    schema["type"] = any_scalar ? Json{"string", "number", "boolean"} : Json("string");
    if (form != Form::free_text)
        schema["minLength"] = 1;
    if (auto expression = rule(form).expression; !expression.empty()) {
        schema["pattern"] = expression;
        schema["maxLength"] = kFormBytesMax;
    }
    return schema;
}

Json one_or_many(Json const& one) {
    return {{"anyOf", {one, {{"type", "array"}, {"items", one}}}}};
}

Json schema_of(std::string const&, Field const& field) {
    return text_schema(field.form);
}
Json schema_of(bool, Field const&) {
    return {{"type", "boolean"}};
}
Json schema_of(std::uint32_t, Field const& field) {
    return {{"type", "integer"}, {"minimum", field.least}, {"maximum", field.most}};
}
Json schema_of(Duration, Field const&) {
    return text_schema(Form::duration);
}
Json schema_of(Percent, Field const&) {
    return text_schema(Form::percent);
}
Json schema_of(ByteCount, Field const&) {
    return text_schema(Form::byte_count);
}
Json schema_of(SecretReference const&, Field const&) {
    return text_schema(Form::secret);
}
Json schema_of(std::vector<std::string> const&, Field const& field) {
    return one_or_many(text_schema(field.form));
}
template <typename E>
requires std::is_enum_v<E> Json schema_of(E, Field const&) {
    return {{"enum", kWords<E>}};
}
template <typename T>
Json schema_of(T const&, Field const&) requires std::is_class_v<T>;
template <typename T>
Json schema_of(std::optional<T> const&, Field const& field) {
    return schema_of(T{}, field);
}
template <typename T>
Json schema_of(std::vector<T> const&, Field const& field) {
    return {{"type", "array"}, {"items", schema_of(T{}, field)}};
}
template <typename T>
Json schema_of(Named<T> const&, Field const& field) {
    Json schema = {{"type", "object"}, {"additionalProperties", false}};
    schema["patternProperties"][std::string(rule(kNameForm<T>).expression)] = schema_of(T{}, field);
    return schema;
}

Json argument_schema(ArgumentType type) {
    switch (type) {
        case ArgumentType::text:
            return text_schema(Form::text);
        case ArgumentType::scalar:
            return text_schema(Form::scalar);
        case ArgumentType::boolean:
            return schema_of(bool(), {});
        case ArgumentType::integer:
            return schema_of(std::uint32_t(), {});
        case ArgumentType::duration:
            return text_schema(Form::duration);
        case ArgumentType::secret:
            return text_schema(Form::secret);
        case ArgumentType::texts:
            return one_or_many(text_schema(Form::scalar));
        case ArgumentType::map:
            return {{"type", "object"}, {"additionalProperties", text_schema(Form::free_text)}};
        case ArgumentType::dataset:
        case ArgumentType::service:
        case ArgumentType::step:
            return text_schema(Form::name);
        case ArgumentType::people:
            return one_or_many(text_schema(Form::name));
        case ArgumentType::path:
            return text_schema(Form::path);
    }
    return {};
}

Json kind_schema(StepKind const& kind) {
    Json const placeholder = {{"type", "string"}, {"pattern", "\\$\\{"}};
    Json arguments = {{"type", "object"}, {"additionalProperties", false}};
    for (auto const& argument : kind.arguments) {
        Json value = {{"anyOf", {argument_schema(argument.type), placeholder}},
                      {"description", argument.description}};
        arguments["properties"][std::string(argument.name)] = std::move(value);
        if (argument.required)
            arguments["required"].push_back(argument.name);
    }
    Json schema = {{"description", kind.description}, {"anyOf", {arguments}}};
    if (kind.short_form()) {
        schema["anyOf"].push_back(argument_schema(kind.arguments.front().type));
        schema["anyOf"].push_back(placeholder);
    }
    return schema;
}

// The visitor that turns one type of describe.h into a schema.
class SchemaVisitor {
  public:
    template <typename T>
    void field(std::string_view key, T const& member, Field const& field) {
        auto schema = schema_of(member, field);
        schema["description"] = field.doc;
        properties_[std::string(key)] = std::move(schema);
        if (field.required)
            required_.push_back(key);
    }
    template <typename T>
    void whole(T const& member, Field const& field) {
        whole_ = schema_of(member, field);
    }
    template <typename T>
    void alone(T const& value, Field const& field, auto const&) {
        alone_.push_back(schema_of(value, field));
    }
    void step(Step const&) {
        for (auto const& kind : step_kinds()) {
            properties_[std::string(kind.name)] = kind_schema(kind);
            kinds_.push_back({{"required", {kind.name}}});
        }
    }

    Json take() {
        if (!whole_.is_null())
            return std::move(whole_);
        Json schema = {
            {"type", "object"}, {"properties", properties_}, {"additionalProperties", false}};
        if (!required_.empty())
            schema["required"] = required_;
        if (!kinds_.empty())
            schema["oneOf"] = kinds_;
        if (alone_.empty())
            return schema;
        alone_.push_back(std::move(schema));
        return {{"anyOf", alone_}};
    }

  private:
    Json properties_ = Json::object(), required_ = Json::array(), kinds_ = Json::array();
    Json alone_ = Json::array(), whole_;
};

template <typename T>
Json schema_of(T const&, Field const&) requires std::is_class_v<T> {
    SchemaVisitor visitor;
    T subject;
    describe(visitor, subject);
    return visitor.take();
}

}  // namespace

std::string schema() {
    Json schema = {{"$schema", "http://json-schema.org/draft-07/schema#"},
                   {"title", "Holdfast plan"},
                   {"description",
                    "What must survive, how much may be lost, how long recovery may take, "
                    "who must be told."}};
    schema.update(schema_of(Plan(), {}));
    return schema.dump(2) + "\n";
}

}  // namespace holdfast::plan
