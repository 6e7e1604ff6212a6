#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace holdfast::postgres {

struct SqlToken {
    enum class Kind { word, identifier, string, sign };  // identifier: one in quotes
    Kind kind = Kind::sign;
    std::string text;  // without quotes; of a sign its character
    bool operator==(SqlToken const&) const = default;
    // A name, in quotes or not.
    bool is_name() const { return kind == Kind::word || kind == Kind::identifier; }
};
struct SqlStatement {
    std::string text;  // with its ';', without comments before it
    std::vector<SqlToken> tokens;

    bool begins_with(std::initializer_list<std::string_view> words) const;
};

// The statements of a script as pg_dumpall writes them: names in quotes may hold everything, line feeds and ';'
// included. psql's \restrict and \unrestrict are passed over. `damaged` on any other command of psql (\connect, \!),
// dollar quotes, and quotes or a statement without an end.
Result<std::vector<SqlStatement>> split_script(std::string_view script);

// "it""s": a name in SQL, whatever the bytes (no NUL).
std::string quote_name(std::string_view name);

}  // namespace holdfast::postgres
