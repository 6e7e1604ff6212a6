#include "cli/shard_option.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdlib>

#include "base/text.h"

namespace holdfast::cli {
namespace {

std::optional<std::uint32_t> parse_number(std::string_view text) {
    std::uint32_t value = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || error != std::errc() || end != text.data() + text.size()) return {};
    return value;
}

std::optional<std::uint32_t> number_of(char const* variable) {
    auto const* text = std::getenv(variable);
    return text == nullptr ? std::nullopt : parse_number(text);
}

// Kubernetes counts from 0, Slurm from where the user said.
std::optional<std::uint32_t> index_in_job_array() {
    if (auto index = number_of("JOB_COMPLETION_INDEX")) return index;
    auto task = number_of("SLURM_ARRAY_TASK_ID");
    if (!task) return {};
    auto first = number_of("SLURM_ARRAY_TASK_MIN").value_or(0);
    if (*task < first) return {};
    return *task - first;
}

}  // namespace

OptionSpec shard_option_spec() {
    return {.flag = "--shard", .value = "I/N",
            .help = "only the I-th of N shares; N alone takes I from JOB_COMPLETION_INDEX or SLURM_ARRAY_TASK_ID"};
}

Result<Shard> shard_option(Invocation const& invocation) {
    auto text = invocation.value("shard");
    if (!text) return Shard{};
    auto wrong = [&](std::string what) {
        return fail(ErrorKind::usage, fmt::format("--shard {}: {}", printable(*text), what),
                    "--shard 3/16 is the third of sixteen shares; --shard 16 is for job arrays");
    };
    auto slash = text->find('/');
    auto count = parse_number(slash == std::string::npos ? *text : std::string_view(*text).substr(slash + 1));
    if (!count || *count == 0) return wrong("it is not known how many shares there are");
    if (slash != std::string::npos) {
        auto one_based = parse_number(std::string_view(*text).substr(0, slash));
        if (!one_based || *one_based == 0 || *one_based > *count) return wrong("there is no such share");
        return Shard{*one_based - 1, *count};
    }
    auto index = index_in_job_array();
    if (!index) return wrong("no job array says which share this is");
    if (*index >= *count) return wrong(fmt::format("the job array has a task {}", *index));
    return Shard{*index, *count};
}

}  // namespace holdfast::cli
