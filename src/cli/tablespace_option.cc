#include "cli/tablespace_option.h"

#include <fmt/format.h>

#include "base/text.h"

namespace holdfast::cli {

Result<std::map<std::string, std::string>> tablespace_map(Invocation const& invocation) {
    std::map<std::string, std::string> map;
    for (auto const& text : invocation.all("tablespace")) {
        auto equals = text.find('=');
        if (equals == std::string::npos)
            return fail(ErrorKind::usage, fmt::format("--tablespace: '{}' is not OLD=NEW", printable(text)));
        map[text.substr(0, equals)] = text.substr(equals + 1);
    }
    return map;
}

}  // namespace holdfast::cli
