#include "steps/restore_step.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <unistd.h>

#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"
#include "datasets/moment.h"
#include "datasets/restore_export.h"
#include "datasets/restore_point.h"
#include "datasets/source_factory.h"
#include "os/machine.h"
#include "sources/exports/client_programs.h"
#include "sources/exports/export_cluster.h"
#include "sources/postgres/conninfo.h"
#include "sources/postgres/data_directory.h"
#include "sources/postgres/programs.h"
#include "sources/postgres/restore.h"
#include "sources/postgres/tablespaces.h"
#include "steps/arguments.h"
#include "steps/stand_in.h"

namespace holdfast::steps {
namespace {

namespace fs = std::filesystem;

std::string_view kind_name(RestoreKind kind) {
    switch (kind) {
        case RestoreKind::any: return "";
        case RestoreKind::files: return "files";
        case RestoreKind::models: return "models";
        case RestoreKind::postgres: return "postgres";
    }
    return "";
}

// The nearest directory above (or at) the path that exists.
fs::path existing_parent(fs::path path) {
    std::error_code failed;
    while (!fs::exists(path, failed) && path.has_relative_path()) path = path.parent_path();
    return path;
}

bool is_export(PointReference const& point) { return point.info.point.kind == postgres::kExportKind; }

Result<void> check_room(fs::path const& target, RecoveryPoint const& point, std::uint64_t log_bytes) {
    auto const parent = existing_parent(target);
    if (::access(parent.c_str(), W_OK) != 0) {
        return fail(ErrorKind::usage, fmt::format("'{}' cannot be written by this user", printable(parent.string())));
    }
    // What is there already is written over: then nobody can tell how much more is needed.
    std::error_code failed;
    if (fs::exists(target, failed) && (!fs::is_directory(target, failed) || !fs::is_empty(target, failed))) return {};
    auto const space = TRY(space_of(parent.string()));
    // Beside the files of an export there is the cluster made of them, with its indexes and its log.
    auto const times = point.kind == postgres::kExportKind ? 3u : 1u;
    auto const needed = times * point.bytes + log_bytes;
    if (space.available < needed) {
        return fail(ErrorKind::no_space,
                    fmt::format("'{}' has room for {}, and {} come back", printable(parent.string()),
                                format_bytes(space.available), format_bytes(needed)),
                    "make room, or restore into another place");
    }
    return {};
}

// What validation found, for evidence: how often each verdict, and the findings that say most.
Value findings_value(std::vector<Finding> const& findings) {
    constexpr std::size_t kept_max = 30;
    std::map<Finding::Verdict, std::int64_t> counts;
    for (auto const& finding : findings) ++counts[finding.verdict];
    Value value;
    using enum Finding::Verdict;
    for (auto verdict : {verified, suspicious, damaged, not_verified}) {
        value.set(std::string(name(verdict)), counts[verdict]);
    }
    Value::List details;
    for (auto verdict : {damaged, suspicious, not_verified, verified}) {
        for (auto const& finding : findings) {
            if (finding.verdict != verdict || details.size() == kept_max) continue;
            Value detail;
            detail.set("object", printable(finding.object));
            detail.set("verdict", std::string(name(verdict)));
            detail.set("detail", finding.detail);
            details.push_back(std::move(detail));
        }
    }
    value.set("details", std::move(details));
    return value;
}

// Whether this machine has the server that the point's cluster needs.
Result<void> check_server(RecoveryPoint const& point, std::stop_token stop) {
    auto const version = point.attributes.find("server_version");
    if (version == point.attributes.end()) return {};
    auto const major = std::atoi(version->second.c_str());
    if (point.kind == postgres::kExportKind) {
        for (auto const* program : {"postgres", "initdb", "pg_restore"})
            TRY(postgres::find_client_program(major, program, stop));
        return {};
    }
    TRY(postgres::find_program(major, "postgres", stop));
    return {};
}

struct Request {
    plan::Dataset dataset;
    PointReference point;
    std::optional<postgres::LogPlan> log;
    Time time;  // whose state comes back
    fs::path target;
    bool start = false;
    bool special_bits = false;
};

class RestoreStep : public runbook::Step {
  public:
    RestoreStep(RestoreKind kind, StepWorld const& world) : kind_(kind), world_(world) {}

    // Writes only what differs, so it can always go on.
    bool idempotent() const override { return true; }

    Result<std::string> describe(Value const& arguments) const override {
        auto const name = TRY(required_text(arguments, "dataset"));
        auto const to = arguments.member_text("to", "latest");
        std::string text = "restore '" + name + "' as of " + to;
        auto into = arguments.member_text("into");
        if (runbook::is_known(Value(name)) && runbook::is_known(Value(to))) {
            auto const request = TRY(resolve(arguments, {}, {}));
            auto const& point = request.point.info;
            text = fmt::format("restore '{}' from point {} of {} in '{}': {} files, {}", name, point.id.brief(),
                               to_rfc3339(point.point.time), request.point.repository, point.point.files,
                               format_bytes(point.point.bytes));
            if (request.log) text += fmt::format(", and up to {} of log to {}", format_bytes(request.log->bytes()),
                                                 postgres::to_text(request.log->target));
            into = request.target.string();
        }
        text += "\ninto " + (into.empty() ? "where it came from" : printable(into));
        if (arguments.member_text("start") == "true") text += "\nand start it on a Unix socket, until the run ends";
        return text;
    }

    Result<void> preflight(Value const& arguments, std::stop_token stop) override {
        if (!is_given(arguments, "dataset")) return {};
        if (arguments.find("to") && !is_given(arguments, "to")) return {};
        auto const request = TRY(resolve(arguments, {}, stop));
        if (world_.isolation) TRY(world_.isolation->allow_target(request.target));
        if (request.start) TRY(check_server(request.point.info.point, stop));
        return check_room(request.target, request.point.info.point, request.log ? request.log->bytes() : 0);
    }

    Result<runbook::StepResult> run(runbook::StepContext& context) override {
        auto const& arguments = context.arguments();
        auto const name = TRY(required_text(arguments, "dataset"));
        Chosen const chosen{.begun = context.effects().member_text("point"), .latest = context.point_of(name)};
        auto const request = TRY(resolve(arguments, chosen, context.stop()));
        if (world_.isolation) TRY(world_.isolation->allow_target(request.target));
        TRY(tell_stand_in(request.point, world_, context));
        TRY(context.record_effect("point", Value(request.point.info.id.hex())));
        TRY(context.record_effect("target", Value(printable(request.target.string()))));
        auto result = TRY(earlier_result(request, context));
        if (!result) {
            auto const restored = TRY(restore_or_take_over(request, context));
            TRY(context.record_effect("validated", findings_value(restored.findings)));
            TRY(check_whole(request, restored));
            auto const differences = TRY(compare(request, restored, context.stop()));
            result = result_of(request, restored, differences);
            Value whole;
            whole.set("target", printable(request.target.string()));
            whole.set("outputs", result->outputs);
            whole.set("summary", result->summary);
            TRY(context.record_effect("restored", whole));
        }
        if (request.start) {
            auto const cluster = TRY(world_.clusters.keep(request.target, context.stop()));
            result->outputs.set("socket", cluster->socket_directory().string());
            result->summary += "; started";
        }
        return std::move(*result);
    }

  private:
    // Ids of points; empty: none was chosen.
    struct Chosen {
        std::string begun;   // by an earlier attempt at this step
        std::string latest;  // as the dataset's latest, when the run began
    };

    Result<Request> resolve(Value const& arguments, Chosen const& chosen, std::stop_token stop) const {
        auto const name = TRY(required_text(arguments, "dataset"));
        Request request;
        request.dataset = TRY(world_.workspace.dataset(name));
        auto const wanted = kind_name(kind_);
        auto const kind = plan::to_text(request.dataset.kind);
        if (!wanted.empty() && kind != wanted) {
            return fail(ErrorKind::usage, fmt::format("dataset '{}' is of kind {}, not {}", name, kind, wanted));
        }
        auto const to = arguments.member_text("to");
        MomentOptions options{.timeline = "latest", .point = chosen.begun};
        if (auto const timeline = arguments.member_text("timeline"); !timeline.empty()) options.timeline = timeline;
        if (options.point.empty() && (to.empty() || to == "latest")) options.point = chosen.latest;
        auto moment = TRY(find_moment(world_.workspace, moment_text(name, to), options, stop));
        request.point = std::move(moment.point);
        request.log = std::move(moment.log);
        request.time = moment.time;
        if (request.point.info.point.dataset != name) {
            return fail(ErrorKind::usage, fmt::format("point {} is of dataset '{}', not '{}'",
                                                      request.point.info.id.brief(),
                                                      printable(request.point.info.point.dataset), name));
        }
        if (auto const repository = arguments.member_text("repository"); !repository.empty()) {
            request.point.repository = repository;
        }
        request.start = TRY(boolean(arguments, "start"));
        request.special_bits = TRY(boolean(arguments, "special_bits"));
        request.target = TRY(target_of(arguments.member_text("into"), request.point.info.point));
        return request;
    }

    static std::string moment_text(std::string const& dataset, std::string const& to) {
        if (to.empty()) return dataset + "@latest";
        bool const moment = to == "latest" || parse_rfc3339(to) || to.starts_with("lsn:") || to.starts_with("xid:") ||
                            to.starts_with("name:");
        return moment ? dataset + "@" + to : to;
    }

    static Result<fs::path> target_of(std::string const& into, RecoveryPoint const& point) {
        fs::path const target = into.empty() ? point.root : into;
        if (target.is_absolute() && target.lexically_normal() != "/") return target;
        if (into.empty()) {
            return fail(ErrorKind::usage, "the point does not say where '" + printable(point.dataset) + "' was",
                        "say where it goes: into: /a/directory");
        }
        return fail(ErrorKind::usage, "'" + printable(into) + "' is no absolute path of a directory",
                    "say where it goes: into: /a/directory");
    }

    // A database that was restored and proven by an attempt that was cut off when it was started: it may have been
    // written to since, and can be neither restored nor proven again. Everything else is simply done again.
    Result<std::optional<runbook::StepResult>> earlier_result(Request const& request,
                                                              runbook::StepContext& context) const {
        std::optional<runbook::StepResult> none;
        auto const effects = context.effects();
        auto const* whole = effects.find("restored");
        auto const* outputs = whole ? whole->find("outputs") : nullptr;
        if (!outputs || request.dataset.kind != plan::DatasetKind::postgres) return none;
        if (outputs->member_text("point") != request.point.info.id.hex()) return none;
        if (whole->member_text("target") != printable(request.target.string())) return none;
        auto const there = TRY(postgres::inspect_directory(request.target));
        if (there.kind != postgres::DirectoryState::Kind::occupied) return none;
        if (!holds(request)) return none;
        return std::optional(runbook::StepResult{.outputs = *outputs, .summary = whole->member_text("summary")});
    }

    // A database goes into an empty directory only. One that was empty when this step began, and is a whole cluster
    // now, is what an attempt that was cut off had finished: it is proven instead of restored.
    Result<RestoredPoint> restore_or_take_over(Request const& request, runbook::StepContext& context) const {
        if (request.dataset.kind != plan::DatasetKind::postgres) return restore(request, context);
        using Kind = postgres::DirectoryState::Kind;
        auto const there = TRY(postgres::inspect_directory(request.target));
        auto const target = printable(request.target.string());
        auto const began_empty = context.effects().member_text("began_empty") == target;
        if (there.kind == Kind::missing || there.kind == Kind::empty) {
            TRY(context.record_effect("began_empty", Value(target)));
        } else if (there.kind == Kind::occupied && began_empty && !there.server) {
            if (!holds(request)) return restore(request, context);  // which refuses it
            if (is_export(request.point)) return whole_export(request);
            auto const source = TRY(make_restoring_source("postgres"));
            RestoredPoint finished;
            finished.findings = TRY(source->validate(request.target, context.stop()));
            finished.result.files = request.point.info.point.files;
            finished.result.bytes = request.point.info.point.bytes;
            finished.verified = has_manifest(finished) && request.point.info.point.unreadable == 0;
            if (finished.verified) return finished;
        }
        return restore(request, context);
    }

    static bool holds(Request const& request) {
        auto const& info = request.point.info;
        if (is_export(request.point)) return postgres::holds_export(request.target, info.id.hex());
        auto const ours = postgres::holds_point(request.target, info.point);
        return ours && *ours;
    }

    // Its cluster was given its name when every row in it had been counted.
    static RestoredPoint whole_export(Request const& request) {
        RestoredPoint finished;
        finished.result.files = request.point.info.point.files;
        finished.result.bytes = request.point.info.point.bytes;
        finished.verified = request.point.info.point.unreadable == 0;
        return finished;
    }

    Result<RestoredPoint> restore(Request const& request, runbook::StepContext& context) const {
        RestorePointOptions options;
        options.target = request.target;
        // Nobody but us can enter an isolated place, so nobody can use what is special there.
        options.restore.set_special_bits = with_special_bits(request);
        options.tablespaces = TRY(tablespaces(request));
        options.log = request.log;
        auto const progress = [&](Progress const& at) {
            context.progress({.what = at.what, .done = at.bytes, .total = at.bytes_total});
        };
        auto const warn = [&](std::string const& text) {
            if (world_.warn) world_.warn(text);
        };
        if (is_export(request.point))
            return restore_export_as_cluster(world_.workspace, request.point, request.target, progress, warn, context.stop());
        return restore_point(world_.workspace, request.point, options, progress, warn, context.stop());
    }

    bool with_special_bits(Request const& request) const { return request.special_bits || world_.isolation; }

    // In isolation tablespaces come to lie beside the data directory instead of where production has its own.
    Result<std::map<std::string, std::string>> tablespaces(Request const& request) const {
        if (!world_.isolation || request.dataset.kind != plan::DatasetKind::postgres) {
            return std::map<std::string, std::string>();
        }
        auto const originals = TRY(postgres::original_tablespaces(request.point.info.point));
        std::map<std::string, std::string> moved;
        for (auto const& [oid, location] : originals) {
            moved[std::to_string(oid)] = fmt::format("{}.tablespaces/{}", request.target.string(), oid);
        }
        return moved;
    }

    // Refuses what came back damaged: nothing may be built on it.
    static Result<void> check_whole(Request const& request, RestoredPoint const& restored) {
        std::string first;
        for (auto const& finding : restored.findings) {
            if (finding.verdict == Finding::Verdict::damaged && first.empty()) {
                first = finding.object + ": " + finding.detail;
            }
        }
        if (first.empty() && !restored.result.damaged.empty()) first = printable(restored.result.damaged.front());
        if (first.empty()) return {};
        return fail(ErrorKind::damaged, "what came back of '" + request.dataset.name + "' is damaged: " + first,
                    "an older point may be whole: say which with 'to'");
    }

    // Byte for byte and with all metadata that was restored, before anything else touches it. A database that has a
    // backup manifest was compared by that when it was validated; of an export the rows were counted.
    Result<std::vector<std::string>> compare(Request const& request, RestoredPoint const& restored,
                                             std::stop_token stop) const {
        if (has_manifest(restored) || is_export(request.point)) return std::vector<std::string>();
        auto const moved = TRY(tablespaces(request));
        return compare_with_point(world_.workspace, request.point, request.target,
                                  {.special_bits = with_special_bits(request), .tablespaces = moved,
                                   .with_log = request.log.has_value()}, stop);
    }

    static runbook::StepResult result_of(Request const& request, RestoredPoint const& restored,
                                         std::vector<std::string> const& differences) {
        auto const& info = request.point.info;
        runbook::StepResult result;
        auto& out = result.outputs;
        out.set("dataset", request.dataset.name);
        // An export has become a cluster.
        out.set("kind", is_export(request.point) ? std::string("postgres") : info.point.kind);
        out.set("target", printable(request.target.string()));
        out.set("point", info.id.hex());
        out.set("time", to_rfc3339(request.time));
        auto const lsn = info.point.attributes.find("lsn");
        out.set("lsn", lsn == info.point.attributes.end() ? "" : lsn->second);
        auto const timeline = info.point.attributes.find("timeline");
        out.set("timeline", timeline == info.point.attributes.end() ? "" : timeline->second);
        if (request.log) {
            out.set("to", postgres::to_text(request.log->target));
            out.set("lsn", to_text(restored.log ? restored.log->found.end : request.log->reach.end));
            out.set("timeline", fmt::format("{}", request.log->course.back().timeline));
        }
        out.set("repository", request.point.repository);
        out.set("files", static_cast<std::int64_t>(restored.result.files));
        out.set("bytes", static_cast<std::int64_t>(restored.result.bytes));
        out.set("verified", restored.verified && differences.empty());
        out.set("files_compared", static_cast<std::int64_t>(restored.result.files));
        out.set("differences", static_cast<std::int64_t>(differences.size()));
        if (!differences.empty()) out.set("difference", differences.front());
        result.summary = fmt::format("{} files, {} ({} written) in {}", restored.result.files,
                                     format_bytes(restored.result.bytes),
                                     format_bytes(restored.result.bytes_written), format_duration(restored.took));
        if (restored.result.problem_count > 0) {
            auto const& problem = restored.result.problems.front();
            out.set("problems", static_cast<std::int64_t>(restored.result.problem_count));
            out.set("problem", printable(problem.path) + ": " + problem.message);
            result.summary += fmt::format("; {} could not be set, e.g. {}", restored.result.problem_count,
                                          out.member_text("problem"));
        }
        if (restored.log) result.summary += fmt::format("; with {} of log", format_bytes(restored.log->bytes));
        if (!differences.empty()) {
            result.summary += fmt::format("; {} differences to the point, e.g. {}", differences.size(),
                                          differences.front());
        }
        if (request.dataset.kind == plan::DatasetKind::postgres) {
            auto const database = postgres::database_of(request.dataset.connect);
            out.set("database", database ? *database : "");
        }
        return result;
    }

    // Every file is what the backup's manifest says.
    static bool has_manifest(RestoredPoint const& restored) {
        return std::ranges::any_of(restored.findings, [](Finding const& finding) {
            return finding.object == "backup manifest" && finding.verdict == Finding::Verdict::verified;
        });
    }

    RestoreKind kind_;
    StepWorld world_;
};

}  // namespace

std::unique_ptr<runbook::Step> make_restore_step(RestoreKind kind, StepWorld const& world) {
    return std::make_unique<RestoreStep>(kind, world);
}

}  // namespace holdfast::steps
