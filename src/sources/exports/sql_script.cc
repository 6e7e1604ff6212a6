#include "sources/exports/sql_script.h"

#include <fmt/format.h>

#include <cctype>

#include "base/text.h"

namespace holdfast::postgres {
namespace {

bool is_word(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || static_cast<unsigned char>(c) >= 0x80;
}

std::unexpected<Error> odd_script(std::string_view what) {
    return fail(ErrorKind::damaged, fmt::format("the script is not as pg_dumpall writes one: {}", what));
}

class Splitter {
  public:
    explicit Splitter(std::string_view script) : script_(script) {}

    Result<std::vector<SqlStatement>> run() {
        while (at_ < script_.size()) TRY(next());
        if (!statement_.tokens.empty()) return odd_script("its last statement has no end");
        return std::move(statements_);
    }

  private:
    bool at(std::string_view text) const { return script_.substr(at_).starts_with(text); }
    std::string_view line() const { return script_.substr(at_, script_.substr(at_).find('\n')); }

    Result<void> next() {
        auto const begin = at_;
        char const c = script_[at_];
        if (std::isspace(static_cast<unsigned char>(c))) {
            ++at_;
            return {};
        }
        if (at("--")) {
            at_ += line().size();
            return {};
        }
        if (c == '\\' && statement_.tokens.empty()) return command();
        if (statement_.tokens.empty()) begin_ = begin;
        if (c == '"') return quoted('"', SqlToken::Kind::identifier, false);
        if (c == '\'') return quoted('\'', SqlToken::Kind::string, false);
        if (at("E'")) {
            ++at_;
            return quoted('\'', SqlToken::Kind::string, true);
        }
        if (c == '$' || c == '\\') return odd_script(fmt::format("'{}' is not expected", c));
        if (is_word(c)) {
            while (at_ < script_.size() && is_word(script_[at_])) ++at_;
            statement_.tokens.push_back({SqlToken::Kind::word, std::string(script_.substr(begin, at_ - begin))});
            return {};
        }
        ++at_;
        statement_.tokens.push_back({SqlToken::Kind::sign, std::string(1, c)});
        if (c == ';') {
            statement_.text = script_.substr(begin_, at_ - begin_);
            statements_.push_back(std::exchange(statement_, {}));
        }
        return {};
    }

    Result<void> command() {
        auto text = line();
        if (!text.starts_with("\\restrict ") && !text.starts_with("\\unrestrict "))
            return odd_script(fmt::format("'{}'", printable(text.substr(0, 40))));
        at_ += text.size();
        return {};
    }

    Result<void> quoted(char quote, SqlToken::Kind kind, bool escapes) {
        std::string text;
        for (++at_; at_ < script_.size(); ++at_) {
            char const c = script_[at_];
            if (escapes && c == '\\' && at_ + 1 < script_.size()) {
                text += script_[++at_];
            } else if (c != quote) {
                text += c;
            } else if (at_ + 1 < script_.size() && script_[at_ + 1] == quote) {
                text += script_[++at_];
            } else {
                ++at_;
                statement_.tokens.push_back({kind, std::move(text)});
                return {};
            }
        }
        return odd_script("a quote has no end");
    }

    std::string_view script_;
    std::size_t at_ = 0, begin_ = 0;
    SqlStatement statement_;
    std::vector<SqlStatement> statements_;
};

}  // namespace

bool SqlStatement::begins_with(std::initializer_list<std::string_view> words) const {
    if (tokens.size() < words.size()) return false;
    auto token = tokens.begin();
    for (auto word : words) {
        if (token->kind != SqlToken::Kind::word || token->text != word) return false;
        ++token;
    }
    return true;
}

Result<std::vector<SqlStatement>> split_script(std::string_view script) { return Splitter(script).run(); }

std::string quote_name(std::string_view name) {
    std::string quoted = "\"";
    for (char c : name) {
        if (c == '"') quoted += '"';
        quoted += c;
    }
    return quoted + "\"";
}

}  // namespace holdfast::postgres
