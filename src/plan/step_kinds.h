#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::plan {

// What an argument of a step must be. Everywhere a text with a ${placeholder} may stand instead.
enum class ArgumentType {
    text,
    scalar,  // text, number or boolean
    boolean,
    integer,
    duration,
    secret,   // a SecretReference
    texts,    // one text or a list of them
    map,      // names to scalars
    dataset,  // the name of one
    service,
    step,    // an earlier step of the runbook
    people,  // one or more people and teams
    path,    // absolute
};

struct Argument {
    std::string_view name;
    ArgumentType type = ArgumentType::text;
    bool required = false;
    std::string_view description;
};

struct StepKind {
    std::string_view name;
    std::string_view description;
    bool available = false;   // false: known and kept, but this version cannot run it
    bool idempotent = false;  // may be run again after a crash without asking
    std::vector<Argument> arguments;
    // What a later step may write as ${step.output}; empty: not known beforehand.
    std::vector<std::string_view> outputs = {};

    Argument const* find(std::string_view argument) const;
    // Whether the first argument may stand alone, without the mapping: `manual: "Call them"`.
    bool short_form() const;
};

std::span<StepKind const> step_kinds();
StepKind const* find_step_kind(std::string_view name);

}  // namespace holdfast::plan
