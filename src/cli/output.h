#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "archive/progress.h"
#include "base/result.h"
#include "os/clock.h"

namespace holdfast::cli {

// Not by fmt::print, which throws when writing fails: a full disk below a log must not end a recovery.
void print_error(std::string_view text);

enum class Style { plain, strong, good, warning, bad, faint };

struct OutputOptions {
    bool json = false;
    bool quiet = false;
    bool verbose = false;
    bool progress = true;
};

// A table for people: columns are padded to their widest cell, in terminal columns.
class Table {
  public:
    enum class Align { left, right };
    explicit Table(std::vector<std::string> header) : rows_{std::move(header)} {}
    void align_right(std::size_t column) { right_.push_back(column); }
    void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
    std::string text() const;

  private:
    std::vector<std::vector<std::string>> rows_;
    std::vector<std::size_t> right_;
};

// What people and machines see. Results go to standard output; progress, warnings and errors to
// standard error. With --json, standard output carries one document, or one event a line, and
// nothing else.
class Output {
  public:
    explicit Output(OutputOptions options, Clock& clock);
    ~Output();

    bool json() const { return options_.json; }
    bool verbose() const { return options_.verbose; }
    bool interactive() const { return interactive_; }

    // A line of the result. Nothing with --json or --quiet.
    void line(std::string_view text);
    // A JSON document or event (one line). Nothing without --json.
    void document(std::string_view json);
    // The first thing that could not be written to standard output: whoever asked has not got it.
    // Standard error may fail without harm.
    std::optional<Error> lost();
    // Bytes as they are (`cat`).
    Result<void> raw(std::string_view bytes);
    void warning(std::string_view text);
    void error(Error const& error);
    // With -v.
    void detail(std::string_view text);

    // Text in a colour, when standard output is a terminal that wants colours (NO_COLOR, TERM=dumb).
    std::string styled(Style style, std::string_view text) const;

    // A bar with rate and remaining time on a terminal, a plain line every ten seconds in a pipe,
    // events with --json.
    ProgressCallback progress(std::string name);
    void end_progress();

  private:
    struct Bar;
    void clear_bar();
    void put(std::string_view text);  // with the lock held
    OutputOptions options_;
    Clock& clock_;
    bool interactive_, colours_, error_colours_;
    std::mutex mutex_;
    std::unique_ptr<Bar> bar_;
    std::optional<Error> lost_;
};

}  // namespace holdfast::cli
