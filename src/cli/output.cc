#include "cli/output.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/text.h"
#include "base/units.h"

namespace holdfast::cli {
namespace {

constexpr auto kBarEvery = std::chrono::milliseconds(100);
constexpr auto kEventEvery = std::chrono::seconds(1);
constexpr auto kLineEvery = std::chrono::seconds(10);

bool wants_colours(int fd) {
    auto const* term = std::getenv("TERM");
    return isatty(fd) != 0 && std::getenv("NO_COLOR") == nullptr &&
           (term == nullptr || std::string_view(term) != "dumb");
}

char const* code(Style style) {
    switch (style) {
        case Style::plain: return "";
        case Style::strong: return "\033[1m";
        case Style::good: return "\033[32m";
        case Style::warning: return "\033[33m";
        case Style::bad: return "\033[31m";
        case Style::faint: return "\033[2m";
    }
    return "";
}

std::string paint(Style style, std::string_view text, bool colours) {
    if (!colours || style == Style::plain) return std::string(text);
    return fmt::format("{}{}\033[0m", code(style), text);
}

// Terminal columns of UTF-8 text: code points, escape sequences not counted. Enough for what we print.
std::size_t columns(std::string_view text) {
    std::size_t count = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\033') {
            while (i < text.size() && text[i] != 'm') ++i;
        } else if ((static_cast<unsigned char>(text[i]) & 0xc0) != 0x80) {
            ++count;
        }
    }
    return count;
}

std::size_t terminal_width() {
    winsize size{};
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
    return 80;
}

// The end of a path is what tells files apart.
std::string shorten(std::string text, std::size_t width) {
    if (text.size() <= width) return text;
    auto start = text.size() - width + 1;
    while (start < text.size() && (static_cast<unsigned char>(text[start]) & 0xc0) == 0x80) ++start;
    return "…" + text.substr(start);
}

}  // namespace

void print_error(std::string_view text) { (void)std::fwrite(text.data(), 1, text.size(), stderr); }

std::string Table::text() const {
    std::vector<std::size_t> widths;
    for (auto const& row : rows_) {
        widths.resize(std::max(widths.size(), row.size()));
        for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], columns(row[i]));
    }
    std::string text;
    for (auto const& row : rows_) {
        std::string line;
        for (std::size_t i = 0; i < row.size(); ++i) {
            auto pad = std::string(widths[i] - columns(row[i]), ' ');
            bool right = std::ranges::find(right_, i) != right_.end();
            line += right ? pad + row[i] : row[i] + pad;
            line += "  ";
        }
        line.erase(line.find_last_not_of(' ') + 1);
        text += line + "\n";
    }
    if (!text.empty()) text.pop_back();
    return text;
}

struct Output::Bar {
    std::string name;
    Duration started;
    Duration shown{0};
    bool drawn = false;
    Progress last;
};

Output::Output(OutputOptions options, Clock& clock)
    : options_(options),
      clock_(clock),
      interactive_(isatty(STDERR_FILENO) != 0),
      colours_(wants_colours(STDOUT_FILENO)),
      error_colours_(wants_colours(STDERR_FILENO)) {}

Output::~Output() { end_progress(); }

void Output::line(std::string_view text) {
    if (options_.json || options_.quiet) return;
    std::lock_guard lock(mutex_);
    clear_bar();
    put(fmt::format("{}\n", text));
}

void Output::document(std::string_view json) {
    if (!options_.json) return;
    std::lock_guard lock(mutex_);
    clear_bar();
    put(fmt::format("{}\n", json));
}

void Output::put(std::string_view text) {
    errno = 0;
    bool const written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
    if (written || lost_) return;
    // A reader that has seen enough (`| head`) went on purpose.
    if (errno != EPIPE) lost_ = errno_error("write to standard output", errno);
}

std::optional<Error> Output::lost() {
    std::lock_guard lock(mutex_);
    return lost_;
}

Result<void> Output::raw(std::string_view bytes) {
    if (std::fwrite(bytes.data(), 1, bytes.size(), stdout) != bytes.size()) {
        return fail(errno_error("write to standard output", errno));
    }
    return {};
}

void Output::warning(std::string_view text) {
    std::lock_guard lock(mutex_);
    clear_bar();
    print_error(fmt::format("{} {}\n", paint(Style::warning, "warning:", error_colours_), text));
}

void Output::error(Error const& error) {
    {
        std::lock_guard lock(mutex_);
        clear_bar();
        print_error(fmt::format("{} {}\n", paint(Style::bad, "error:", error_colours_), error.message));
        if (!error.hint.empty()) {
            print_error(fmt::format("{} {}\n", paint(Style::faint, "hint:", error_colours_), error.hint));
        }
    }
    if (options_.json) {
        document(nlohmann::json{{"event", "error"},
                                {"kind", name(error.kind)},
                                {"message", printable(error.message)},
                                {"hint", printable(error.hint)}}
                     .dump());
    }
}

void Output::detail(std::string_view text) {
    if (!options_.verbose) return;
    std::lock_guard lock(mutex_);
    clear_bar();
    print_error(fmt::format("{}\n", paint(Style::faint, text, error_colours_)));
}

std::string Output::styled(Style style, std::string_view text) const {
    return paint(style, text, colours_);
}

ProgressCallback Output::progress(std::string name) {
    if (options_.quiet || !options_.progress) return [](Progress const&) {};
    std::lock_guard lock(mutex_);
    clear_bar();
    bar_ = std::make_unique<Bar>();
    bar_->name = std::move(name);
    bar_->started = bar_->shown = clock_.elapsed();
    return [this](Progress const& progress) {
        std::lock_guard lock(mutex_);
        if (!bar_) return;
        auto now = clock_.elapsed();
        auto every = options_.json ? Duration(kEventEvery)
                                   : (interactive_ ? Duration(kBarEvery) : Duration(kLineEvery));
        if (now - bar_->shown < every) return;
        bar_->shown = now;
        auto seconds = std::chrono::duration<double>(now - bar_->started).count();
        auto rate = static_cast<double>(progress.bytes) / std::max(seconds, 0.001);
        if (options_.json) {
            put(nlohmann::json{{"event", "progress"},
                               {"name", bar_->name},
                               {"what", progress.what},
                               {"files", progress.files},
                               {"files_total", progress.files_total},
                               {"bytes", progress.bytes},
                               {"bytes_total", progress.bytes_total},
                               {"stored", progress.stored}}
                    .dump() +
                "\n");
            return;
        }
        auto text = fmt::format("{}: {} {}", bar_->name, progress.what, format_bytes(progress.bytes));
        if (progress.bytes_total > 0) {
            auto share = std::min(1.0, static_cast<double>(progress.bytes) /
                                           static_cast<double>(progress.bytes_total));
            text += fmt::format(" of {} ({:.0f} %)", format_bytes(progress.bytes_total), share * 100);
            if (rate > 0 && progress.bytes_total > progress.bytes) {
                auto left = static_cast<double>(progress.bytes_total - progress.bytes) / rate;
                text += fmt::format(", {} left", format_duration(std::chrono::seconds(
                                                     static_cast<std::int64_t>(left) + 1)));
            }
        }
        if (progress.files > 0) text += fmt::format(", {} files", progress.files);
        text += fmt::format(", {}/s", format_bytes(static_cast<std::uint64_t>(rate)));
        if (!interactive_) {
            print_error(fmt::format("{}\n", text));
            return;
        }
        auto width = terminal_width();
        auto used = columns(text);
        if (used + 12 < width && !progress.current.empty()) {
            text += "  " + shorten(printable(progress.current), width - used - 3);
        }
        print_error(fmt::format("\r\033[K{}", text));
        std::fflush(stderr);
        bar_->drawn = true;
    };
}

void Output::end_progress() {
    std::lock_guard lock(mutex_);
    clear_bar();
    bar_.reset();
}

void Output::clear_bar() {
    if (bar_ && bar_->drawn) {
        print_error(fmt::format("\r\033[K"));
        std::fflush(stderr);
        bar_->drawn = false;
    }
}

}  // namespace holdfast::cli
