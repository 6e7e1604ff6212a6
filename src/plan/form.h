#pragma once

#include <string>
#include <string_view>

namespace holdfast::plan {

// What a text in the plan must look like. The reader and the JSON Schema use the same expression,
// so they can't disagree.
enum class Form {
    text,       // anything but nothing
    free_text,  // anything, also nothing; a number or boolean counts as its text
    scalar,     // a text, number or boolean, but not nothing
    name,       // what things of the plan are called
    path,       // an absolute path
    pattern,    // of file names: *.tmp
    duration,
    percent,
    byte_count,
    secret,  // a SecretReference
    http_url,
    mail_server,
    repository_url,
    mail,
    date,     // a day or an RFC 3339 time
    channel,  // of a communication
    quorum,   // "1 of [team]"
};

struct FormRule {
    std::string_view expression;   // ECMAScript; empty: every text
    std::string_view description;  // follows "must be"
};

FormRule const& rule(Form form);
bool matches(Form form, std::string_view text);

// Longer texts match no form.
inline constexpr std::size_t kFormBytesMax = 4096;

}  // namespace holdfast::plan
