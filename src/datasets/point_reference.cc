#include "datasets/point_reference.h"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <regex>

#include "base/text.h"
#include "datasets/suspicion.h"

namespace holdfast {
namespace {

struct Wanted {
    std::string dataset;
    std::string prefix;         // of an id, lower-case hexadecimal; `dataset` may be one, too
    std::size_t before = 0;     // how many points before the latest
    std::optional<Time> time;   // the newest not after it
};

bool is_hex(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

Result<Wanted> parse_point_name(std::string_view text) {
    Wanted wanted;
    if (auto at = text.rfind('@'); at != std::string_view::npos) {
        wanted.dataset = text.substr(0, at);
        auto when = text.substr(at + 1);
        if (when != "latest") {
            auto time = parse_rfc3339(when).within(fmt::format("point '{}'", printable(text)));
            if (!time) {
                auto error = std::move(time.error());
                error.hint = "behind the last '@' stands latest, or a time: NAME@2026-11-22T10:31:07Z";
                return fail(std::move(error));
            }
            // Points are listed to the second: the time that was read there means the point of that line.
            bool whole_seconds = when.find('.') == std::string_view::npos;
            wanted.time = *time + (whole_seconds ? std::chrono::seconds(1) - Duration(1) : Duration(0));
        }
        return wanted;
    }
    if (auto tilde = text.rfind('~'); tilde != std::string_view::npos) {
        auto number = text.substr(tilde + 1);
        auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), wanted.before);
        if (error == std::errc() && end == number.data() + number.size()) {
            wanted.dataset = text.substr(0, tilde);
            return wanted;
        }
    }
    wanted.dataset = text;
    if (text.size() >= kPrefixDigitsMin && is_hex(text)) wanted.prefix = text;
    return wanted;
}

// A dataset may be called "feed" or "cafe". Its name wins over an id that begins so by chance: more
// digits name the id, and nothing else could name the dataset.
bool is_name(std::vector<PointInfo> const& points, std::string const& dataset) {
    return std::ranges::any_of(points, [&](auto const& info) { return info.point.dataset == dataset; });
}

Result<PointInfo> choose(PointList list, Wanted const& wanted, FindPointOptions options,
                         std::string_view text) {
    auto quoted = printable(text);
    if (!wanted.prefix.empty() && !is_name(list.points, wanted.dataset)) {
        std::vector<PointInfo> found;
        for (auto& info : list.points) {
            if (info.id.hex().starts_with(wanted.prefix)) found.push_back(std::move(info));
        }
        if (found.size() == 1) return std::move(found.front());
        if (found.size() > 1) {
            return fail(ErrorKind::usage, fmt::format("'{}' begins the ids of {} points", quoted, found.size()),
                        "write more digits of the id");
        }
        return fail(ErrorKind::not_found, fmt::format("no recovery point begins with '{}'", quoted),
                    "holdfast points lists them");
    }
    std::vector<std::string> names;
    std::vector<PointInfo> found;
    for (auto& info : list.points) {
        names.push_back(info.point.dataset);
        if (info.point.dataset != wanted.dataset) continue;
        if (wanted.time && info.point.time > *wanted.time) continue;
        if (options.whole_only && info.point.unreadable > 0) continue;
        found.push_back(std::move(info));
    }
    if (found.size() > wanted.before) return std::move(found[found.size() - 1 - wanted.before]);
    if (!found.empty()) {
        return fail(ErrorKind::not_found, fmt::format("'{}': there are only {} points of '{}'", quoted,
                                                      found.size(), printable(wanted.dataset)));
    }
    if (wanted.time && std::ranges::find(names, wanted.dataset) != names.end()) {
        return fail(ErrorKind::not_found, fmt::format("'{}': the oldest point is younger", quoted),
                    "holdfast points " + wanted.dataset + " shows what there is");
    }
    for (auto const& damaged : list.damaged) {
        return fail(ErrorKind::damaged,
                    fmt::format("no whole recovery point '{}', and {} damaged ones: {}: {}", quoted,
                                list.damaged.size(), damaged.key, damaged.error.message),
                    "holdfast verify names all of them");
    }
    auto near = nearest(wanted.dataset, names);
    return fail(ErrorKind::not_found, fmt::format("no recovery point '{}'", quoted),
                near.empty() ? "holdfast points lists them" : "did you mean '" + near + "'?");
}

}  // namespace

Result<PointReference> find_point(Workspace& workspace, std::string_view text, FindPointOptions options,
                                  std::stop_token stop) {
    auto wanted = TRY(parse_point_name(text));
    std::optional<Error> first;
    auto names = workspace.repositories();
    if (names.empty()) names.push_back(TRY(workspace.default_repository()));
    for (auto const& name : names) {
        auto look = [&]() -> Result<PointReference> {
            auto* repository = TRY(workspace.repository(name, {}, stop));
            auto list = TRY(repository->points(stop));
            auto damaged = list.damaged;
            std::vector<PointKey> clean;  // oldest first
            for (auto const& one : list.points) {
                if (one.point.dataset != wanted.dataset || one.point.attributes.contains(kSuspectAttribute)) continue;
                clean.push_back({dataset_tag(repository->keys(), wanted.dataset), one.point.time, one.id});
            }
            auto info = TRY(choose(std::move(list), wanted, options, text));
            std::vector<std::string> newer;
            // Who gave an id meant that point.
            bool by_name = info.point.dataset == wanted.dataset;
            if (by_name) newer = find_newer_damaged(*repository, damaged, info, wanted.time);
            PointReference found{.repository = name, .info = std::move(info), .newer_damaged = std::move(newer), .by_name = by_name};
            std::erase_if(clean, [&](PointKey const& one) { return one.time >= found.info.point.time; });
            if (by_name && !clean.empty()) found.clean = clean.back();
            return found;
        };
        auto found = look();
        if (found) return found;
        if (!first) first = found.error();
        // A copy may have what the first does not, or does not give. Anything else needs a person.
        auto kind = found.error().kind;
        if (kind != ErrorKind::unreachable && kind != ErrorKind::not_found) return found;
    }
    return fail(std::move(*first));
}

std::vector<std::string> find_newer_damaged(Repository const& repository, std::vector<DamagedPoint> const& damaged,
                                            PointInfo const& info, std::optional<Time> until) {
    std::vector<std::string> found;
    auto tag = dataset_tag(repository.keys(), info.point.dataset);
    for (auto const& point : damaged) {
        auto key = parse_point_key(point.key);
        if (!key || key->dataset != tag || key->time <= info.point.time) continue;
        if (until && key->time > *until) continue;
        found.push_back(fmt::format("{}: {}", point.key, point.error.message));
    }
    return found;
}

std::vector<std::string> stand_in_warnings(PointReference const& point) {
    std::vector<std::string> warnings;
    for (auto const& damaged : point.newer_damaged) {
        warnings.push_back(fmt::format("'{}': a newer point is damaged, {} of {} stands in for it: {}",
                                       printable(point.info.point.dataset), point.info.id.brief(),
                                       to_rfc3339(point.info.point.time), printable(damaged)));
    }
    auto const& attributes = point.info.point.attributes;
    if (auto suspect = attributes.find(kSuspectAttribute); suspect != attributes.end() && point.by_name) {
        auto clean = point.clean ? fmt::format("the newest that is not is {} of {}", point.clean->id.brief(),
                                               to_rfc3339(point.clean->time))
                                 : std::string("none before it is not");
        warnings.push_back(fmt::format("'{}': point {} of {} is suspect ({}); {}", printable(point.info.point.dataset),
                                       point.info.id.brief(), to_rfc3339(point.info.point.time),
                                       printable(suspect->second), clean));
    }
    return warnings;
}

void warn_of_stand_in(PointReference const& point, Warn const& warn) {
    if (!warn) return;
    for (auto const& warning : stand_in_warnings(point)) warn(warning);
}

std::pair<std::string, std::string> split_point_path(std::string_view text) {
    static std::regex const kMark(R"((@latest|@\d[\d-]*[Tt ][\d:.]+([Zz]|[+-]\d\d:\d\d)|@lsn:[0-9A-Fa-f]+/[0-9A-Fa-f]+|@xid:\d+|@name:.+|~\d+)(:|$))");
    std::string whole(text);
    std::size_t from = 0;
    for (std::string_view kind : {"files:", "models:", "postgres:"}) {
        if (text.starts_with(kind)) from = kind.size();
    }
    auto colon = whole.find(':', from);
    std::smatch mark;
    // Only ad hoc names hold colons. Behind that of another name, a mark is part of a path ("name:file~1").
    if (std::regex_search(whole, mark, kMark) &&
        (from > 0 || static_cast<std::size_t>(mark.position(1)) < colon)) {
        auto end = static_cast<std::size_t>(mark.position(3));
        if (mark.length(3) == 0) return {whole, ""};
        return {whole.substr(0, end), whole.substr(end + 1)};
    }
    if (colon == std::string::npos) return {whole, ""};
    return {whole.substr(0, colon), whole.substr(colon + 1)};
}

}  // namespace holdfast
