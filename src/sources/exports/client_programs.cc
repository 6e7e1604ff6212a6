#include "sources/exports/client_programs.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "base/text.h"
#include "sources/postgres/programs.h"

namespace holdfast::postgres {
namespace {

constexpr int kClientMajorMax = 17;
constexpr std::size_t kReasonBytesMax = 1000;

// Of what a program printed: the object at hand, errors, what the server added.
std::string reason_of(std::string const& program, std::string const& text) {
    std::vector<std::string> told;
    bool statement = false;
    for (auto const& line : split(text, '\n')) {
        auto const own = line.starts_with(program + ": ");
        // The statement may go on for many lines.
        if (own) statement = false;
        if (line.starts_with("Command was:") || line.find("detail: Command was:") != line.npos ||
            line.find("detail: Query was:") != line.npos)
            statement = true;
        if (statement || line.empty()) continue;
        auto const matters = !own || line.find(": error: ") != line.npos || line.find(": fatal: ") != line.npos ||
                             line.find(": detail: ") != line.npos || line.find("from TOC entry") != line.npos;
        if (matters) told.push_back(printable(line));
    }
    auto reason = join(told, "; ");
    if (reason.size() > kReasonBytesMax) reason = reason.substr(0, kReasonBytesMax) + "…";
    return reason;
}

}  // namespace

Result<std::string> find_client_program(int major, std::string const& program, std::stop_token stop) {
    auto own = find_program(major, program, stop);
    for (int later = major + 1; !own && later <= kClientMajorMax; ++later) {
        if (auto found = find_program(later, program, stop)) return found;
    }
    return own;
}

Result<int> program_major(std::string const& path, std::stop_token stop) {
    auto result = TRY(run_checked(client_command({path, "--version"}), stop));
    auto at = result.out.find("(PostgreSQL) ");
    auto major = at == result.out.npos ? 0 : std::atoi(result.out.c_str() + at + std::string_view("(PostgreSQL) ").size());
    if (major <= 0) return fail(ErrorKind::io, fmt::format("'{}' does not say its version", printable(path)));
    return major;
}

Command client_command(std::vector<std::string> argv) {
    Command command{.argv = std::move(argv)};
    command.environment["LC_ALL"] = "C";
    return command;
}

Error client_failure(std::string const& program, ProcessResult const& result) {
    auto reason = reason_of(program, result.err);
    auto how = result.signal ? fmt::format("ended by signal {}", result.signal) : fmt::format("exit code {}", result.exit_code);
    Error error{ErrorKind::check_failed, fmt::format("{}: {}{}{}", program, how, reason.empty() ? "" : ": ", reason), {}};
    if (reason.find("permission denied") != reason.npos)
        error.hint = "grant the role what it needs: a member of pg_read_all_data may read every table, but no large object";
    return error;
}

}  // namespace holdfast::postgres
