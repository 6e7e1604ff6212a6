#pragma once

#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "cli/output.h"

namespace holdfast::cli {

struct OptionSpec {
    std::string flag;        // "--dry-run", or with a short one "-n,--dry-run"
    std::string value = {};  // what it takes, for people: "FILE"; empty: a switch
    std::string help;
    bool many = false;       // may be given several times
};

struct ArgumentSpec {
    std::string name;        // "POINT"
    std::string help;
    bool optional = false;
    bool many = false;       // takes all that follow
};

class Invocation;

// One command, stated once. `run` returns the exit code; an error is shown and mapped by exit_code().
struct Command {
    std::string name;     // "backup", or "key export" for a command of a group
    std::string summary;  // one line
    std::string details;  // paragraphs for --help and the man page
    std::vector<ArgumentSpec> arguments;
    std::vector<OptionSpec> options;
    Result<int> (*run)(Invocation&);
    bool hidden = false;
};

// What the user typed, and what every command works with.
class Invocation {
  public:
    Invocation(Command const& command, Output& output, std::stop_token stop)
        : command(command), output(output), stop(stop) {}

    // Switches, and values by the long flag's name without dashes: "dry-run".
    bool has(std::string_view option) const { return values_.contains(std::string(option)); }
    std::optional<std::string> value(std::string_view option) const;
    std::vector<std::string> all(std::string_view option) const;
    // usage when it is not what it should be.
    Result<std::optional<Duration>> duration(std::string_view option) const;
    Result<std::optional<std::uint64_t>> number(std::string_view option) const;
    Result<std::optional<Time>> time(std::string_view option) const;

    // Positional arguments by name; the parser has checked that required ones are there.
    std::string argument(std::string_view name) const;
    std::vector<std::string> arguments(std::string_view name) const;
    bool has_argument(std::string_view name) const { return !arguments(name).empty(); }

    Command const& command;
    Output& output;
    std::stop_token stop;

    void set(std::string name, std::vector<std::string> values) {
        values_[std::move(name)] = std::move(values);
    }

  private:
    std::map<std::string, std::vector<std::string>> values_;
};

// All commands, in the order of the help.
std::vector<Command> const& commands();
// Options that every command takes.
std::vector<OptionSpec> const& global_options();

// Parses and runs: what main() does. Returns the exit code.
int run(int argc, char** argv);

// Made from the same statements as --help.
std::string man_page();
std::string bash_completion();

}  // namespace holdfast::cli
