#include "store/percent.h"

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/text.h"

namespace holdfast {

Result<std::string> decode_percent(std::string_view text) {
    std::string result;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            result += text[i];
            continue;
        }
        auto byte = from_hex([&] {
            std::string digits(text.substr(i + 1, 2));
            for (char& c : digits) {
                if (c >= 'A' && c <= 'F')
                    c = static_cast<char>(c - 'A' + 'a');
            }
            return digits;
        }());
        if (!byte || byte->size() != 1) {
            return fail(ErrorKind::usage,
                        fmt::format("store '{}': '%' is not followed by two hexadecimal digits",
                                    printable(text)));
        }
        result += static_cast<char>(byte->front());
        i += 2;
    }
    return result;
}

}  // namespace holdfast
