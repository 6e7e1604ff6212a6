#include "sources/postgres/amcheck.h"

#include <fmt/format.h>

#include "base/text.h"
#include "os/process.h"
#include "sources/postgres/programs.h"

namespace holdfast::postgres {
namespace {

constexpr std::size_t kOutputShown = 1000;
// pg_amcheck's documented exit codes.
constexpr int kNoCorruption = 0, kCorruption = 2;

std::string shown(std::string const& out, std::string const& err) {
    auto text = printable(out.empty() ? err : out);
    if (text.size() <= kOutputShown) return text;
    text.resize(kOutputShown);
    return text += "…";
}

// The option takes a pattern: within quotes a name means itself.
std::string exact_pattern(std::string const& name) {
    std::string pattern = "\"";
    for (char c : name) pattern += c == '"' ? std::string("\"\"") : std::string(1, c);
    return pattern + "\"";
}

Result<bool> has_extension(IsolatedCluster const& cluster, std::string const& database, std::stop_token stop) {
    auto rows = TRY(cluster.query("SELECT count(*) FROM pg_extension WHERE extname = 'amcheck'", {.database = database}, stop));
    return rows.rows.at(0).at(0) == "1";
}

Result<Finding> check_database(IsolatedCluster const& cluster, std::string const& program, std::string const& database,
                               AmcheckOptions options, std::stop_token stop) {
    Finding finding{"database " + printable(database), Finding::Verdict::not_verified, {}};
    bool ready = options.install_missing;
    if (!ready) ready = TRY(has_extension(cluster, database, stop));
    if (!ready) {
        finding.detail = "the extension amcheck is not installed in it";
        return finding;
    }
    Command command{.argv = {program, "--host", cluster.socket_directory(), "--port", fmt::format("{}", cluster.port()),
                             "--username", cluster.user(), "--no-password", "--jobs", fmt::format("{}", options.jobs),
                             "--heapallindexed", "--maintenance-db", "template1"}};
    if (options.install_missing) command.argv.push_back("--install-missing");
    command.argv.push_back("--database");
    command.argv.push_back(exact_pattern(database));
    command.environment["LC_ALL"] = "C";
    command.environment_removed = {"PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGSERVICE", "PGOPTIONS"};
    auto result = TRY(run(command, stop));
    if (result.signal == 0 && result.exit_code == kNoCorruption && result.err.empty()) {
        finding.verdict = Finding::Verdict::verified;
        finding.detail = "pg_amcheck finds no corruption in tables and indexes";
    } else if (result.signal == 0 && result.exit_code == kCorruption) {
        finding.verdict = Finding::Verdict::damaged;
        finding.detail = shown(result.out, result.err);
    } else {
        finding.detail = fmt::format("pg_amcheck ended with code {}: {}", result.exit_code, shown(result.err, result.out));
    }
    return finding;
}

}  // namespace

Result<std::vector<Finding>> run_amcheck(IsolatedCluster const& cluster, AmcheckOptions options, std::stop_token stop) {
    std::vector<Finding> findings;
    auto databases = TRY(cluster.databases(stop));
    auto program = find_program(cluster.major(), "pg_amcheck", stop);
    for (auto const& database : databases) {
        if (!program) {
            findings.push_back({"database " + printable(database), Finding::Verdict::not_verified, program.error().message});
            continue;
        }
        auto finding = TRY(check_database(cluster, *program, database, options, stop));
        findings.push_back(std::move(finding));
    }
    return findings;
}

}  // namespace holdfast::postgres
