#include "sources/postgres/cluster.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "base/text.h"
#include "base/units.h"
#include "os/child_process.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/users.h"
#include "sources/postgres/data_directory.h"
#include "sources/postgres/isolation.h"
#include "sources/postgres/private_directory.h"
#include "sources/postgres/programs.h"

namespace holdfast::postgres {
namespace {

namespace fs = std::filesystem;
constexpr auto kReadyCheck = std::chrono::milliseconds(50);
constexpr std::uint64_t kLogTail = 64 << 10;
constexpr std::ptrdiff_t kReasonLines = 5;
constexpr std::size_t kSocketPathMax = 107;  // sockaddr_un

// Everything here is reached through the socket's directory, which nobody else can enter.
constexpr std::string_view kHba = "# Holdfast: an isolated cluster\nlocal all all trust\n";

std::string quote_conninfo(std::string_view value) {
    std::string quoted = "'";
    for (char c : value) {
        if (c == '\'' || c == '\\') quoted += '\\';
        quoted += c;
    }
    return quoted + "'";
}

// Who the server runs as: nobody else's files could be read, and root is refused by PostgreSQL.
Result<std::optional<UserId>> choose_user(fs::path const& data) {
    struct stat status;
    if (::stat(data.c_str(), &status) != 0)
        return fail(errno_error(fmt::format("look at '{}'", printable(data.native())), errno));
    if (::geteuid() != 0) return std::optional<UserId>();
    if (status.st_uid == 0)
        return fail(ErrorKind::usage, fmt::format("'{}' belongs to root, as whom PostgreSQL does not run", printable(data.native())),
                    "give it to the user postgres: chown -R postgres: DIRECTORY");
    auto user = TRY(lookup_user(status.st_uid));
    return std::optional(std::move(user));
}

Result<void> check_reachable(fs::path const& data, std::optional<UserId> const& user, std::stop_token stop) {
    if (!user) return {};
    auto control = data / "global" / "pg_control";
    auto result = TRY(run({.argv = {"test", "-r", control}, .directory = "/", .user = user}, stop));
    if (result.success()) return {};
    return fail(ErrorKind::usage, fmt::format("user '{}' can't reach '{}'", user->name, printable(data.native())),
                "every directory above it must let that user through (chmod o+x), or use another place");
}

// Variables by which an environment could lead the server or its libraries elsewhere.
std::vector<std::string> libpq_variables() {
    return {"PGDATA", "PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD", "PGPASSFILE",
            "PGSERVICE", "PGSERVICEFILE", "PGOPTIONS", "PGSSLMODE", "PGSSLCERT", "PGSSLKEY", "PGSSLROOTCERT"};
}

// The command that runs the server without any network, when this system lets us make one.
std::optional<Command> without_network(Command const& server, std::stop_token stop) {
    auto isolated = server;
    std::vector<std::string> prefix;
    if (server.user) {
        // Leaving root behind clears the signal that ends the server with us: setpriv sets it again.
        prefix = {"unshare", "--net", "--", "setpriv", "--reuid", fmt::format("{}", server.user->uid), "--regid",
                  fmt::format("{}", server.user->gid), "--init-groups", "--pdeathsig", "KILL", "--"};
        isolated.environment["HOME"] = server.user->home;
        isolated.environment["USER"] = isolated.environment["LOGNAME"] = server.user->name;
        isolated.user.reset();
    } else {
        prefix = {"unshare", "--user", "--map-current-user", "--net", "--"};
    }
    auto probe = isolated;
    probe.argv = prefix;
    probe.argv.push_back("true");
    auto result = run(probe, stop);
    if (!result || !result->success()) return std::nullopt;
    isolated.argv.insert(isolated.argv.begin(), prefix.begin(), prefix.end());
    return isolated;
}

// Why a server ended: its last fatal lines, or its last lines when it left no such.
std::string reason_in(std::string const& log) {
    auto lines = split(log, '\n');
    auto tell = [&](auto const& wanted) {
        std::vector<std::string> told;
        for (auto const& line : lines)
            if (!line.empty() && wanted(line)) told.push_back(printable(line));
        if (std::ssize(told) > kReasonLines) told.erase(told.begin(), told.end() - kReasonLines);
        return join(told, "; ");
    };
    auto fatal = tell([](std::string const& line) {
        return line.find("FATAL:") != line.npos || line.find("PANIC:") != line.npos;
    });
    return fatal.empty() ? tell([](std::string const&) { return true; }) : fatal;
}

}  // namespace

struct IsolatedCluster::State {
    ClusterOptions options;
    PgControl control;
    int major = 0;
    std::optional<UserId> user;
    // The server goes before its directory.
    PrivateDirectory directory;
    std::unique_ptr<ChildProcess> server;
    int port = 0;
    bool recovering = false;
    std::string role;
    Duration time_to_ready{};
    bool network_isolated = false;
    Command bare;           // the server's command, before the network was taken away
    bool no_role = false;   // the server answers, and has none of the roles that we tried

    std::string conninfo(std::string const& database, std::string const& as) const {
        return fmt::format("host={} port={} dbname={} user={} sslmode=disable gssencmode=disable",
                           quote_conninfo(directory.path()), port, quote_conninfo(database), quote_conninfo(as));
    }
    std::string log_tail() const;
    Result<void> inspect(std::stop_token stop);
    Result<void> launch(std::stop_token stop);
    Result<void> wait_until_ready(std::stop_token stop);
    Result<bool> try_connect(std::stop_token stop);
    Result<std::string> bootstrap_superuser(std::stop_token stop);
    Result<void> check_guards(std::stop_token stop);
};

IsolatedCluster::IsolatedCluster() : state_(std::make_unique<State>()) {}
IsolatedCluster::~IsolatedCluster() {
    if (state_->server) state_->server->terminate(SIGINT, state_->options.stop_grace);
}

std::string IsolatedCluster::State::log_tail() const {
    auto file = open_file(directory.path() + "/server.log", O_RDONLY);
    if (!file) return {};
    auto size = static_cast<std::uint64_t>(std::max<off_t>(::lseek(file->get(), 0, SEEK_END), 0));
    Bytes tail(std::min(size, kLogTail));
    auto count = pread_full(*file, tail, size - tail.size());
    return count ? to_text(ByteView(tail).first(*count)) : std::string();
}

Result<void> IsolatedCluster::State::inspect(std::stop_token stop) {
    auto const& data = options.data;
    auto shown = printable(data.native());
    auto version = read_file(data / "PG_VERSION", 64);
    if (!version && version.error().kind == ErrorKind::not_found)
        return fail(ErrorKind::not_found, fmt::format("'{}' holds no PostgreSQL cluster", shown));
    if (!version) return fail(std::move(version).error());
    major = TRY(parse_pg_version_file(as_text(*version)));
    auto found = TRY(inspect_directory(data));
    if (found.server)
        return fail(ErrorKind::unsafe, fmt::format("a PostgreSQL server runs in '{}' (process {})", shown, *found.server));
    if (found.kind == DirectoryState::Kind::interrupted_restore)
        return fail(ErrorKind::unsafe, fmt::format("the restore into '{}' is not finished", shown),
                    "run the restore again: it goes on where it was");
    auto bytes = TRY(read_file(data / "global" / "pg_control", 1 << 16));
    control = TRY(parse_pg_control(bytes));
    std::error_code ignored;
    recovering = fs::exists(data / "recovery.signal", ignored);
    user = TRY(choose_user(data));
    return check_reachable(data, user, stop);
}

Result<void> IsolatedCluster::State::launch(std::stop_token stop) {
    auto program = TRY(find_program(major, "postgres", stop));
    directory = TRY(PrivateDirectory::make(fs::temp_directory_path(), user));
    port = 50000 + static_cast<int>(::getpid() % 10000);
    auto socket = fmt::format("{}/.s.PGSQL.{}", directory.path(), port);
    if (socket.size() > kSocketPathMax)
        return fail(ErrorKind::usage, fmt::format("the path of the socket is too long: '{}'", socket),
                    "set TMPDIR to a shorter path");
    TRY(directory.write("postgresql.conf", "# Holdfast: all settings are on the command line\n", user));
    TRY(directory.write("pg_hba.conf", kHba, user));
    TRY(directory.write("pg_ident.conf", "", user));

    IsolationOptions isolation{.major = major,
                               .data = options.data,
                               .directory = directory.path(),
                               .port = port,
                               .restore_command = options.restore_command,
                               .recovering = recovering,
                               .preload_libraries = options.preload_libraries,
                               .shared_buffers_bytes = options.shared_buffers_bytes,
                               .disposable = options.disposable};
    Command command{.argv = {program, "-D", options.data}, .environment_removed = libpq_variables(),
                    .directory = "/", .user = user};
    for (auto const& [name, value] : isolation_settings(isolation, control)) {
        command.argv.push_back("-c");
        command.argv.push_back(name + "=" + value);
    }
    bare = command;
    if (auto isolated = without_network(command, stop)) {
        command = std::move(*isolated);
        network_isolated = true;
    }
    server = TRY(ChildProcess::start(std::move(command), {.output_path = directory.path() + "/server.log",
                                                          .stop_signal = SIGINT,
                                                          .stop_grace = options.stop_grace}));
    return {};
}

// False: not yet.
Result<bool> IsolatedCluster::State::try_connect(std::stop_token stop) {
    std::vector<std::string> roles = options.users;
    roles.push_back("postgres");
    no_role = true;
    roles.push_back(user ? user->name : user_name(::geteuid()).value_or("postgres"));
    for (auto const& candidate : roles) {
        // template1 is there in every cluster, whatever was dropped.
        auto connection = Connection::connect(conninfo("template1", candidate), {}, stop);
        if (!connection && connection.error().kind == ErrorKind::cancelled) return fail(std::move(connection).error());
        if (!connection) {
            auto const& message = connection.error().message;
            no_role = no_role && message.find("role \"") != message.npos && message.ends_with("does not exist");
            continue;
        }
        role = candidate;
        return true;
    }
    return false;
}

// The name of the role that initdb made, whatever it was called: its id is 10 in every cluster
// (BOOTSTRAP_SUPERUSERID). Asked in single-user mode, which needs no role, while the server is down.
Result<std::string> IsolatedCluster::State::bootstrap_superuser(std::stop_token stop) {
    auto single = bare;
    single.argv.insert(single.argv.begin() + 1, "--single");
    single.argv.push_back("template1");
    single.input = to_bytes("select rolname from pg_authid where oid = 10\n");
    auto result = TRY(run_checked(single, stop).within("ask the restored cluster for its superuser"));
    constexpr std::string_view kBefore = "rolname = \"", kAfter = "\"\t(typeid";
    auto begin = result.out.find(kBefore);
    auto end = begin == result.out.npos ? begin : result.out.find(kAfter, begin);
    if (end == result.out.npos) return fail(ErrorKind::check_failed, "the restored cluster has no superuser");
    begin += kBefore.size();
    return result.out.substr(begin, end - begin);
}

Result<void> IsolatedCluster::State::wait_until_ready(std::stop_token stop) {
    auto const begun = system_clock().elapsed();
    bool asked = false;
    for (;;) {
        bool connected = TRY(try_connect(stop));
        if (connected) {
            time_to_ready = system_clock().elapsed() - begun;
            return {};
        }
        if (no_role && !asked) {
            asked = true;
            server->terminate(SIGINT, options.stop_grace);
            options.users.push_back(TRY(bootstrap_superuser(stop)));
            TRY(launch(stop));
            continue;
        }
        auto ended = server->wait(kReadyCheck, stop);
        if (stop.stop_requested()) return fail(ErrorKind::cancelled, "the restored cluster: stopped while it was starting");
        auto log = [&] { return reason_in(log_tail()); };
        if (ended)
            return fail(ErrorKind::check_failed,
                        fmt::format("the restored cluster does not start (exit code {}): {}", ended->exit_code, log()));
        if (system_clock().elapsed() - begun > options.ready_timeout)
            return fail(ErrorKind::check_failed, fmt::format("the restored cluster is not ready after {}: {}",
                                                             format_duration(options.ready_timeout), log()));
    }
}

// Reads back what keeps the cluster from reaching anything.
Result<void> IsolatedCluster::State::check_guards(std::stop_token stop) {
    IsolationOptions isolation{.major = major,
                               .data = options.data,
                               .directory = directory.path(),
                               .port = port,
                               .restore_command = options.restore_command,
                               .recovering = recovering,
                               .preload_libraries = options.preload_libraries,
                               .shared_buffers_bytes = options.shared_buffers_bytes,
                               .disposable = options.disposable};
    auto expected = isolation_settings(isolation, control);
    auto connection = TRY(Connection::connect(conninfo("template1", role), {}, stop));
    for (auto const& guard : isolation_guards(major)) {
        auto value = TRY(connection.query_value("SHOW " + guard, stop));
        if (value != expected.at(guard))
            return fail(ErrorKind::unsafe, fmt::format("the restored cluster is not isolated: {} is '{}'", guard, printable(value)),
                        "this is a fault of Holdfast: report it; the cluster was stopped");
    }
    return {};
}

Result<std::unique_ptr<IsolatedCluster>> IsolatedCluster::start(ClusterOptions options, std::stop_token stop) {
    std::unique_ptr<IsolatedCluster> cluster(new IsolatedCluster);
    auto& state = *cluster->state_;
    state.options = std::move(options);
    state.options.data = fs::absolute(state.options.data).lexically_normal();
    TRY(state.inspect(stop));
    TRY(state.launch(stop));
    TRY(state.wait_until_ready(stop));
    TRY(state.check_guards(stop));
    return cluster;
}

Result<void> IsolatedCluster::stop() {
    if (!state_->server) return {};
    auto result = state_->server->terminate(SIGINT, state_->options.stop_grace);
    auto reason = result.success() ? std::string() : reason_in(log());
    state_->server.reset();
    if (result.success()) return {};
    return fail(ErrorKind::check_failed,
                fmt::format("the restored cluster did not stop cleanly (exit code {}): {}", result.exit_code, reason));
}

Duration IsolatedCluster::time_to_ready() const { return state_->time_to_ready; }
bool IsolatedCluster::network_isolated() const { return state_->network_isolated; }
int IsolatedCluster::major() const { return state_->major; }
pid_t IsolatedCluster::pid() const { return state_->server ? state_->server->pid() : 0; }
std::string const& IsolatedCluster::user() const { return state_->role; }
std::string const& IsolatedCluster::socket_directory() const { return state_->directory.path(); }
int IsolatedCluster::port() const { return state_->port; }
std::string IsolatedCluster::conninfo(std::string const& database) const {
    return state_->conninfo(database, state_->role);
}

std::string IsolatedCluster::log() const { return state_->log_tail(); }

Result<Rows> IsolatedCluster::query(std::string const& sql, QueryOptions const& options, std::stop_token stop) const {
    auto connection = TRY(Connection::connect(conninfo(options.database), {}, stop));
    auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(options.timeout).count();
    TRY(connection.query(fmt::format("SET statement_timeout = {}", milliseconds), stop));
    if (options.read_only) TRY(connection.query("SET default_transaction_read_only = on", stop));
    auto rows = connection.query(sql, stop);
    if (!rows && rows.error().kind != ErrorKind::cancelled) {
        auto error = std::move(rows).error();
        error.kind = ErrorKind::check_failed;
        return fail(std::move(error));
    }
    return rows;
}

Result<std::vector<std::string>> IsolatedCluster::databases(std::stop_token stop) const {
    auto rows = TRY(query("SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY datname",
                          {.database = "template1"}, stop));
    std::vector<std::string> names;
    for (auto const& row : rows.rows) names.push_back(row.at(0).value_or(""));
    return names;
}

}  // namespace holdfast::postgres
