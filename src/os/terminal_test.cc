#include "os/terminal.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <thread>

#include "os/clock.h"
#include "os/fd.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;

// A terminal with somebody at it.
class Terminal : public testing::Test {
  protected:
    void SetUp() override {
        person_ = Fd(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
        ASSERT_TRUE(person_);
        ASSERT_EQ(grantpt(person_.get()), 0);
        ASSERT_EQ(unlockpt(person_.get()), 0);
        path_ = ptsname(person_.get());
        slave_ = Fd(open(path_.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC));
        ASSERT_TRUE(slave_);
    }
    // All that is on the screen, until nothing comes for a moment.
    std::string screen() {
        std::string text;
        pollfd polled{person_.get(), POLLIN, 0};
        while (poll(&polled, 1, 100) > 0) {
            char buffer[4096];
            auto size = read(person_.get(), buffer, sizeof buffer);
            if (size <= 0)
                break;
            text.append(buffer, static_cast<std::size_t>(size));
        }
        return text;
    }
    void type(std::string_view text) {
        EXPECT_EQ(write(person_.get(), text.data(), text.size()),
                  static_cast<ssize_t>(text.size()));
    }
    bool echoes() {
        termios settings{};
        tcgetattr(slave_.get(), &settings);
        return settings.c_lflag & ECHO;
    }
    void wait_until_quiet() {
        while (echoes())
            system_clock().sleep(1ms, {});
        system_clock().sleep(20ms, {});
    }

    Fd person_;
    Fd slave_;
    std::string path_;
};

TEST_F(Terminal, PasswordIsReadWithoutEcho) {
    Result<Bytes> password;
    std::jthread asking([&] { password = read_password({"password: ", path_}, {}); });
    wait_until_quiet();
    type("s3cret w\xc3\xb6rd\n");
    asking.join();
    ASSERT_TRUE(password) << password.error().message;
    EXPECT_EQ(to_text(*password), "s3cret w\xc3\xb6rd");
    EXPECT_EQ(screen(), "password: \r\n");
    EXPECT_TRUE(echoes());
}

TEST_F(Terminal, StopEndsTheQuestionAndRestoresTheEcho) {
    std::stop_source source;
    Result<Bytes> password;
    std::jthread asking([&] {
        password = read_password({"password: ", path_}, source.get_token());
    });
    wait_until_quiet();
    source.request_stop();
    asking.join();
    ASSERT_FALSE(password);
    EXPECT_EQ(password.error().kind, ErrorKind::cancelled);
    EXPECT_TRUE(echoes());
}

TEST_F(Terminal, EndOfFileIsNoEmptyPassword) {
    Result<Bytes> password;
    std::jthread asking([&] { password = read_password({"password: ", path_}, {}); });
    wait_until_quiet();
    type("\x04");
    asking.join();
    ASSERT_FALSE(password);
    EXPECT_EQ(password.error().kind, ErrorKind::cancelled);
}

TEST_F(Terminal, RefusesAPasswordThatIsTooLong) {
    Result<Bytes> password;
    std::jthread asking([&] { password = read_password({"password: ", path_}, {}); });
    wait_until_quiet();
    type(std::string(1025, 'x') + "\n");
    asking.join();
    ASSERT_FALSE(password);
    EXPECT_EQ(password.error().kind, ErrorKind::usage);
}

TEST_F(Terminal, WidthIsWhatTheTerminalSays) {
    winsize size{.ws_row = 20, .ws_col = 133, .ws_xpixel = 0, .ws_ypixel = 0};
    ASSERT_EQ(ioctl(person_.get(), TIOCSWINSZ, &size), 0);
    EXPECT_TRUE(is_terminal(slave_.get()));
    EXPECT_EQ(terminal_width(slave_.get()), 133U);
}

TEST(NoTerminal, IsSaid) {
    Fd file(open("/dev/null", O_RDWR | O_CLOEXEC));
    EXPECT_FALSE(is_terminal(file.get()));
    EXPECT_EQ(terminal_width(file.get(), 72), 72U);
    auto password = read_password({"password: ", "/dev/null"}, {});
    ASSERT_FALSE(password);
    EXPECT_EQ(password.error().kind, ErrorKind::usage);
    EXPECT_FALSE(password.error().hint.empty());
}

}  // namespace
}  // namespace holdfast
