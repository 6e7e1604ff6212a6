#pragma once

// For tests alone: a server that plays a base backup of any version over a Unix socket, by the protocol's
// documents (PostgreSQL documentation, "Message Formats" and "Streaming Replication Protocol").

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <thread>

#include "sources/postgres/sample_backup.h"

namespace holdfast::postgres {

class FakeServer {
  public:
    struct Behaviour {
        std::string version_text = {};     // "13.9"; empty: that of the sample
        int archives_max = 100;            // sends no more of them
        std::size_t message_bytes = 5000;  // of a piece of an archive
        std::size_t vanish_after = 0;      // pieces; 0: never
        std::string error_after_archives = {};  // SQLSTATE; empty: none
        bool end_position = true;
        bool stray_message = false;
    };

    FakeServer(SampleBackup sample, Behaviour behaviour) : sample_(std::move(sample)), behaviour_(std::move(behaviour)) {
        auto pattern = (std::filesystem::temp_directory_path() / "fake-server-XXXXXX").string();
        directory_ = ::mkdtemp(pattern.data());
        listening_ = ::socket(AF_UNIX, SOCK_STREAM, 0);
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        (directory_ + "/.s.PGSQL.5432").copy(address.sun_path, sizeof address.sun_path - 1);
        EXPECT_EQ(::bind(listening_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
        EXPECT_EQ(::listen(listening_, 1), 0);
        thread_ = std::jthread([this] { serve(); });
    }
    explicit FakeServer(SampleBackup sample) : FakeServer(std::move(sample), Behaviour()) {}
    ~FakeServer() {
        ::shutdown(listening_, SHUT_RDWR);
        if (thread_.joinable()) thread_.join();
        ::close(listening_);
        std::filesystem::remove_all(directory_);
    }
    std::string conninfo() const { return "host=" + directory_ + " user=tester"; }
    std::vector<std::string> commands;  // read it when the connection is gone

  private:
    struct Gone {};
    using Cells = std::vector<std::optional<std::string>>;

    void serve() {
        int connection = ::accept(listening_, nullptr, nullptr);
        if (connection < 0) return;
        socket_ = connection;
        try {
            startup();
            for (;;) command();
        } catch (Gone const&) {
        }
        ::close(connection);
    }

    Bytes read(std::size_t size) {
        Bytes bytes(size);
        for (std::size_t at = 0; at < size;) {
            auto count = ::recv(socket_, bytes.data() + at, size - at, 0);
            if (count <= 0) throw Gone();
            at += static_cast<std::size_t>(count);
        }
        return bytes;
    }
    std::size_t read_length() {
        auto bytes = read(4);
        std::uint32_t value;
        std::memcpy(&value, bytes.data(), 4);
        return ntohl(value) - 4;
    }
    void send(char type, std::string const& body) {
        auto size = htonl(static_cast<std::uint32_t>(body.size() + 4));
        std::string message(1, type);
        message.append(reinterpret_cast<char const*>(&size), 4);
        message += body;
        for (std::size_t at = 0; at < message.size();) {
            auto count = ::send(socket_, message.data() + at, message.size() - at, MSG_NOSIGNAL);
            if (count <= 0) throw Gone();
            at += static_cast<std::size_t>(count);
        }
    }
    static std::string u16(std::uint16_t value) {
        value = htons(value);
        return {reinterpret_cast<char const*>(&value), 2};
    }
    static std::string u32(std::uint32_t value) {
        value = htonl(value);
        return {reinterpret_cast<char const*>(&value), 4};
    }
    static std::string zero(std::string const& text) { return text + '\0'; }

    void startup() {
        read(read_length());
        send('R', u32(0));
        auto version = behaviour_.version_text.empty() ? fmt::format("{}.9", sample_.major) : behaviour_.version_text;
        send('S', zero("server_version") + zero(version));
        send('S', zero("client_encoding") + zero("UTF8"));
        send('K', u32(1) + u32(2));
        ready();
    }
    void ready() { send('Z', "I"); }
    void complete() { send('C', zero("SELECT")); }
    void rows(std::vector<std::string> const& columns, std::vector<Cells> const& rows) {
        auto description = u16(static_cast<std::uint16_t>(columns.size()));
        for (auto const& column : columns)
            description += zero(column) + u32(0) + u16(0) + u32(25) + u16(0xffff) + u32(0) + u16(0);
        send('T', description);
        for (auto const& cells : rows) {
            auto row = u16(static_cast<std::uint16_t>(cells.size()));
            for (auto const& cell : cells)
                row += cell ? u32(static_cast<std::uint32_t>(cell->size())) + *cell : u32(0xffffffff);
            send('D', row);
        }
        complete();
    }
    void error(std::string const& sqlstate, std::string const& message) {
        send('E', "S" + zero("ERROR") + "V" + zero("ERROR") + "C" + zero(sqlstate) + "M" + zero(message) + '\0');
    }

    void command() {
        auto type = read(1)[0];
        auto body = read(read_length());
        if (type != 'Q') throw Gone();
        auto text = to_text(ByteView(body).first(body.size() - 1));
        commands.push_back(text);
        if (text == "IDENTIFY_SYSTEM") {
            rows({"systemid", "timeline", "xlogpos", "dbname"}, {{sample_.system_identifier, "1", "0/1000F0", std::nullopt}});
        } else if (text.starts_with("SHOW ")) {
            show(text.substr(5));
        } else if (text.starts_with("CREATE_REPLICATION_SLOT")) {
            rows({"slot_name", "consistent_point", "snapshot_name", "output_plugin"}, {{"x", "0/0", std::nullopt, std::nullopt}});
        } else if (text.starts_with("BASE_BACKUP")) {
            backup();
        } else {
            error("42601", "syntax error");
        }
        ready();
    }
    void show(std::string const& name) {
        std::map<std::string, std::string> const settings{{"block_size", "8192"}, {"data_checksums", "on"},
                                                          {"wal_segment_size", "1MB"}, {"segment_size", "1GB"},
                                                          {"data_directory_mode", "0700"}};
        auto found = settings.find(name);
        if (found == settings.end()) return error("42501", "must be superuser to examine it");
        rows({name}, {{found->second}});
    }

    void piece(std::string const& bytes) {
        if (behaviour_.vanish_after && ++pieces_ > behaviour_.vanish_after) throw Gone();
        send('d', bytes);
    }
    void pieces(std::string const& prefix, std::string const& bytes) {
        for (std::size_t at = 0; at < bytes.size(); at += behaviour_.message_bytes)
            piece(prefix + bytes.substr(at, behaviour_.message_bytes));
    }
    void begin_copy() { send('H', std::string(1, '\0') + u16(0)); }

    void backup() {
        rows({"recptr", "tli"}, {{to_text(sample_.start.lsn), fmt::format("{}", sample_.start.timeline)}});
        std::vector<Cells> tablespaces;
        for (auto const& tablespace : sample_.start.tablespaces) {
            if (tablespace.oid == 0)
                tablespaces.push_back({std::nullopt, std::nullopt, "1024"});
            else
                tablespaces.push_back({fmt::format("{}", tablespace.oid), tablespace.location, "8"});
        }
        rows({"spcoid", "spclocation", "size"}, tablespaces);
        if (sample_.major >= 15)
            one_copy();
        else
            many_copies();
        if (!behaviour_.error_after_archives.empty()) return error(behaviour_.error_after_archives, "the server gives up");
        if (behaviour_.end_position)
            rows({"recptr", "tli"}, {{to_text(sample_.end.lsn), fmt::format("{}", sample_.end.timeline)}});
        if (sample_.end.checksum_failures) return error("XX001", "checksum verification failure during base backup");
        complete();
    }
    void one_copy() {
        begin_copy();
        int sent = 0;
        for (auto const& tablespace : sample_.start.tablespaces) {
            if (sent++ == behaviour_.archives_max) break;
            auto name = tablespace.oid == 0 ? "base.tar" : fmt::format("{}.tar", tablespace.oid);
            piece("n" + zero(name) + zero(tablespace.location));
            pieces("d", sample_.archive(tablespace));
            piece("p" + std::string(8, '\1'));
        }
        if (behaviour_.stray_message) piece("?what");
        piece("m");
        pieces("d", sample_.manifest);
        send('c', "");
    }
    void many_copies() {
        int sent = 0;
        for (auto const& tablespace : sample_.start.tablespaces) {
            if (sent++ == behaviour_.archives_max) break;
            begin_copy();
            pieces("", sample_.archive(tablespace));
            send('c', "");
        }
        if (sample_.major < 13) return;
        begin_copy();
        pieces("", sample_.manifest);
        send('c', "");
    }

    SampleBackup sample_;
    Behaviour behaviour_;
    std::string directory_;
    int listening_ = -1, socket_ = -1;
    std::size_t pieces_ = 0;
    std::jthread thread_;
};

}  // namespace holdfast::postgres
