// The only file that sees CLI11: it costs five seconds to compile.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <fmt/format.h>
#include <iostream>

#include "base/text.h"
#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/output.h"
#include "cli/workspace_options.h"
#include "os/signals.h"

namespace holdfast::cli {
namespace {

// The long flag's name without dashes: "-n,--dry-run" is "dry-run".
std::string option_name(OptionSpec const& option) {
    auto at = option.flag.rfind("--");
    return option.flag.substr(at + 2);
}

struct Values {
    std::map<std::string, std::vector<std::string>> texts;
    std::map<std::string, std::string> singles;  // positional arguments of which there is one
    std::map<std::string, bool> switches;
};

void add_option(CLI::App& app, OptionSpec const& option, Values& values) {
    auto name = option_name(option);
    if (option.value.empty()) {
        app.add_flag(option.flag, values.switches[name], option.help);
    } else {
        auto* added = app.add_option(option.flag, values.texts[name], option.help);
        added->type_name(option.value)->type_size(1)->allow_extra_args(false);
        if (!option.many) added->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
    }
}

void add_command(CLI::App& app, Command const& command, Values& values) {
    app.description(command.summary + (command.details.empty() ? "" : "\n\n" + command.details));
    for (auto const& argument : command.arguments) {
        auto* added = argument.many
                          ? app.add_option(argument.name, values.texts[argument.name], argument.help)
                          : app.add_option(argument.name, values.singles[argument.name], argument.help);
        if (!argument.optional) added->required();
        added->type_name("");
    }
    for (auto const& option : command.options) add_option(app, option, values);
    app.fallthrough();  // global options may stand behind the command, too
}

std::string first_word(std::string const& name) { return name.substr(0, name.find(' ')); }

// Help for people: at the top one line for each command, what belongs to it wrapped, and "..." only
// where more than one value is taken (CLI11 shows it behind every option that may stand again).
class Help : public CLI::Formatter {
  public:
    std::string make_subcommand(CLI::App const* sub) const override {
        auto text = sub->get_description();
        std::stringstream out;
        CLI::detail::format_help(out, sub->get_name(), text.substr(0, text.find('\n')), get_column_width());
        return out.str();
    }
    std::string make_description(CLI::App const* app) const override { return wrap(app->get_description()) + "\n"; }
    std::string make_option_opts(CLI::Option const* option) const override {
        if (option->get_positional()) return CLI::Formatter::make_option_opts(option);
        return option->get_type_name().empty() ? "" : " " + option->get_type_name();
    }

  private:
    static constexpr std::size_t kLineMax = 100;
    static std::string wrap(std::string const& text) {
        std::string out;
        std::size_t column = 0;
        for (auto const& line : split(text, '\n')) {
            if (!out.empty()) out += '\n';
            column = 0;
            for (auto const& word : split(line, ' ')) {
                if (column > 0 && column + 1 + word.size() > kLineMax) {
                    out += '\n';
                    column = 0;
                }
                if (column > 0) {
                    out += ' ';
                    ++column;
                }
                out += word;
                column += word.size();
            }
        }
        return out;
    }
};

struct Parsed {
    CLI::App* app;
    Command const* command;
    std::unique_ptr<Values> values;
};

// "unknown command 'bakup'" with the nearest name.
int refuse_unknown(std::string const& word) {
    std::vector<std::string> names;
    for (auto const& command : commands()) {
        if (!command.hidden) names.push_back(first_word(command.name));
    }
    auto near = nearest(word, names);
    print_error(fmt::format("error: unknown command '{}'\nhint: {}\n", printable(word),
                            near.empty() ? "holdfast --help lists the commands"
                                         : "did you mean '" + near + "'?"));
    return kUsage;
}

int run_command(Command const& command, Values& global, Values& own) {
    OutputOptions options{.json = global.switches["json"],
                          .quiet = global.switches["quiet"],
                          .verbose = global.switches["verbose"],
                          .progress = !global.switches["no-progress"]};
    StopOnSignals signals;
    take_password_from_environment();
    Output output(options, system_clock());
    Invocation invocation(command, output, signals.token());
    for (auto const* values : {&global, &own}) {
        for (auto const& [name, texts] : values->texts) {
            if (!texts.empty()) invocation.set(name, texts);
        }
        for (auto const& [name, text] : values->singles) {
            if (!text.empty()) invocation.set(name, {text});
        }
        for (auto const& [name, on] : values->switches) {
            if (on) invocation.set(name, {"1"});
        }
    }
    auto result = command.run(invocation);
    output.end_progress();
    if (!result) {
        output.error(result.error());
        return exit_code(result.error().kind);
    }
    auto lost = output.lost();
    if (!lost) return *result;
    output.error(*lost);
    return *result == kDone ? exit_code(lost->kind) : *result;
}

}  // namespace

int run(int argc, char** argv) {
    CLI::App app("Disaster recovery that proves itself.", "holdfast");
    app.set_version_flag("--version", "holdfast " HOLDFAST_VERSION);
    app.require_subcommand(0, 1);
    app.formatter(std::make_shared<Help>());  // commands inherit it
    app.footer("holdfast COMMAND --help tells more. The manual is in docs/.");

    Values global;
    for (auto const& option : global_options()) add_option(app, option, global);

    std::vector<Parsed> parsed;
    std::map<std::string, CLI::App*> groups;
    for (auto const& command : commands()) {
        CLI::App* parent = &app;
        auto space = command.name.find(' ');
        auto name = command.name;
        if (space != std::string::npos) {
            auto group = command.name.substr(0, space);
            name = command.name.substr(space + 1);
            if (!groups.contains(group)) {
                groups[group] = app.add_subcommand(group, "");
                groups[group]->require_subcommand(1);
                groups[group]->fallthrough();
            }
            parent = groups[group];
            auto described = parent->get_description();
            parent->description(described.empty() ? name : described + ", " + name);
        }
        auto* sub = parent->add_subcommand(name, command.summary);
        if (command.hidden) sub->group("");
        parsed.push_back({sub, &command, std::make_unique<Values>()});
        add_command(*sub, command, *parsed.back().values);
    }

    if (argc > 1 && argv[1][0] != '-') {
        bool known = false;
        for (auto const& command : commands()) known = known || first_word(command.name) == argv[1];
        if (!known) return refuse_unknown(argv[1]);
    }
    try {
        app.parse(argc, argv);
    } catch (CLI::Success const& help) {
        auto code = app.exit(help);
        std::cout.flush();
        return code == 0 && !std::cout.good() ? kUnreachable : code;
    } catch (CLI::ParseError const& error) {
        print_error(fmt::format("error: {}\nhint: add --help for what the command takes\n",
                                printable(error.what())));
        return kUsage;
    }
    for (auto const& candidate : parsed) {
        if (candidate.app->parsed()) return run_command(*candidate.command, global, *candidate.values);
    }
    std::cout << app.help();
    return kUsage;
}

}  // namespace holdfast::cli
