#pragma once

#include <mutex>
#include <utility>

#include "catalog/catalog.h"
#include "catalog/database.h"

// What the files that implement Catalog share.
namespace holdfast::catalog {

struct Catalog::State {
    State(Database database, Clock& clock) : database(std::move(database)), clock(clock) {}

    std::mutex mutex;  // guards the connection
    Database database;
    Clock& clock;
};

// All rows, each read by `read(Statement&) -> Result<T>`.
template <typename T, typename Read>
Result<std::vector<T>> collect(Statement& rows, Read const& read) {
    std::vector<T> all;
    for (;;) {
        bool more = TRY(rows.next());
        if (!more)
            return all;
        T one = TRY(read(rows));
        all.push_back(std::move(one));
    }
}

// The first row; nothing when there is none.
template <typename T, typename Read>
Result<std::optional<T>> first(Statement& rows, Read const& read) {
    bool found = TRY(rows.next());
    if (!found)
        return std::nullopt;
    T one = TRY(read(rows));
    return std::optional<T>(std::move(one));
}

// The word of an enumeration in the file, back to its value.
template <typename T, std::size_t count>
Result<T> from_text(std::string_view text, std::array<T, count> const& values) {
    for (auto value : values) {
        if (to_text(value) == text)
            return value;
    }
    return fail(ErrorKind::damaged, "catalog: unknown word '" + std::string(text) + "'",
                "it was changed by hand, or by a newer version");
}

inline constexpr std::array kRunKinds = {RunKind::backup,  RunKind::restore, RunKind::verify,
                                         RunKind::recover, RunKind::drill,   RunKind::rescue};
inline constexpr std::array kRunOutcomes = {RunOutcome::running,     RunOutcome::done,
                                            RunOutcome::partial,     RunOutcome::failed,
                                            RunOutcome::interrupted, RunOutcome::needs_decision};
inline constexpr std::array kPointStates = {PointState::ok, PointState::partial,
                                            PointState::suspect, PointState::damaged,
                                            PointState::unconfirmed};

}  // namespace holdfast::catalog
