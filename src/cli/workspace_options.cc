#include "cli/workspace_options.h"

#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>

#include "base/text.h"
#include "os/file.h"
#include "os/process.h"
#include "os/terminal.h"

namespace holdfast::cli {
namespace {

constexpr std::size_t kPasswordBytesMax = 64 << 10;
constexpr char kPasswordVariable[] = "HOLDFAST_PASSWORD";

std::optional<Secret>& password_of_environment() {
    static std::optional<Secret> password;
    return password;
}

// One trailing newline is the file's, not the password's.
Result<Secret> password_of(Bytes bytes, std::string_view from) {
    auto view = ByteView(bytes);
    if (!view.empty() && view.back() == '\n') view = view.first(view.size() - 1);
    Secret secret(view);
    wipe(bytes);
    if (secret.empty()) return fail(ErrorKind::usage, fmt::format("the password from {} is empty", from));
    return secret;
}

Result<Secret> run_password_command(std::string const& command, std::stop_token stop) {
    holdfast::Command shell{.argv = {"/bin/sh", "-c", command}, .output_bytes_max = kPasswordBytesMax};
    auto result = TRY(run_checked(shell, stop).within("--password-command"));
    auto bytes = to_bytes(result.out);
    wipe(result.out);
    return password_of(std::move(bytes), "--password-command");
}

// "off", or a whole number of per cent.
Result<unsigned> parity_option(std::string_view text) {
    if (text == "off") return 0U;
    unsigned percent = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), percent);
    auto rest = text.substr(static_cast<std::size_t>(end - text.data()));
    if (error != std::errc() || (!rest.empty() && rest != "%") || percent > kParityPercentMax) {
        return fail(ErrorKind::usage, fmt::format("--parity {}: must be off, or 1% to {}%", printable(text), kParityPercentMax));
    }
    return percent;
}

std::string default_plan() {
    for (auto const* path : {"holdfast.yaml", "/etc/holdfast/holdfast.yaml"}) {
        std::error_code ignored;
        if (std::filesystem::exists(path, ignored)) return path;
    }
    return "";
}

}  // namespace

void take_password_from_environment() {
    auto* value = std::getenv(kPasswordVariable);
    if (value == nullptr) return;
    auto size = std::char_traits<char>::length(value);
    if (size > 0) password_of_environment() = Secret(as_bytes({value, size}));
    wipe({reinterpret_cast<std::uint8_t*>(value), size});
    unsetenv(kPasswordVariable);
}

Result<WorkspaceOptions> workspace_options(Invocation& invocation) {
    WorkspaceOptions options;
    options.plan_file = invocation.value("plan").value_or("");
    options.repository_url = invocation.value("repo").value_or("");
    // A repository that is named works without any plan; one that was not asked for can't be in the way.
    if (options.plan_file.empty() && options.repository_url.empty()) options.plan_file = default_plan();
    if (options.repository_url.empty()) {
        if (auto const* url = std::getenv("HOLDFAST_REPOSITORY")) options.repository_url = url;
    }
    auto state = invocation.value("state");
    options.state = state ? std::filesystem::path(*state) : default_state();
    options.cache = default_cache();
    if (invocation.has("parity")) options.parity_percent = TRY(parity_option(*invocation.value("parity")));
    options.accept_rollback = invocation.has("accept-rollback");
    options.notice = warn_to(invocation.output);

    auto& credentials = options.credentials;
    credentials.key_file = invocation.value("key").value_or("");
    if (auto file = invocation.value("password-file")) {
        auto bytes = TRY(read_file(*file, kPasswordBytesMax).within("password file"));
        credentials.password = TRY(password_of(std::move(bytes), "'" + printable(*file) + "'"));
    } else if (auto command = invocation.value("password-command")) {
        credentials.password = TRY(run_password_command(*command, invocation.stop));
    } else if (auto& password = password_of_environment()) {
        credentials.password = password->clone();
    }
    if (is_terminal(2) && is_terminal(0)) {
        credentials.ask = [stop = invocation.stop](std::string const& prompt) -> Result<Secret> {
            auto typed = TRY(read_password({.text = prompt + ": "}, stop));
            Secret secret(typed);
            wipe(typed);
            return secret;
        };
    }
    return options;
}

Result<std::unique_ptr<Workspace>> open_workspace(Invocation& invocation) {
    auto options = TRY(workspace_options(invocation));
    return Workspace::open(std::move(options));
}

Result<Secret> new_password(Workspace const& workspace) {
    auto password = TRY(workspace.password("New password of the repository"));
    if (password.empty()) return fail(ErrorKind::usage, "an empty password protects nothing");
    if (workspace.asks_for_password()) {
        auto again = TRY(workspace.password("The same again"));
        if (!again.equals(password.view())) return fail(ErrorKind::usage, "the two passwords differ");
    }
    return password;
}

Result<Secret> second_password(Invocation const& invocation, std::string const& prompt) {
    if (auto file = invocation.value("new-password-file")) {
        auto bytes = TRY(read_file(*file, kPasswordBytesMax).within("new password file"));
        return password_of(std::move(bytes), "'" + printable(*file) + "'");
    }
    if (!is_terminal(2) || !is_terminal(0)) {
        return fail(ErrorKind::usage, "a new password is needed, and there is no terminal to ask for it",
                    "give --new-password-file FILE");
    }
    auto ask = [&](std::string const& text) -> Result<Secret> {
        auto typed = TRY(read_password({.text = text + ": "}, invocation.stop));
        Secret secret(typed);
        wipe(typed);
        return secret;
    };
    auto password = TRY(ask(prompt));
    if (password.empty()) return fail(ErrorKind::usage, "an empty password protects nothing");
    auto again = TRY(ask("The same again"));
    if (!again.equals(password.view())) return fail(ErrorKind::usage, "the two passwords differ");
    return password;
}

Warn warn_to(Output& output) {
    return [&output](std::string const& text) { output.warning(text); };
}

}  // namespace holdfast::cli
