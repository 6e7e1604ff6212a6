#include "plan/form.h"

#include <array>
#include <cassert>
#include <map>
#include <regex>

namespace holdfast::plan {
namespace {

#define HOLDFAST_UNIT \
    "(ms|s|secs?|seconds?|m|mins?|minutes?|h|hours?|d|days?|w|weeks?|months?|quarters?|y|years?)"
#define HOLDFAST_NAME "[A-Za-z0-9][A-Za-z0-9_-]{0,62}"

struct Entry {
    Form form;
    FormRule rule;
};

constexpr std::array kRules = {
    Entry{Form::text, {"", "a text"}},
    Entry{Form::free_text, {"", "a text"}},
    Entry{Form::scalar, {"", "a text or a number"}},
    Entry{Form::name, {"^" HOLDFAST_NAME "$", "a name of letters, digits, '-' and '_'"}},
    Entry{Form::path, {"^/", "an absolute path"}},
    Entry{Form::pattern, {"", "a pattern of file names"}},
    Entry{Form::duration,
          {"^(?=.*[1-9]|[^0-9]*$)([0-9]{1,9}(\\.[0-9]{1,6})? *)?" HOLDFAST_UNIT
           "( *[0-9]{1,9}(\\.[0-9]{1,6})? *" HOLDFAST_UNIT ")*$",
           "a duration such as 15m, 1h30m, 2d or 3 months"}},
    Entry{Form::percent, {"^[+-]?[0-9]{1,6}(\\.[0-9]{1,6})?%$", "a percentage such as 1% or +20%"}},
    Entry{Form::byte_count,
          {"^[0-9]{1,15}(\\.[0-9]{1,2})? ?(B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)$",
           "a size such as 256 MiB or 1.5 GB"}},
    Entry{Form::secret,
          {"^(env:[A-Za-z_][A-Za-z0-9_]*|file:/.+|command:.+)$",
           "a reference to a secret: env:NAME, file:/absolute/path or command:..."}},
    Entry{Form::http_url, {"^https?://[^/\\s@]+(/\\S*)?$", "a URL: https://host/path"}},
    Entry{Form::mail_server,
          {"^smtps?://[^/\\s@]+$", "a mail server: smtp://host:587 or smtps://host"}},
    Entry{Form::repository_url,
          {"^(/.*|file:///.*|s3://[^/\\s@?]+(/[^\\s?]*)?(\\?\\S*)?)$",
           "an absolute path, file:///path or s3://bucket/prefix?region=..."}},
    Entry{Form::mail, {"^[^\\s@<>,;]+@[^\\s@<>,;]+$", "a mail address"}},
    Entry{Form::date,
          {"^[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]+)?"
           "([Zz]|[+-][0-9]{2}:[0-9]{2}))?$",
           "a day such as 2026-11-22, or a time such as 2026-11-22T10:31:07Z"}},
    Entry{Form::channel,
          {"^(mail|phone|status-page|webhook:" HOLDFAST_NAME ")$",
           "a channel: mail, phone, status-page or webhook:NAME"}},
    Entry{Form::quorum,
          {"^([1-9][0-9]? of )?(" HOLDFAST_NAME "|\\[ *" HOLDFAST_NAME "( *, *" HOLDFAST_NAME
           ")* *\\])$",
           "an approval such as \"1 of [team]\""}},
};

}  // namespace

FormRule const& rule(Form form) {
    auto const& entry = kRules[static_cast<std::size_t>(form)];
    assert(entry.form == form);
    return entry.rule;
}

bool matches(Form form, std::string_view text) {
    if (text.empty())
        return form == Form::free_text;
    auto expression = rule(form).expression;
    if (expression.empty())
        return true;
    if (text.size() > kFormBytesMax)
        return false;  // std::regex recurses by the character
    static thread_local std::map<Form, std::regex> compiled;
    auto found = compiled.find(form);
    if (found == compiled.end()) {
        auto flags = std::regex::ECMAScript | std::regex::optimize;
        found = compiled.emplace(form, std::regex(std::string(expression), flags)).first;
    }
    return std::regex_search(text.begin(), text.end(), found->second);
}

}  // namespace holdfast::plan
