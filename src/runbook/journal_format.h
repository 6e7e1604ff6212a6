#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runbook/journal.h"

// The bytes of a journal. Pure functions.
namespace holdfast::runbook {

// What the first record's hash follows.
Hash32 first_hash(std::string_view run);

// The line of a record, with its newline; `hash` becomes the record's.
std::string encode(Record const& record, Hash32& hash);

struct DecodedJournal {
    std::vector<Record> records;
    Hash32 hash{};                 // of the last record
    std::vector<Hash32> hashes;    // of each
    std::size_t good_bytes = 0;    // of the file, up to the end of the last record
    bool newline_missing = false;  // the last record is complete but for its newline
};

// Reads a journal. What follows the last newline is a record that was cut off while it was written,
// and is left out. Everything else that does not fit is `damaged`; a later format is `usage`
// ("newer").
Result<DecodedJournal> decode(std::string_view bytes, std::string_view run);

}  // namespace holdfast::runbook
