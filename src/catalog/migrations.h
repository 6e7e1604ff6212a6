#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "catalog/database.h"
#include "os/clock.h"

namespace holdfast::catalog {

// One step of the schema. A released step never changes; the next one is appended.
struct Migration {
    std::int64_t version;  // 1, 2, 3…
    std::string_view name;
    std::string_view sql;
};

std::span<Migration const> migrations();

// Brings the schema up to the last of `steps`, each in a transaction of its own, so that after a
// crash the next open goes on. Fails with `usage` ("newer") when the file knows a version that
// `steps` does not, with `unsafe` when it is another program's database.
Result<void> migrate(Database& database, std::span<Migration const> steps, Clock& clock);

}  // namespace holdfast::catalog
