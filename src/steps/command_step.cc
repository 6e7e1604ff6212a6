#include "steps/command_step.h"

#include <cstdlib>
#include <unistd.h>

#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"
#include "os/file.h"
#include "os/process.h"
#include "steps/arguments.h"

extern char** environ;

namespace holdfast::steps {
namespace {

namespace fs = std::filesystem;

bool is_kept(std::string_view variable) {
    return variable == "PATH" || variable == "HOME" || variable == "LANG" || variable == "TZ";
}

// Our environment is not the program's: it may hold what unlocks the repository.
std::vector<std::string> variables_to_remove() {
    std::vector<std::string> names;
    for (auto** entry = environ; entry && *entry; ++entry) {
        std::string_view const text(*entry);
        auto const name = text.substr(0, text.find('='));
        if (!is_kept(name)) names.emplace_back(name);
    }
    return names;
}

bool is_program(fs::path const& path) {
    std::error_code failed;
    return fs::is_regular_file(path, failed) && ::access(path.c_str(), X_OK) == 0;
}

// Whether the program can be started; its PATH is ours unless the step sets another one.
Result<void> find_program(std::string const& name, std::string const& search) {
    if (name.find('/') != std::string::npos) {
        if (is_program(name)) return {};
    } else {
        for (auto const& directory : split(search, ':')) {
            if (is_program(fs::path(directory.empty() ? "." : directory) / name)) return {};
        }
    }
    return fail(ErrorKind::not_found, "program '" + printable(name) + "' is not here",
                "install it on this machine, or name its whole path");
}

class CommandStep : public runbook::Step {
  public:
    explicit CommandStep(std::optional<Isolation> isolation) : isolation_(std::move(isolation)) {}

    bool idempotent() const override { return false; }

    Result<std::string> describe(Value const& arguments) const override {
        auto const command = TRY(command_of(arguments));
        auto text = "run " + shown_command(command.argv);
        if (!command.directory.empty()) text += "\nin " + printable(command.directory);
        std::vector<std::string> names;
        for (auto const& [name, value] : command.environment) names.push_back(name);
        if (!names.empty()) text += "\nwith the variables " + join(names, ", ");
        return text;
    }

    Result<void> preflight(Value const& arguments, std::stop_token) override {
        auto const command = TRY(command_of(arguments));
        auto const known = [](std::string const& text) { return runbook::is_known(Value(text)); };
        if (!command.directory.empty() && known(command.directory)) {
            std::error_code failed;
            if (!fs::is_directory(command.directory, failed)) {
                return fail(ErrorKind::not_found,
                            "directory '" + printable(command.directory) + "' is not here");
            }
        }
        auto const path = command.environment.find("PATH");
        auto const* ours = std::getenv("PATH");
        auto const search = path != command.environment.end() ? path->second : ours ? ours : "/usr/bin:/bin";
        if (known(command.argv.front()) && known(search)) TRY(find_program(command.argv.front(), search));
        return {};
    }

    Result<runbook::StepResult> run(runbook::StepContext& context) override {
        if (isolation_) TRY(isolation_->allow_step(context.step_name(), "command"));
        auto const command = TRY(command_of(context.arguments()));
        TRY(context.record_effect("command", Value(shown_command(command.argv))));
        auto const began = context.clock().elapsed();
        auto const result = TRY(holdfast::run(command, context.stop()));
        TRY(keep_output(context, result));
        if (!result.success()) return fail(failure_of(command, result));
        runbook::StepResult done;
        done.outputs.set("exit_code", 0);
        done.summary = fmt::format("exit code 0 in {}", format_duration(context.clock().elapsed() - began));
        return done;
    }

  private:
    static Result<Command> command_of(Value const& arguments) {
        Command command;
        command.argv = TRY(required_texts(arguments, "argv"));
        command.directory = arguments.member_text("directory");
        command.environment_removed = variables_to_remove();
        if (auto const* variables = arguments.find("environment")) {
            for (auto const& variable : variables->members()) {
                command.environment[variable.name] = variable.value.scalar();
            }
        }
        std::erase_if(command.environment_removed, [&](std::string const& name) {
            return command.environment.contains(name);
        });
        return command;
    }

    static Result<void> keep_output(runbook::StepContext& context, ProcessResult const& result) {
        auto const directory = TRY(context.scratch());
        auto const attempt = context.attempt();
        auto const out = directory / fmt::format("output-{}.txt", attempt);
        TRY(write_file_durably(out.string(), as_bytes(result.out), 0600));
        auto const err = directory / fmt::format("errors-{}.txt", attempt);
        TRY(write_file_durably(err.string(), as_bytes(result.err), 0600));
        return {};
    }

    std::optional<Isolation> isolation_;
};

}  // namespace

std::unique_ptr<runbook::Step> make_command_step(std::optional<Isolation> isolation) {
    return std::make_unique<CommandStep>(std::move(isolation));
}

}  // namespace holdfast::steps
