#include "net/smtp.h"

#include <arpa/inet.h>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <thread>

#include "net/curl.h"
#include "os/child_process.h"
#include "os/fd.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

// A socket on a free port of this machine, which accepts connections and never says a word.
class SilentServer {
  public:
    SilentServer() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        auto* any = reinterpret_cast<sockaddr*>(&address);
        EXPECT_EQ(bind(socket_.get(), any, size), 0);
        EXPECT_EQ(listen(socket_.get(), 5), 0);
        EXPECT_EQ(getsockname(socket_.get(), any, &size), 0);
        port_ = ntohs(address.sin_port);
    }
    int port() const { return port_; }
    void close() { socket_.reset(); }

  private:
    Fd socket_;
    int port_;
};

class Smtp : public testing::Test {
  protected:
    void SetUp() override {
        auto have = run({.argv = {"/usr/bin/python3", "-c", "import aiosmtpd"}}, {});
        if (!have || !have->success())
            GTEST_SKIP() << "needs python3-aiosmtpd";
        directory_ = (std::filesystem::temp_directory_path() / "holdfast-smtp-XXXXXX").string();
        ASSERT_NE(mkdtemp(directory_.data()), nullptr);
    }
    void TearDown() override {
        server_.reset();
        if (!directory_.empty())
            std::filesystem::remove_all(directory_);
    }
    // Starts a server; returns its port.
    int start(std::vector<std::string> options = {}) {
        Command command{
            .argv = {"/usr/bin/python3", HOLDFAST_FIXTURES "/net/smtp_server.py", directory_}};
        for (auto& option : options)
            command.argv.push_back(std::move(option));
        auto server = ChildProcess::start(command);
        EXPECT_TRUE(server);
        server_ = std::move(*server);
        for (int i = 0; i < 6000; ++i) {
            auto said = server_->output_tail();
            if (said.starts_with("port ") && said.ends_with('\n'))
                return std::stoi(said.substr(5));
            if (server_->wait(20ms))
                break;
        }
        ADD_FAILURE() << "no mail server: " << server_->output_tail();
        return 0;
    }
    // A certificate of its own for localhost; its path holds key and certificate.
    std::string certificate() {
        auto path = directory_ + "/server.pem";
        auto made = run({.argv = {"openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes",
                                  "-days", "2", "-subj", "/CN=localhost", "-addext",
                                  "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout",
                                  path + ".key", "-out", path + ".crt"}},
                        {});
        if (!made || !made->success())
            return {};
        std::ofstream all(path);
        all << std::ifstream(path + ".key").rdbuf() << std::ifstream(path + ".crt").rdbuf();
        return path;
    }
    std::string kept(std::string const& name) {
        std::ifstream file(directory_ + "/" + name, std::ios::binary);
        return {std::istreambuf_iterator<char>(file), {}};
    }
    static std::string url(int port, std::string const& scheme = "smtp") {
        return fmt::format("{}://127.0.0.1:{}", scheme, port);
    }
    static Mail mail() {
        return {.from = {"holdfast@example.com", "Holdfast"},
                .to = {{"dr@example.com", "J\xc3\xb6rg"}},
                .subject =
                    "Wiederherstellung \xe2\x80\x93 f\xc3\xbcr alle Datens\xc3\xa4tze ist "
                    "abgeschlossen \xe2\x9c\x93",
                .body = "Gr\xc3\xbc\xc3\x9f Gott\n.\n..two dots\n\nFrom here = on\ntrailing \n" +
                        std::string(300, 'x') + "\n"};
    }

    std::string directory_;
    std::unique_ptr<ChildProcess> server_;
};

TEST_F(Smtp, MailArrivesIntact) {
    auto port = start();
    auto sent = send_mail({.url = url(port)}, mail(), {});
    ASSERT_TRUE(sent) << sent.error().message;
    EXPECT_EQ(kept("1.from"), "holdfast@example.com");
    EXPECT_EQ(kept("1.to"), "dr@example.com");
    EXPECT_EQ(kept("1.subject"), mail().subject);
    EXPECT_EQ(kept("1.body"), mail().body);
    EXPECT_THAT(kept("1.headers"),
                HasSubstr("Holdfast <holdfast@example.com>|J\xc3\xb6rg <dr@example.com>"));
    EXPECT_THAT(kept("1.headers"), testing::EndsWith("@example.com>"));
    auto raw = kept("1.raw");
    for (std::size_t at = raw.find('\n'); at != std::string::npos; at = raw.find('\n', at + 1)) {
        EXPECT_EQ(raw[at - 1], '\r');
    }
}

TEST_F(Smtp, LargeMailArrives) {
    auto port = start();
    auto large = mail();
    large.body.clear();
    for (int i = 0; i < 20'000; ++i)
        large.body += fmt::format(".{} \xc3\xa4\n", i);
    ASSERT_TRUE(send_mail({.url = url(port)}, large, {}));
    EXPECT_TRUE(kept("1.body") == large.body);
}

TEST_F(Smtp, SignsIn) {
    auto port = start({"--login", "dr:p\xc3\xa4ss word"});
    auto password = to_bytes("p\xc3\xa4ss word");
    auto sent = send_mail({.url = url(port), .user = "dr", .password = password}, mail(), {});
    ASSERT_TRUE(sent) << sent.error().message;

    auto wrong = to_bytes("WRONG-PASSWORD");
    sent = send_mail({.url = url(port), .user = "dr", .password = wrong}, mail(), {});
    ASSERT_FALSE(sent);
    EXPECT_EQ(sent.error().kind, ErrorKind::unreachable);
    EXPECT_THAT(sent.error().hint, HasSubstr("password"));
    EXPECT_THAT(sent.error().message + sent.error().hint, Not(HasSubstr("WRONG-PASSWORD")));
    EXPECT_THAT(sent.error().message, Not(HasSubstr("V1JPTkctUEFTU1dPUkQ")));  // nor in base64

    sent = send_mail({.url = url(port)}, mail(), {});
    ASSERT_FALSE(sent);
    EXPECT_EQ(sent.error().kind, ErrorKind::unreachable);
}

TEST_F(Smtp, StartTlsWithACertificateThatIsTrusted) {
    auto pem = certificate();
    if (pem.empty())
        GTEST_SKIP() << "needs openssl";
    auto port = start({"--certificate", pem});
    MailServer server{.url = url(port), .ca_file = pem + ".crt", .tls_on_loopback = true};
    auto sent = send_mail(server, mail(), {});
    ASSERT_TRUE(sent) << sent.error().message;
    EXPECT_EQ(kept("1.body"), mail().body);

    server.ca_file.clear();
    sent = send_mail(server, mail(), {});
    ASSERT_FALSE(sent);
    EXPECT_EQ(sent.error().kind, ErrorKind::unreachable);
    EXPECT_THAT(sent.error().hint, HasSubstr("certificate"));
}

TEST_F(Smtp, TlsFromTheBeginning) {
    auto pem = certificate();
    if (pem.empty())
        GTEST_SKIP() << "needs openssl";
    auto port = start({"--certificate", pem, "--tls"});
    auto sent = send_mail({.url = url(port, "smtps"), .ca_file = pem + ".crt"}, mail(), {});
    ASSERT_TRUE(sent) << sent.error().message;
    EXPECT_FALSE(send_mail({.url = url(port, "smtps")}, mail(), {}));
}

TEST_F(Smtp, NothingIsSentInTheClearWhereTlsIsDue) {
    auto port = start();
    auto password = to_bytes("secret");
    auto sent =
        send_mail({.url = url(port), .user = "dr", .password = password, .tls_on_loopback = true},
                  mail(), {});
    ASSERT_FALSE(sent);
    EXPECT_EQ(sent.error().kind, ErrorKind::unreachable);
    EXPECT_THAT(sent.error().hint, HasSubstr("STARTTLS"));
    EXPECT_FALSE(std::filesystem::exists(directory_ + "/1.raw"));
}

TEST_F(Smtp, OneRecipientThatIsGoneDoesNotStopTheOthers) {
    auto port = start({"--refuse", "gone@example.com"});
    auto some = mail();
    some.to.insert(some.to.begin(), {"gone@example.com"});
    auto sent = send_mail({.url = url(port)}, some, {});
    ASSERT_FALSE(sent);
    EXPECT_EQ(sent.error().kind, ErrorKind::partial);
    EXPECT_THAT(sent.error().message,
                HasSubstr("'gone@example.com' (550 5.1.1 no such user here)"));
    EXPECT_THAT(sent.error().message, Not(HasSubstr("'dr@example.com'")));
    EXPECT_EQ(kept("1.to"), "dr@example.com");

    some.to.pop_back();
    sent = send_mail({.url = url(port)}, some, {});
    ASSERT_FALSE(sent);
    EXPECT_EQ(sent.error().kind, ErrorKind::unreachable);
    EXPECT_THAT(sent.error().message, HasSubstr("no such user here"));
}

TEST_F(Smtp, InjectionNeverReachesTheServer) {
    auto port = start();
    auto bad = mail();
    bad.subject = "x\r\nBcc: all@example.com";
    auto sent = send_mail({.url = url(port)}, bad, {});
    ASSERT_FALSE(sent);
    EXPECT_EQ(sent.error().kind, ErrorKind::usage);
    bad = mail();
    bad.to[0].address = "dr@example.com>\r\nRCPT TO:<all@example.com";
    EXPECT_EQ(send_mail({.url = url(port)}, bad, {}).error().kind, ErrorKind::usage);
    EXPECT_FALSE(std::filesystem::exists(directory_ + "/1.raw"));
}

TEST_F(Smtp, NobodyThereIsUnreachable) {
    SilentServer server;
    server.close();
    auto sent = send_mail({.url = url(server.port())}, mail(), {});
    ASSERT_FALSE(sent);
    EXPECT_EQ(sent.error().kind, ErrorKind::unreachable);
    EXPECT_THAT(sent.error().message, HasSubstr(url(server.port())));
    EXPECT_FALSE(sent.error().hint.empty());
}

TEST_F(Smtp, ASilentServerIsGivenUp) {
    SilentServer server;
    auto start = system_clock().elapsed();
    auto sent = send_mail({.url = url(server.port()), .timeout = 300ms}, mail(), {});
    ASSERT_FALSE(sent);
    EXPECT_EQ(sent.error().kind, ErrorKind::unreachable);
    EXPECT_LT(system_clock().elapsed() - start, 40s);
}

TEST_F(Smtp, AServerThatStallsAtTheEndIsGivenUp) {
    auto port = start({"--stall"});
    auto begin = system_clock().elapsed();
    auto sent = send_mail({.url = url(port), .timeout = 3s}, mail(), {});
    ASSERT_FALSE(sent);
    EXPECT_EQ(sent.error().kind, ErrorKind::unreachable);
    EXPECT_LT(system_clock().elapsed() - begin, 40s);
}

TEST_F(Smtp, StopEndsItAlsoWhenTheServerStalls) {
    auto port = start({"--stall"});
    std::stop_source source;
    std::jthread later([&] {
        system_clock().sleep(500ms, {});
        source.request_stop();
    });
    auto begin = system_clock().elapsed();
    auto sent = send_mail({.url = url(port)}, mail(), source.get_token());
    ASSERT_FALSE(sent);
    EXPECT_EQ(sent.error().kind, ErrorKind::cancelled);
    EXPECT_LT(system_clock().elapsed() - begin, 40s);
}

TEST_F(Smtp, AServerThatForgetsToSayGoodbyeHasTakenTheMail) {
    auto port = start({"--stall-at-quit"});
    auto begin = system_clock().elapsed();
    auto sent = send_mail({.url = url(port), .timeout = 3s}, mail(), {});
    EXPECT_TRUE(sent) << sent.error().message;
    EXPECT_EQ(kept("1.subject"), mail().subject);
    EXPECT_LT(system_clock().elapsed() - begin, 40s);
}

TEST_F(Smtp, StopEndsIt) {
    SilentServer server;
    std::stop_source source;
    std::jthread later([&] {
        system_clock().sleep(100ms, {});
        source.request_stop();
    });
    auto start = system_clock().elapsed();
    auto sent = send_mail({.url = url(server.port())}, mail(), source.get_token());
    ASSERT_FALSE(sent);
    EXPECT_EQ(sent.error().kind, ErrorKind::cancelled);
    EXPECT_LT(system_clock().elapsed() - start, 40s);
}

TEST(SmtpServer, UrlIsChecked) {
    Mail mail{.from = {"a@example.com"}, .to = {{"b@example.com"}}, .subject = "x", .body = "x"};
    for (auto const* url : {"", "host", "http://host", "smtp://", "smtp://user:secret@host",
                            "smtp://host/path", "file:///etc/passwd", "smtp://ho st"}) {
        auto sent = send_mail({.url = url, .timeout = 1s}, mail, {});
        ASSERT_FALSE(sent) << url;
        EXPECT_EQ(sent.error().kind, ErrorKind::usage) << url << ": " << sent.error().message;
        EXPECT_THAT(sent.error().message, Not(HasSubstr("secret")));
    }
    Bytes password = {'a', 0, 'b'};
    EXPECT_EQ(send_mail({.url = "smtp://localhost", .user = "a", .password = password}, mail, {})
                  .error()
                  .kind,
              ErrorKind::usage);
}

TEST(SmtpServer, LoopbackIsWhatNeverLeavesTheMachine) {
    for (auto const* host : {"localhost", "127.0.0.1", "127.9.8.7", "::1"}) {
        EXPECT_TRUE(curl::is_loopback(host)) << host;
    }
    for (auto const* host : {"localhost.example.com", "128.0.0.1", "127.example.com", "127.1",
                             "::2", "", "mail.example.com"}) {
        EXPECT_FALSE(curl::is_loopback(host)) << host;
    }
}

}  // namespace
}  // namespace holdfast
