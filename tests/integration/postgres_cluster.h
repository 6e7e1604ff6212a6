#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "os/child_process.h"
#include "os/process.h"
#include "sources/postgres/connection.h"

namespace holdfast::testing {

inline std::string postgres_program(std::string const& name) { return "/usr/lib/postgresql/15/bin/" + name; }

// PostgreSQL refuses root.
inline std::optional<UserId> postgres_user() {
    if (::geteuid() != 0) return std::nullopt;
    auto user = lookup_user("postgres");
    EXPECT_TRUE(user);
    return user.value();
}

// A directory of the test's own that the server's user may enter; gone with the object.
class ScratchDirectory {
  public:
    explicit ScratchDirectory(std::string const& parent = "/tmp") {
        auto name = parent + "/holdfast-pg-XXXXXX";
        EXPECT_NE(::mkdtemp(name.data()), nullptr);
        path_ = name;
        give_to_postgres(path_);
    }
    ~ScratchDirectory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    ScratchDirectory(ScratchDirectory const&) = delete;
    std::filesystem::path const& path() const { return path_; }
    std::string operator/(std::string const& name) const { return path_ / name; }
    std::string make(std::string const& name) const {
        auto path = *this / name;
        std::filesystem::create_directory(path);
        give_to_postgres(path);
        return path;
    }
    static void give_to_postgres(std::filesystem::path const& path) {
        auto user = postgres_user();
        if (!user) return;
        EXPECT_EQ(::chown(path.c_str(), user->uid, user->gid), 0);
    }

  private:
    std::filesystem::path path_;
};

// A throw-away server: its own data directory, a Unix socket alone, trust.
class PostgresCluster {
  public:
    struct Options {
        bool checksums = true;
        std::vector<std::string> settings = {};
    };
    explicit PostgresCluster(Options options) : options_(std::move(options)) {
        data_ = scratch_ / "data";
        std::vector<std::string> argv{postgres_program("initdb"), "-D", data_, "-A", "trust", "-U", "postgres",
                                      "--no-sync", "-E", "UTF8", "--locale=C"};
        if (options_.checksums) argv.push_back("-k");
        must(argv);
        start();
    }
    PostgresCluster() : PostgresCluster(Options()) {}
    ~PostgresCluster() { stop(SIGINT); }

    void start() {
        Command command{.argv = {postgres_program("postgres"), "-D", data_, "-c", "listen_addresses=", "-k",
                                 scratch_.path().string(), "-c", "fsync=off"},
                        .user = postgres_user()};
        for (auto const& setting : options_.settings) {
            command.argv.push_back("-c");
            command.argv.push_back(setting);
        }
        auto started = ChildProcess::start(command, {.output_path = scratch_ / "server.log", .stop_signal = SIGINT});
        ASSERT_TRUE(started) << started.error().message;
        server_ = std::move(*started);
        for (int i = 0; i < 300; ++i) {
            if (postgres::Connection::connect(conninfo(), {}, {})) return;
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
        }
        FAIL() << "the server did not start:\n" << log();
    }
    // SIGINT: fast; SIGQUIT: immediate, as after a crash.
    void stop(int signal) {
        if (server_) server_->terminate(signal, std::chrono::seconds(20));
        server_.reset();
    }

    std::string conninfo(std::string const& user = "postgres", std::string const& database = "postgres") const {
        return "host=" + scratch_.path().string() + " user=" + user + " dbname=" + database;
    }
    postgres::Connection connect(std::string const& user = "postgres", std::string const& database = "postgres") const {
        auto connection = postgres::Connection::connect(conninfo(user, database), {}, {});
        EXPECT_TRUE(connection) << connection.error().message;
        return std::move(*connection);
    }
    postgres::Rows sql(std::string const& text, std::string const& database = "postgres") const {
        auto rows = connect("postgres", database).query(text, {});
        EXPECT_TRUE(rows) << text << ": " << rows.error().message;
        return rows ? std::move(*rows) : postgres::Rows{};
    }
    std::string value(std::string const& text, std::string const& database = "postgres") const {
        auto rows = sql(text, database);
        EXPECT_EQ(rows.rows.size(), 1u) << text;
        return rows.rows.empty() ? "" : rows.rows[0][0].value_or("NULL");
    }
    std::string const& data() const { return data_; }
    ScratchDirectory const& scratch() const { return scratch_; }
    std::string log() const {
        std::ifstream file(scratch_ / "server.log");
        return {std::istreambuf_iterator<char>(file), {}};
    }

    static std::string must(std::vector<std::string> argv) {
        auto result = run({.argv = std::move(argv), .user = postgres_user()}, {});
        EXPECT_TRUE(result) << result.error().message;
        if (!result) return {};
        EXPECT_TRUE(result->success()) << result->out << result->err;
        return result->out;
    }

  private:
    Options options_;
    ScratchDirectory scratch_;
    std::string data_;
    std::unique_ptr<ChildProcess> server_;
};

}  // namespace holdfast::testing
