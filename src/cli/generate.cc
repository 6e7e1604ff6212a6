// The man page and the shell completion, made from the same statements as --help.
#include <fmt/format.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/exit_code.h"

namespace holdfast::cli {
namespace {

// Text for troff: a hyphen that is typed is \-, a backslash is \e, a leading dot is hidden.
std::string roff(std::string_view text) {
    std::string out;
    for (char c : text) {
        if (c == '-') {
            out += "\\-";
        } else if (c == '\\') {
            out += "\\e";
        } else {
            out += c;
        }
    }
    if (out.starts_with('.') || out.starts_with('\'')) out.insert(0, "\\&");
    return out;
}

std::string option_entry(OptionSpec const& option) {
    auto flags = split(option.flag, ',');
    std::string shown;
    for (auto const& flag : flags) shown += (shown.empty() ? "" : ", ") + roff(flag);
    auto value = option.value.empty() ? "" : " \\fI" + roff(option.value) + "\\fR";
    return fmt::format(".TP\n\\fB{}\\fR{}\n{}\n", shown, value, roff(option.help));
}

std::string long_flag(OptionSpec const& option) { return option.flag.substr(option.flag.rfind("--")); }

Result<int> run_generate(Invocation& invocation) {
    auto what = invocation.argument("WHAT");
    if (what == "man") {
        TRY(invocation.output.raw(man_page()));
    } else if (what == "bash-completion") {
        TRY(invocation.output.raw(bash_completion()));
    } else {
        return fail(ErrorKind::usage, fmt::format("'{}' can't be generated", printable(what)),
                    "man or bash-completion");
    }
    return kDone;
}

}  // namespace

std::string man_page() {
    std::string page = ".TH HOLDFAST 1 \"\" \"holdfast " HOLDFAST_VERSION "\" \"User Commands\"\n"
                       ".SH NAME\nholdfast \\- disaster recovery that proves itself\n"
                       ".SH SYNOPSIS\n.B holdfast\n[\\fIOPTIONS\\fR] \\fICOMMAND\\fR ...\n"
                       ".SH DESCRIPTION\nProtects databases, model files and configuration by a plan, restores them, "
                       "rehearses the recovery, and leaves signed evidence of what was measured.\n"
                       ".SH COMMANDS\n";
    for (auto const& command : commands()) {
        if (command.hidden) continue;
        std::string arguments;
        for (auto const& argument : command.arguments) {
            auto shown = "\\fI" + roff(argument.name) + "\\fR" + (argument.many ? " ..." : "");
            arguments += argument.optional ? " [" + shown + "]" : " " + shown;
        }
        page += fmt::format(".SS holdfast {}{}\n{}.\n", roff(command.name), arguments, roff(command.summary));
        if (!command.details.empty()) page += ".PP\n" + roff(command.details) + "\n";
        for (auto const& argument : command.arguments) {
            page += fmt::format(".TP\n\\fI{}\\fR\n{}\n", roff(argument.name), roff(argument.help));
        }
        for (auto const& option : command.options) page += option_entry(option);
    }
    page += ".SH OPTIONS OF EVERY COMMAND\n";
    for (auto const& option : global_options()) page += option_entry(option);
    page += ".SH EXIT STATUS\n"
            ".TP\n0\ndone\n.TP\n1\ninternal fault\n.TP\n2\nusage or plan at fault\n"
            ".TP\n3\ndone in part: something could not be read or set\n.TP\n4\nnot found\n"
            ".TP\n5\nkey refused\n.TP\n6\nrepository damaged\n.TP\n7\nverification, check or drill failed\n"
            ".TP\n8\nobjective missed\n.TP\n9\nstore or server unreachable, or a disk full\n"
            ".TP\n10\nrefused for safety\n.TP\n130\nstopped by the user\n";
    return page;
}

std::string bash_completion() {
    std::string words, cases;
    std::map<std::string, std::string> groups;
    for (auto const& command : commands()) {
        if (command.hidden) continue;
        std::string options;
        for (auto const& option : command.options) options += long_flag(option) + " ";
        auto space = command.name.find(' ');
        if (space != std::string::npos) groups[command.name.substr(0, space)] += command.name.substr(space + 1) + " ";
        else words += command.name + " ";
        cases += fmt::format("        '{0}'|'{0} '*) own='{1}' ;;\n", command.name, options);
    }
    std::string group_cases;
    for (auto const& [group, members] : groups) {
        words += group + " ";
        group_cases += fmt::format("        '{}') own='{}' ;;\n", group, members);
    }
    // The word behind an option that takes a value is no command.
    std::string global, valued;
    for (auto const& option : global_options()) {
        global += long_flag(option) + " ";
        if (option.value.empty()) continue;
        for (auto const& flag : split(option.flag, ',')) valued += (valued.empty() ? "" : "|") + flag;
    }
    return fmt::format(R"(# bash completion of holdfast; made by `holdfast generate bash-completion`
_holdfast() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} command= previous= word own=
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        case $previous in {}) previous=; continue ;; esac
        previous=$word
        case $word in -*) ;; *) command="${{command:+$command }}$word" ;; esac
    done
    case $command in
        '') own='{}' ;;
{}{}    esac
    if [[ $current == -* ]]; then
        COMPREPLY=($(compgen -W "$own {}" -- "$current"))
    elif [[ -n $own && $own != --* ]]; then
        COMPREPLY=($(compgen -W "$own" -- "$current"))
    else
        COMPREPLY=($(compgen -f -- "$current"))
    fi
}}
complete -o filenames -F _holdfast holdfast
)",
                       valued, words, group_cases, cases, global);
}

Command generate_command() {
    return {.name = "generate",
            .summary = "print the man page or the shell completion",
            .details = "",
            .arguments = {{"WHAT", "man or bash-completion"}},
            .options = {},
            .run = run_generate,
            .hidden = true};
}

}  // namespace holdfast::cli
