#include "sources/postgres/recovery_settings.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <vector>

namespace holdfast::postgres {
namespace {

constexpr std::string_view kBegin = "# Holdfast: recovery, without meaning once it is over\n";
constexpr std::string_view kEnd = "# Holdfast: end\n";

std::string without_block(std::string_view text) {
    std::string kept(text);
    for (auto begin = kept.find(kBegin); begin != kept.npos; begin = kept.find(kBegin)) {
        auto end = kept.find(kEnd, begin);
        kept.erase(begin, end == kept.npos ? kept.npos : end + kEnd.size() - begin);
    }
    if (!kept.empty() && kept.back() != '\n') kept += '\n';
    return kept;
}

std::string in_quotes(std::string_view value) {
    std::string text = "'";
    for (char c : value) {
        if (c == '\'' || c == '\\') text += c;
        text += c;
    }
    return text + "'";
}

// In UTC, whatever the cluster's time zone is. Microseconds are what commits have.
std::string timestamp(Time time) {
    auto micro = std::chrono::floor<std::chrono::microseconds>(time);
    auto seconds = std::chrono::floor<std::chrono::seconds>(micro);
    return fmt::format("{:%Y-%m-%d %H:%M:%S}.{:06}+00", fmt::gmtime(std::chrono::system_clock::to_time_t(seconds)),
                       (micro - seconds).count());
}

}  // namespace

std::string with_recovery_settings(std::string_view auto_conf, LogPlan const& plan, bool to_the_end) {
    // Two targets are an error, and each setting is taken over in the order of the file: what an old configuration says
    // is taken back before ours is said.
    std::vector<std::pair<std::string, std::string>> settings{
        {"recovery_target", ""},
        {"recovery_target_time", ""},
        {"recovery_target_lsn", ""},
        {"recovery_target_xid", ""},
        {"recovery_target_name", ""},
        {"restore_command", std::string(kNoRestoreCommand)},
        {"archive_cleanup_command", ""},
        {"recovery_end_command", ""},
        {"recovery_target_inclusive", "on"},
        {"recovery_target_action", "promote"},
        {"recovery_target_timeline", fmt::format("{}", plan.course.back().timeline)}};
    auto const& target = plan.target;
    auto set = [&](std::string const& name, std::string value) {
        std::erase_if(settings, [&](auto const& setting) { return setting.first == name; });
        settings.emplace_back(name, std::move(value));
    };
    if (!to_the_end) {
        using Kind = RecoveryTarget::Kind;
        if (target.kind == Kind::time) set("recovery_target_time", timestamp(target.time));
        if (target.kind == Kind::lsn) set("recovery_target_lsn", to_text(target.lsn));
        if (target.kind == Kind::transaction) set("recovery_target_xid", fmt::format("{}", target.transaction));
        if (target.kind == Kind::name) set("recovery_target_name", target.name);
    }
    if (plan.then == LogPlan::Then::stay) {
        set("recovery_target_action", "pause");
        set("hot_standby", "on");
        set("primary_conninfo", "");
    }
    auto text = without_block(auto_conf);
    text += kBegin;
    for (auto const& [name, value] : settings) text += fmt::format("{} = {}\n", name, in_quotes(value));
    text += kEnd;
    return text;
}

}  // namespace holdfast::postgres
