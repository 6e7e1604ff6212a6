#include "plan/secret_reference.h"

#include <chrono>
#include <cstdlib>
#include <fmt/format.h>
#include <sys/stat.h>

#include "base/text.h"
#include "os/file.h"
#include "os/process.h"

namespace holdfast::plan {
namespace {

constexpr std::size_t kSecretBytesMax = 1 << 20;

struct SecretScheme {
    SecretReference::From from;
    std::string_view prefix;
};
constexpr SecretScheme kSecretSchemes[] = {
    {SecretReference::From::env, "env:"},
    {SecretReference::From::file, "file:"},
    {SecretReference::From::command, "command:"},
};

Result<ResolvedSecret> from_environment(std::string const& name) {
    auto const* value = std::getenv(name.c_str());
    if (value == nullptr)
        return fail(ErrorKind::not_found, "the variable is not set");
    return ResolvedSecret{.bytes = to_bytes(value), .warning = {}};
}

Result<ResolvedSecret> from_file(std::string const& path) {
    ResolvedSecret secret;
    secret.bytes = TRY(read_file(path, kSecretBytesMax));
    struct stat status {};
    bool is_file = ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode);
    if (is_file && (status.st_mode & 0077) != 0) {
        secret.warning = fmt::format("others than its owner can read '{}': chmod 600 it", path);
    }
    return secret;
}

Result<ResolvedSecret> from_command(std::string const& line, std::stop_token stop) {
    Command command;
    for (auto& word : split(line, ' ')) {
        if (!word.empty())
            command.argv.push_back(std::move(word));
    }
    command.timeout = std::chrono::seconds(60);
    command.output_bytes_max = kSecretBytesMax + 1;
    auto result = TRY(run_checked(command, stop));
    return ResolvedSecret{.bytes = to_bytes(result.out), .warning = {}};
}

Result<ResolvedSecret> fetch(SecretReference const& reference, std::stop_token stop) {
    switch (reference.from) {
        case SecretReference::From::env:
            return from_environment(reference.target);
        case SecretReference::From::file:
            return from_file(reference.target);
        case SecretReference::From::command:
            return from_command(reference.target, stop);
    }
    return fail(ErrorKind::internal, "unknown kind of reference");
}

}  // namespace

std::string to_text(SecretReference const& reference) {
    return std::string(kSecretSchemes[static_cast<std::size_t>(reference.from)].prefix) +
           reference.target;
}

Result<SecretReference> parse_secret_reference(std::string_view text) {
    for (auto const& scheme : kSecretSchemes) {
        if (!text.starts_with(scheme.prefix) || text.size() == scheme.prefix.size())
            continue;
        auto target = text.substr(scheme.prefix.size());
        if (scheme.from == SecretReference::From::file && !target.starts_with('/'))
            break;
        return SecretReference{scheme.from, std::string(target)};
    }
    return fail(ErrorKind::usage, "not a reference to a secret",
                "write env:NAME, file:/absolute/path or command:..., never the secret itself");
}

Result<ResolvedSecret> resolve(SecretReference const& reference, std::stop_token stop) {
    auto name = fmt::format("secret {}", to_text(reference));
    auto secret = TRY(fetch(reference, stop).within(name));
    auto& bytes = secret.bytes;
    if (!bytes.empty() && bytes.back() == '\n')
        bytes.pop_back();
    if (bytes.empty())
        return fail(ErrorKind::usage, name + ": it is empty");
    if (bytes.size() > kSecretBytesMax)
        return fail(ErrorKind::usage, name + ": it is larger than 1 MiB");
    return secret;
}

}  // namespace holdfast::plan
