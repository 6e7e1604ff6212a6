#include "plan/reader.h"

#include <algorithm>

#include "base/text.h"

namespace holdfast::plan {
namespace {

std::string_view describe_kind(Node const& node) {
    switch (node.kind) {
        case Node::Kind::null:
            return "nothing";
        case Node::Kind::scalar:
            return "a single value";
        case Node::Kind::list:
            return "a list";
        case Node::Kind::map:
            return "a mapping";
    }
    return "";
}

bool has_placeholder(Node const& node) {
    return node.kind == Node::Kind::scalar && node.text.find("${") != std::string::npos;
}

}  // namespace

Reader::Inside::Inside(Reader& reader, std::string_view name, Position name_at, Node const& node)
    : reader_(reader), path_size_(reader.path_.size()), where_(reader.where_) {
    if (!reader.path_.empty())
        reader.path_ += '/';
    reader.path_ += name;
    bool in_line = node.kind == Node::Kind::scalar;
    reader.where_ = in_line ? node.at : name_at;
    reader.positions_.add(reader.path_, reader.where_);
}

Reader::Inside::~Inside() {
    reader_.path_.resize(path_size_);
    reader_.where_ = where_;
}

bool Reader::fault_at(Position at, std::string_view message, std::string hint) {
    auto path = path_;
    std::replace(path.begin(), path.end(), '/', '.');
    faults_.error(at, path.empty() ? std::string(message) : fmt::format("{}: {}", path, message),
                  std::move(hint));
    return false;
}

bool Reader::wrong_kind(Node const& node, std::string_view wanted) {
    return fault(fmt::format("must be {}, not {}", wanted, describe_kind(node)));
}

std::optional<std::string> Reader::take_text(Node const& node, Form form) {
    auto const& wanted = rule(form).description;
    if (node.kind != Node::Kind::scalar) {
        wrong_kind(node, wanted);
        return std::nullopt;
    }
    if (is_octal_trap(node)) {
        fault(fmt::format("'{}' is octal to some and decimal to others", node.text),
              "leave the leading zero out, or put it in quotes when it is a text");
        return std::nullopt;
    }
    bool any_scalar = form == Form::free_text || form == Form::scalar;
    auto value = meaning(node);
    if (any_scalar && value.text() == nullptr)
        return value.scalar();
    if (value.text() == nullptr) {
        bool text_is_meant = matches(form, node.text);
        fault(fmt::format("must be {}, not a {}", wanted, value.boolean() ? "boolean" : "number"),
              text_is_meant ? fmt::format("put it in quotes: \"{}\"", node.text) : "");
        return std::nullopt;
    }
    if (matches(form, node.text))
        return node.text;
    if (form == Form::secret) {  // perhaps the secret itself: it is not repeated
        fault(fmt::format("must be {}", wanted), "a secret itself never stands in the plan");
    } else if (node.text.empty()) {
        fault(fmt::format("must be {}, not an empty text", wanted));
    } else {
        fault(fmt::format("must be {}, not '{}'", wanted, node.text.substr(0, 80)));
    }
    return std::nullopt;
}

bool Reader::read(Node const& node, std::string& value, Field const& field) {
    auto text = take_text(node, field.form);
    if (text)
        value = std::move(*text);
    return text.has_value();
}

bool Reader::read(Node const& node, bool& value, Field const&) {
    if (node.kind != Node::Kind::scalar)
        return wrong_kind(node, "true or false");
    auto meant = meaning(node);
    auto const* boolean = meant.boolean();
    if (boolean == nullptr)
        return fault(fmt::format("must be true or false, not '{}'", node.text));
    value = *boolean;
    return true;
}

bool Reader::read(Node const& node, std::uint32_t& value, Field const& field) {
    auto wanted = field.least == field.most
                      ? fmt::format("{}", field.least)
                      : fmt::format("a number from {} to {}", field.least, field.most);
    if (node.kind != Node::Kind::scalar)
        return wrong_kind(node, wanted);
    if (is_octal_trap(node)) {
        return fault(fmt::format("'{}' is octal to some and decimal to others", node.text),
                     "leave the leading zero out");
    }
    auto meant = meaning(node);
    auto const* number = meant.integer();
    if (number == nullptr || *number < field.least || *number > field.most) {
        return fault(fmt::format("must be {}, not '{}'", wanted, node.text));
    }
    value = static_cast<std::uint32_t>(*number);
    return true;
}

bool Reader::read(Node const& node, Duration& value, Field const&) {
    auto text = take_text(node, Form::duration);
    if (!text)
        return false;
    auto duration = parse_duration(*text);
    if (!duration)
        return fault(duration.error().message, duration.error().hint);
    value = *duration;
    return true;
}

bool Reader::read(Node const& node, Percent& value, Field const&) {
    auto text = take_text(node, Form::percent);
    if (text)
        value.fraction = std::stod(*text) / 100;
    return text.has_value();
}

bool Reader::read(Node const& node, ByteCount& value, Field const&) {
    auto text = take_text(node, Form::byte_count);
    if (!text)
        return false;
    auto bytes = parse_bytes(*text);
    if (!bytes)
        return fault(bytes.error().message, bytes.error().hint);
    value.bytes = *bytes;
    return true;
}

bool Reader::read(Node const& node, SecretReference& value, Field const&) {
    auto text = take_text(node, Form::secret);
    if (!text)
        return false;
    auto reference = parse_secret_reference(*text);
    if (!reference)
        return fault(reference.error().message, reference.error().hint);
    value = *reference;
    return true;
}

bool Reader::read(Node const& node, std::vector<std::string>& value, Field const& field) {
    if (node.kind == Node::Kind::scalar)
        return read(node, value.emplace_back(), field);
    if (node.kind != Node::Kind::list)
        return wrong_kind(node, "one text or a list of them");
    bool good = true;
    for (std::size_t i = 0; i < node.items.size(); ++i) {
        Inside inside(*this, std::to_string(i), node.items[i].at, node.items[i]);
        good = read(node.items[i], value.emplace_back(), field) && good;
    }
    return good;
}

std::optional<std::size_t> Reader::read_word(Node const& node,
                                             std::vector<std::string> const& words) {
    if (node.kind != Node::Kind::scalar) {
        wrong_kind(node, any_of(words));
        return std::nullopt;
    }
    auto found = std::find(words.begin(), words.end(), node.text);
    if (found == words.end()) {
        fault(fmt::format("must be {}, not '{}'", any_of(words), node.text.substr(0, 80)),
              did_you_mean(node.text, words));
        return std::nullopt;
    }
    return static_cast<std::size_t>(found - words.begin());
}

bool Reader::check_name(Node::Member const& member, Form form) {
    if (matches(form, member.name))
        return true;
    return fault_at(member.at, fmt::format("'{}' is not {}", member.name.substr(0, 80),
                                           rule(form).description));
}

bool Reader::check_argument(Node const& node, Argument const& argument) {
    if (has_placeholder(node))
        return true;
    std::string text;
    auto read_each = [&](Form form) {
        std::vector<std::string> texts;
        return read(node, texts, {.form = form});
    };
    switch (argument.type) {
        case ArgumentType::text:
            return read(node, text, {});
        case ArgumentType::scalar:
            return read(node, text, {.form = Form::scalar});
        case ArgumentType::boolean: {
            bool value = false;
            return read(node, value, {});
        }
        case ArgumentType::integer: {
            std::uint32_t value = 0;
            return read(node, value, {});
        }
        case ArgumentType::duration:
            return read(node, text, {.form = Form::duration});
        case ArgumentType::secret:
            return read(node, text, {.form = Form::secret});
        case ArgumentType::texts:
            return read_each(Form::scalar);
        case ArgumentType::map: {
            if (node.kind != Node::Kind::map)
                return wrong_kind(node, "a mapping of texts");
            bool good = true;
            for (auto const& member : node.members) {
                Inside inside(*this, member.name, member.at, member.value);
                good = read(member.value, text, {.form = Form::free_text}) && good;
            }
            return good;
        }
        case ArgumentType::dataset:
        case ArgumentType::service:
        case ArgumentType::step:
            return read(node, text, {.form = Form::name});
        case ArgumentType::people:
            return read_each(Form::name);
        case ArgumentType::path:
            return read(node, text, {.form = Form::path});
    }
    return false;
}

bool Reader::read_arguments(Node const& node, StepKind const& kind, Value& arguments) {
    arguments.members();  // a map, also when it stays empty
    bool short_form = kind.short_form() && node.kind != Node::Kind::null;
    if (node.kind != Node::Kind::map && !short_form) {
        return wrong_kind(node, "a mapping of its arguments");
    }
    if (node.kind != Node::Kind::map) {
        auto const& first = kind.arguments.front();
        Inside inside(*this, first.name, where_, node);
        if (!check_argument(node, first))
            return false;
        arguments.set(std::string(first.name), to_value(node));
        return true;
    }
    std::vector<std::string> names;
    for (auto const& argument : kind.arguments)
        names.emplace_back(argument.name);
    bool good = true;
    for (auto const& member : node.members) {
        auto const* argument = kind.find(member.name);
        if (argument == nullptr) {
            good = fault_at(member.at, fmt::format("unknown argument '{}'", member.name),
                            did_you_mean(member.name, names, "it takes " + any_of(names)));
            continue;
        }
        Inside inside(*this, member.name, member.at, member.value);
        if (check_argument(member.value, *argument)) {
            arguments.set(member.name, to_value(member.value));
        } else {
            good = false;
        }
    }
    for (auto const& argument : kind.arguments) {
        if (argument.required && node.find(argument.name) == nullptr) {
            good = fault(fmt::format("'{}' is missing", argument.name),
                         std::string(argument.description));
        }
    }
    return good;
}

bool MapReader::is_key(std::string_view name) const {
    return std::find(keys_.begin(), keys_.end(), name) != keys_.end();
}

void MapReader::step(Step& step) {
    has_kind_ = true;
    if (node_.kind != Node::Kind::map)
        return;
    bool any = false;
    for (auto const& member : node_.members) {
        if (is_key(member.name))
            continue;
        any = true;
        auto const* kind = find_step_kind(member.name);
        if (kind == nullptr) {
            auto names = keys_;
            for (auto const& known : step_kinds())
                names.emplace_back(known.name);
            good_ = reader_.fault_at(
                member.at, fmt::format("unknown kind of step or key '{}'", member.name),
                did_you_mean(member.name, names, "see docs/plan-file.md for the kinds"));
        } else if (!step.kind.empty()) {
            good_ = reader_.fault_at(
                member.at, fmt::format("does two things: '{}' and '{}'", step.kind, member.name),
                "make it two steps, one after the other");
        } else {
            step.kind = member.name;
            Reader::Inside inside(reader_, member.name, member.at, member.value);
            good_ = reader_.read_arguments(member.value, *kind, step.arguments) && good_;
        }
    }
    if (!any)
        good_ = reader_.fault("does nothing", "say what it does, for instance command: [...]");
}

bool MapReader::finish() {
    if (done_)
        return good_;
    if (node_.kind != Node::Kind::map)
        return reader_.wrong_kind(node_, "a mapping");
    if (has_kind_)
        return good_;  // step() saw to the other keys
    for (auto const& member : node_.members) {
        if (is_key(member.name))
            continue;
        good_ = reader_.fault_at(member.at, fmt::format("unknown key '{}'", member.name),
                                 did_you_mean(member.name, keys_, "the keys are " + any_of(keys_)));
    }
    return good_;
}

void read_plan(Node const& root, Plan& plan, FaultSink& faults, Positions& positions) {
    Reader reader(faults, positions);
    static_cast<void>(reader.read(root, plan, {}));
}

}  // namespace holdfast::plan
