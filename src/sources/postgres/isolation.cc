#include "sources/postgres/isolation.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "sources/postgres/recovery_settings.h"

namespace holdfast::postgres {

std::map<std::string, std::string> isolation_settings(IsolationOptions const& options, PgControl const& control) {
    std::map<std::string, std::string> settings{
        // Its own configuration and nobody else's.
        {"data_directory", options.data},
        {"config_file", options.directory + "/postgresql.conf"},
        {"hba_file", options.directory + "/pg_hba.conf"},
        {"ident_file", options.directory + "/pg_ident.conf"},
        {"external_pid_file", ""},
        // Reached through the private directory alone.
        {"listen_addresses", ""},
        {"port", fmt::format("{}", options.port)},
        {"unix_socket_directories", options.directory},
        {"unix_socket_permissions", "0700"},
        {"unix_socket_group", ""},
        {"bonjour", "off"},
        {"ssl", "off"},
        {"ssl_passphrase_command", ""},
        {"krb_server_keyfile", ""},
        // Reaches nothing.
        {"archive_mode", "off"},
        {"archive_command", ""},
        {"archive_cleanup_command", ""},
        {"recovery_end_command", ""},
        {"restore_command", options.restore_command},
        {"primary_conninfo", ""},
        {"primary_slot_name", ""},
        {"synchronous_standby_names", ""},
        {"max_logical_replication_workers", "0"},
        {"max_sync_workers_per_subscription", "0"},
        // Runs no code but the server's.
        {"shared_preload_libraries", join(options.preload_libraries, ",")},
        {"session_preload_libraries", ""},
        {"local_preload_libraries", ""},
        {"dynamic_library_path", "$libdir"},
        {"jit", "off"},
        // Writes nowhere else.
        {"logging_collector", "off"},
        {"log_destination", "stderr"},
        {"temp_tablespaces", ""},
        {"default_tablespace", ""},
        {"lc_messages", "C"},
        {"cluster_name", "holdfast-isolated"},
        // A guest on this machine.
        {"shared_buffers", fmt::format("{}kB", options.shared_buffers_bytes >> 10)},
        {"huge_pages", "off"},
        {"autovacuum", "off"},
        // Recovery of prepared transactions and read-only queries during it need what the primary had.
        {"wal_level", "replica"},
        {"hot_standby", "on"},
        {"max_connections", fmt::format("{}", std::max(control.max_connections, 10u))},
        {"superuser_reserved_connections", "0"},
        {"max_worker_processes", fmt::format("{}", std::max(control.max_worker_processes, 1u))},
        {"max_wal_senders", fmt::format("{}", control.max_wal_senders)},
        {"max_prepared_transactions", fmt::format("{}", control.max_prepared_transactions)},
        {"max_locks_per_transaction", fmt::format("{}", std::max(control.max_locks_per_transaction, 10u))},
        {"track_commit_timestamp", control.track_commit_timestamp ? "on" : "off"},
        {"fsync", options.disposable ? "off" : "on"},
        {"full_page_writes", options.disposable ? "off" : "on"},
    };
    if (options.recovering) {
        // PostgreSQL wants a command; the log lies in pg_wal.
        if (options.restore_command.empty()) settings["restore_command"] = kNoRestoreCommand;
        settings["hot_standby"] = "off";
    }
    if (options.major >= 14) settings["recovery_init_sync_method"] = "syncfs";
    if (options.major <= 14) settings["stats_temp_directory"] = "pg_stat_tmp";
    if (options.major <= 15) settings["promote_trigger_file"] = "";
    if (options.major >= 15) settings["archive_library"] = "";
    if (options.major >= 16) settings["reserved_connections"] = "0";
    if (options.major >= 17) settings["sync_replication_slots"] = "off";
    if (options.major >= 17) settings["synchronized_standby_slots"] = "";
    if (options.major >= 17) settings["summarize_wal"] = "off";
    return settings;
}

std::vector<std::string> isolation_guards(int major) {
    std::vector<std::string> guards{"config_file", "hba_file", "listen_addresses", "unix_socket_directories",
                                    "archive_mode", "primary_conninfo", "restore_command",
                                    "synchronous_standby_names", "max_logical_replication_workers",
                                    "shared_preload_libraries", "session_preload_libraries", "logging_collector"};
    if (major >= 15) guards.push_back("archive_library");
    return guards;
}

}  // namespace holdfast::postgres
