#pragma once

#include <expected>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace holdfast {

// A value, or the reason why there is none. For all that the world can cause; our own mistakes are
// asserts.
template <typename T>
struct [[nodiscard]] Result : std::expected<T, Error> {
    using std::expected<T, Error>::expected;

    // Names what was being done, in front of the error's message.
    Result within(std::string_view outer) && {
        if (!this->has_value()) this->error() = std::move(this->error()).within(outer);
        return std::move(*this);
    }
};

inline std::unexpected<Error> fail(ErrorKind kind, std::string message, std::string hint = {}) {
    return std::unexpected<Error>(Error{kind, std::move(message), std::move(hint)});
}
inline std::unexpected<Error> fail(Error error) {
    return std::unexpected<Error>(std::move(error));
}

}  // namespace holdfast

// Yields the value of a Result, or returns its error from the enclosing function. It stands alone on
// a line or is the whole initializer, never inside braces or another call: g++ 12 leaks half-built
// aggregates there.
#define TRY(expression)                                                                   \
    __extension__({                                                                       \
        auto try_result_ = (expression);                                                  \
        if (!try_result_.has_value())                                                     \
            return std::unexpected<::holdfast::Error>(std::move(try_result_).error());    \
        std::move(try_result_).value();                                                   \
    })
