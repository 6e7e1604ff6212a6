#include <cstdlib>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <map>
#include <type_traits>

#include "os/file.h"
#include "plan/describe.h"
#include "plan/step_kinds.h"

// docs/plan-file.md holds a table for each mapping of the plan, between "<!-- keys: PATH -->" and
// "<!-- end -->". They come from describe.h: when a key changes, run this test with
// HOLDFAST_UPDATE_DOCS=1.
namespace holdfast::plan {
namespace {

constexpr char const* kPath = HOLDFAST_SOURCE "/docs/plan-file.md";

std::string_view word(Form form) {
    switch (form) {
        case Form::text:
            return "text";
        case Form::free_text:
            return "text, may be empty";
        case Form::scalar:
            return "text or number";
        case Form::name:
            return "name";
        case Form::path:
            return "absolute path";
        case Form::pattern:
            return "pattern";
        case Form::duration:
            return "duration";
        case Form::percent:
            return "percentage";
        case Form::byte_count:
            return "size";
        case Form::secret:
            return "secret reference";
        case Form::http_url:
        case Form::mail_server:
        case Form::repository_url:
            return "URL";
        case Form::mail:
            return "mail address";
        case Form::date:
            return "date or time";
        case Form::channel:
            return "channel";
        case Form::quorum:
            return "`\"1 of [team]\"`";
    }
    return "";
}

std::string_view word(ArgumentType type) {
    switch (type) {
        case ArgumentType::text:
            return "text";
        case ArgumentType::scalar:
            return "text or number";
        case ArgumentType::boolean:
            return "true or false";
        case ArgumentType::integer:
            return "number";
        case ArgumentType::duration:
            return "duration";
        case ArgumentType::secret:
            return "secret reference";
        case ArgumentType::texts:
            return "text or list";
        case ArgumentType::map:
            return "mapping";
        case ArgumentType::dataset:
            return "dataset";
        case ArgumentType::service:
            return "service";
        case ArgumentType::step:
            return "step";
        case ArgumentType::people:
            return "people and teams";
        case ArgumentType::path:
            return "absolute path";
    }
    return "";
}

// Makes the table of one mapping, and those of the mappings in it.
class DocsVisitor {
  public:
    using Tables = std::map<std::string, std::string>;

    DocsVisitor(Tables& tables, std::string path) : tables_(tables), path_(std::move(path)) {}

    template <typename T>
    void field(std::string_view key, T const& member, Field const& field) {
        auto path = path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
        rows_ += fmt::format("| `{}` | {}{} | {} |\n", key, type(member, field, path),
                             field.required ? ", **required**" : fallback(member), field.doc);
    }
    template <typename T>
    void whole(T const& member, Field const& field) {
        whole_ = type(member, field, path_);
    }
    template <typename T>
    void alone(T const& value, Field const& field, auto const&) {
        alone_ += (alone_.empty() ? "" : " or ") + type(value, field, path_);
    }
    void step(Step const&) {
        rows_ +=
            "| *kind* | mapping, **required** | What the step does: exactly one of the kinds "
            "below, with its "
            "arguments. |\n";
    }

    // What to call a value of this type; its table is made when it is a mapping.
    std::string finish() {
        if (!whole_.empty())
            return whole_;
        tables_[path_] = "| key | value | meaning |\n|---|---|---|\n" + rows_;
        return alone_.empty() ? "mapping" : fmt::format("mapping or {}", alone_);
    }

  private:
    std::string type(std::string const&, Field const& field, std::string const&) {
        return std::string(word(field.form));
    }
    std::string type(bool, Field const&, std::string const&) { return "true or false"; }
    std::string type(std::uint32_t, Field const&, std::string const&) { return "number"; }
    std::string type(Duration, Field const&, std::string const&) { return "duration"; }
    std::string type(Percent, Field const&, std::string const&) { return "percentage"; }
    std::string type(ByteCount, Field const&, std::string const&) { return "size"; }
    std::string type(SecretReference const&, Field const&, std::string const&) {
        return "secret reference";
    }
    std::string type(std::vector<std::string> const&, Field const& field, std::string const&) {
        return fmt::format("{} or list", word(field.form));
    }
    template <typename E>
    requires std::is_enum_v<E> std::string type(E, Field const&, std::string const&) {
        std::string text;
        for (auto value : kWords<E>)
            text += fmt::format("{}`{}`", text.empty() ? "" : ", ", value);
        return text;
    }
    template <typename T>
    std::string type(std::optional<T> const&, Field const& field, std::string const& path) {
        return type(T{}, field, path);
    }
    template <typename T>
    std::string type(std::vector<T> const&, Field const& field, std::string const& path) {
        return fmt::format("list of {}", type(T{}, field, path + "[]"));
    }
    template <typename T>
    std::string type(Named<T> const&, Field const& field, std::string const& path) {
        return fmt::format("names: {}", type(T{}, field, path + ".NAME"));
    }
    template <typename T>
    requires std::is_class_v<T> std::string type(T const&, Field const&, std::string const& path) {
        DocsVisitor visitor(tables_, path);
        T subject;
        describe(visitor, subject);
        return visitor.finish();
    }

    template <typename T>
    std::string fallback(T const& value) {
        if constexpr (std::is_same_v<T, bool>)
            return value ? " (true)" : " (false)";
        if constexpr (std::is_same_v<T, std::uint32_t>)
            return fmt::format(" ({})", value);
        if constexpr (std::is_same_v<T, Duration>)
            return fmt::format(" ({} s)", value / std::chrono::seconds(1));
        if constexpr (std::is_enum_v<T>)
            return fmt::format(" (`{}`)", kWords<T>[static_cast<std::size_t>(value)]);
        return "";
    }

    Tables& tables_;
    std::string path_, rows_, whole_, alone_;
};

std::string step_table(bool available) {
    std::string text;
    for (auto const& kind : step_kinds()) {
        if (kind.available != available)
            continue;
        text +=
            fmt::format("**`{}`**: {}{}\n\n| argument | value | meaning |\n|---|---|---|\n",
                        kind.name, kind.description, kind.idempotent ? "" : " *Not idempotent.*");
        for (auto const& argument : kind.arguments) {
            text += fmt::format("| `{}` | {}{} | {} |\n", argument.name, word(argument.type),
                                argument.required ? ", **required**" : "", argument.description);
        }
        if (!kind.outputs.empty()) {
            text += "\nLeaves";
            for (auto output : kind.outputs)
                text += fmt::format(" `{}`", output);
            text += ".\n";
        }
        text += "\n";
    }
    return text;
}

TEST(Docs, NameEveryKey) {
    DocsVisitor::Tables tables;
    DocsVisitor visitor(tables, "");
    Plan plan;
    describe(visitor, plan);
    static_cast<void>(visitor.finish());
    tables["steps"] = step_table(true);
    tables["steps, later"] = step_table(false);

    auto bytes = read_file(kPath, 1 << 20);
    ASSERT_TRUE(bytes) << kPath;
    auto text = std::string(as_text(*bytes));
    auto expected = text;
    for (auto const& [path, table] : tables) {
        auto mark = fmt::format("<!-- keys: {} -->\n", path);
        auto begin = expected.find(mark);
        auto end = expected.find("<!-- end -->", begin);
        EXPECT_NE(end, std::string::npos) << "the documentation has no " << mark;
        if (end == std::string::npos)
            continue;
        begin += mark.size();
        expected.replace(begin, end - begin, "\n" + table + "\n");
    }
    if (std::getenv("HOLDFAST_UPDATE_DOCS")) {
        ASSERT_TRUE(write_file_durably(kPath, as_bytes(expected), 0644));
        return;
    }
    EXPECT_EQ(text, expected) << "run this test with HOLDFAST_UPDATE_DOCS=1";
}

}  // namespace
}  // namespace holdfast::plan
