#include "os/terminal.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "base/text.h"
#include "os/fd.h"

namespace holdfast {
namespace {

// The echo is off while this lives.
class NoEcho {
  public:
    explicit NoEcho(int terminal) : terminal_(terminal) {
        if (tcgetattr(terminal_, &before_) != 0)
            return;
        termios quiet = before_;
        quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO | ECHOE | ECHOK | ECHONL);
        quiet.c_lflag |= ICANON | ISIG;
        // What was typed before the question is not the answer: flushed.
        changed_ = tcsetattr(terminal_, TCSAFLUSH, &quiet) == 0;
    }
    ~NoEcho() {
        if (changed_)
            tcsetattr(terminal_, TCSAFLUSH, &before_);
    }
    NoEcho(NoEcho const&) = delete;
    NoEcho& operator=(NoEcho const&) = delete;
    bool works() const { return changed_; }

  private:
    int terminal_;
    termios before_{};
    bool changed_ = false;
};

void show(Fd const& terminal, std::string_view text) {
    [[maybe_unused]] auto written = write(terminal.get(), text.data(), text.size());
}

// Waits until a line can be read; false when `stop` was requested.
bool wait_for_line(Fd const& terminal, std::stop_token const& stop) {
    Fd event(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    std::stop_callback wake(stop, [&] { eventfd_write(event.get(), 1); });
    pollfd polled[] = {{terminal.get(), POLLIN, 0}, {event.get(), POLLIN, 0}};
    while (!stop.stop_requested()) {
        if (poll(polled, 2, -1) > 0 && polled[0].revents)
            return true;
    }
    return false;
}

}  // namespace

bool is_terminal(int descriptor) {
    return isatty(descriptor) == 1;
}

unsigned terminal_width(int descriptor, unsigned otherwise) {
    winsize size{};
    if (ioctl(descriptor, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return otherwise;
    return size.ws_col;
}

Result<Bytes> read_password(PasswordPrompt const& prompt, std::stop_token stop) {
    constexpr std::size_t kPasswordBytesMax = 1024;
    Fd terminal(open(prompt.terminal.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC));
    if (!terminal || !is_terminal(terminal.get())) {
        return fail(ErrorKind::usage, "there is no terminal to ask for the password",
                    "use --password-file, --password-command or HOLDFAST_PASSWORD");
    }
    NoEcho quiet(terminal.get());
    if (!quiet.works()) {
        return fail(
            errno_error(fmt::format("switch off the echo of '{}'", prompt.terminal), errno));
    }
    show(terminal, prompt.text);
    if (!wait_for_line(terminal, stop)) {
        show(terminal, "\n");
        return fail(ErrorKind::cancelled, "read the password: stopped");
    }

    // One byte more than allowed, and the line's end. Read in place, so that there is no copy to
    // wipe.
    Bytes line(kPasswordBytesMax + 2);
    auto size = read(terminal.get(), line.data(), line.size());
    int error_number = errno;
    show(terminal, "\n");
    if (size < 0)
        return fail(errno_error("read the password", error_number));
    if (size == 0)
        return fail(ErrorKind::cancelled, "read the password: nothing was entered");
    auto length = static_cast<std::size_t>(size);
    if (line[length - 1] == '\n')
        --length;
    if (length > kPasswordBytesMax) {
        explicit_bzero(line.data(), line.size());
        return fail(ErrorKind::usage,
                    fmt::format("the password is longer than {} bytes", kPasswordBytesMax));
    }
    line.resize(length);
    return line;
}

}  // namespace holdfast
