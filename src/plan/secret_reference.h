#pragma once

#include <stop_token>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace holdfast::plan {

// Where a secret is: `env:NAME`, `file:/absolute/path` or `command:program arguments`. A plan holds
// references only, so it can be printed, stored and mailed.
struct SecretReference {
    enum class From { env, file, command };
    From from = From::env;
    std::string target;

    friend bool operator==(SecretReference const&, SecretReference const&) = default;
};

// "file:/etc/holdfast/writer.key", as it is written in the plan.
std::string to_text(SecretReference const& reference);
// Refuses everything that is not a reference, without repeating it: it may be the secret itself.
Result<SecretReference> parse_secret_reference(std::string_view text);

struct ResolvedSecret {
    Bytes bytes;          // one trailing newline is dropped; the caller wipes them
    std::string warning;  // for the user, e.g. of a file that others can read; mostly empty
};

// Fetches the secret; a command runs without a shell, its words are separated by spaces. Fails with
// not_found when the variable, file or program does not exist, with usage when the secret is empty
// or larger than 1 MiB. Errors name the reference, never its content.
Result<ResolvedSecret> resolve(SecretReference const& reference, std::stop_token stop = {});

}  // namespace holdfast::plan
