#include "drill/report.h"

#include <algorithm>
#include <cassert>

#include <fmt/format.h>
#include <kainjow/mustache.hpp>

#include "base/units.h"
#include "drill/html.h"
#include "drill/report_template.h"
#include "drill/timeline.h"

namespace holdfast::drill {
namespace {

using kainjow::mustache::data;
using Data = kainjow::mustache::data;

constexpr char const* kTick =
    "<svg viewBox=\"0 0 16 16\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"2\" "
    "stroke-linecap=\"round\" stroke-linejoin=\"round\" aria-hidden=\"true\"><path d=\"M2.5 8.5l3.6 3.6 "
    "7.4-8\"/></svg>";
constexpr char const* kCross =
    "<svg viewBox=\"0 0 16 16\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"2\" "
    "stroke-linecap=\"round\" aria-hidden=\"true\"><path d=\"M3.5 3.5l9 9M12.5 3.5l-9 9\"/></svg>";
constexpr char const* kDash =
    "<svg viewBox=\"0 0 16 16\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"2\" "
    "stroke-linecap=\"round\" aria-hidden=\"true\"><path d=\"M4 8h8\"/></svg>";

enum class Tone { good, bad, neutral };

// An icon with a word, so that colour alone never carries the meaning.
std::string mark(Tone tone, std::string_view word) {
    auto const style = tone == Tone::good ? "good" : tone == Tone::bad ? "bad" : "soft";
    auto const icon = tone == Tone::good ? kTick : tone == Tone::bad ? kCross : kDash;
    return fmt::format("<span class=\"mark {}\">{}{}</span>", style, icon, escape_html(word));
}

std::string objective_mark(std::optional<Duration> objective, std::optional<Duration> achieved) {
    auto const kept = met(objective, achieved);
    if (kept) return mark(*kept ? Tone::good : Tone::bad, *kept ? "met" : "missed");
    if (objective) return mark(Tone::bad, "not proven");
    return mark(Tone::neutral, "none set");
}

// "2026-11-22 10:31:07 UTC", to the second.
std::string readable(Time time) {
    auto text = to_rfc3339(std::chrono::floor<std::chrono::seconds>(time));
    std::ranges::replace(text, 'T', ' ');
    if (text.ends_with('Z')) text.pop_back();
    return text + " UTC";
}
std::string clock_time(Time time) {
    auto const text = readable(time);
    return text.substr(text.find(' ') + 1, 8);
}

// "1h" for "1h 0m".
std::string readable(Duration duration) {
    auto text = format_duration(duration);
    if (auto const space = text.find(" 0"); space != std::string::npos && space + 3 == text.size()) text.resize(space);
    return text;
}
std::string readable(std::optional<Duration> duration) { return duration ? readable(*duration) : "–"; }

std::string counted(std::uint64_t count, std::string_view one, std::string_view many) {
    auto digits = std::to_string(count);
    for (auto at = static_cast<int>(digits.size()) - 3; at > 0; at -= 3) {
        digits.insert(static_cast<std::size_t>(at), ",");
    }
    return fmt::format("{} {}", digits, count == 1 ? one : many);
}

// How much of an objective was used, as a bar; false where one of the two is missing.
Data gauge(std::optional<Duration> objective, std::optional<Duration> achieved) {
    if (!objective || !achieved || objective->count() <= 0) return Data(false);
    auto const share = static_cast<double>(achieved->count()) / static_cast<double>(objective->count());
    Data bar;
    bar.set("style", share > 1 ? "over" : "within");
    bar.set("percent", fmt::format("{:.0f}", std::clamp(share * 100, 1.5, 100.0)));
    return bar;
}

class Page {
  public:
    Page(Evidence const& evidence, EvidenceSignature const& signature, std::string const& sha256)
        : evidence_(evidence), signature_(signature), sha256_(sha256) {}

    std::string html() {
        masthead();
        facts();
        section("reasons", evidence_.reasons, [](Reason const& reason, Data& row) {
            row.set("text", reason.text);
        });
        objectives();
        steps();
        checks();
        section("clean_up", evidence_.clean_up, [](CleanUpEvidence const& statement, Data& row) {
            row.set("mark", mark(statement.holds ? Tone::good : Tone::bad, ""));
            row.set("what", statement.what);
            row.set("has_detail", !statement.detail.empty());
            row.set("detail", statement.detail);
        });
        section("notes", evidence_.notes, [](std::string const& note, Data& row) { row.set("text", note); });
        provenance();

        kainjow::mustache::mustache page(kReportTemplate);
        assert(page.is_valid());
        page.set_custom_escape([](std::string const& text) { return escape_html(text); });
        return page.render(page_);
    }

  private:
    // A list `name` with one object a value, and `has_name`.
    template <typename T, typename Fill>
    void section(std::string const& name, std::vector<T> const& values, Fill const& fill) {
        Data list(Data::type::list);
        for (auto const& value : values) {
            Data row;
            fill(value, row);
            list.push_back(row);
        }
        page_.set("has_" + name, !values.empty());
        page_.set(name, list);
    }

    void masthead() {
        auto const drill = evidence_.kind == EvidenceKind::drill;
        page_.set("eyebrow", drill ? "Evidence of a drill" : "Evidence of a recovery");
        page_.set("name", evidence_.name);
        page_.set("plan_name", evidence_.plan_name);
        page_.set("result", evidence_.proven ? "proven" : "not proven");
        page_.set("when", fmt::format("{}, {}", readable(evidence_.started),
                                      readable(evidence_.ended - evidence_.started)));
        page_.set("host", evidence_.host);
        page_.set("isolated", evidence_.isolated);
        page_.set("proven", evidence_.proven);
        page_.set("tick", kTick);
        page_.set("cross", kCross);
        page_.set("tool_version", evidence_.tool_version);
        page_.set("sequence", std::to_string(evidence_.sequence));
    }

    void fact(Data& list, std::string label, std::string figure, std::string note) {
        Data row;
        row.set("label", std::move(label));
        row.set("figure", std::move(figure));
        row.set("note", std::move(note));
        list.push_back(row);
    }

    void facts() {
        Data list(Data::type::list);
        std::optional<Duration> worst;
        std::uint64_t verified = 0, passed = 0, kept = 0, with_objective = 0;
        for (auto const& dataset : evidence_.datasets) {
            verified += dataset.verified;
            with_objective += dataset.rpo_objective.has_value();
            kept += met(dataset.rpo_objective, dataset.rpo_achieved) == true;
            if (dataset.rpo_achieved) worst = std::max(worst.value_or(Duration(0)), *dataset.rpo_achieved);
        }
        for (auto const& check : evidence_.checks) passed += check.verdict == CheckVerdict::passed;
        fact(list, "Data lost, at most", readable(worst),
             with_objective == 0 ? "no objective set"
                                 : fmt::format("objective met for {} of {}", kept, with_objective));
        auto const declaration = readable(std::max(evidence_.ended - evidence_.declared, Duration(0)));
        fact(list, "Recovered after",
             evidence_.proven || recovered()
                 ? readable(std::max(evidence_.ended - evidence_.outage, Duration(0)))
                 : "–",
             evidence_.proven || recovered() ? declaration + " from the declaration" : "not recovered");
        fact(list, "Checks passed", fmt::format("{} of {}", passed, evidence_.checks.size()),
             passed == evidence_.checks.size() ? "every one" : "see below");
        fact(list, "Datasets verified", fmt::format("{} of {}", verified, evidence_.datasets.size()),
             "compared and validated");
        page_.set("facts", list);
    }

    // Only objectives were missed: what came back is proven.
    bool recovered() const {
        return std::ranges::all_of(evidence_.reasons, [](Reason const& reason) {
            return reason.kind == ErrorKind::objective_missed;
        });
    }

    void objectives() {
        page_.set("has_objectives", !evidence_.datasets.empty() || !evidence_.services.empty());
        page_.set("objectives_note",
                  fmt::format("Outage {}, declared {}. Recovery ends when it is proven.",
                              readable(evidence_.outage), readable(evidence_.declared)));
        section("datasets", evidence_.datasets, [](DatasetEvidence const& dataset, Data& row) {
            row.set("dataset", dataset.dataset);
            row.set("kind", dataset.kind);
            row.set("tier", dataset.tier);
            row.set("repository", dataset.repository);
            row.set("as_of", readable(dataset.newest.value_or(dataset.point_time)));
            row.set("has_as_of_from", dataset.newest.has_value());
            row.set("as_of_from", dataset.newest_from);
            row.set("objective", readable(dataset.rpo_objective));
            row.set("achieved", readable(dataset.rpo_achieved));
            row.set("gauge", gauge(dataset.rpo_objective, dataset.rpo_achieved));
            row.set("mark", objective_mark(dataset.rpo_objective, dataset.rpo_achieved));
            row.set("verified", dataset.verified ? mark(Tone::good, "verified") : mark(Tone::bad, "not verified"));
            row.set("point", dataset.point);
            row.set("point_time", readable(dataset.point_time));
            row.set("has_lsn", !dataset.lsn.empty());
            row.set("lsn", dataset.lsn);
            row.set("has_timeline", !dataset.timeline.empty());
            row.set("timeline", dataset.timeline);
            row.set("files", counted(dataset.files, "file", "files"));
            row.set("bytes", format_bytes(dataset.bytes));
            row.set("compared", dataset.rows_compared > 0
                                    ? counted(dataset.rows_compared, "row", "rows")
                                    : counted(dataset.files_compared, "file", "files"));
            row.set("differences", dataset.files_compared + dataset.rows_compared == 0 ? "not compared"
                                   : dataset.differences == 0 ? "no difference"
                                                              : counted(dataset.differences, "difference",
                                                                        "differences"));
        });
        section("services", evidence_.services, [](ServiceEvidence const& service, Data& row) {
            row.set("service", service.service);
            row.set("tier", service.tier);
            row.set("has_missing", !service.missing.empty());
            row.set("missing", fmt::format("{}", fmt::join(service.missing, ", ")));
            row.set("objective", readable(service.rto_objective));
            row.set("from_outage", readable(service.rto_from_outage));
            row.set("from_declaration", readable(service.rto_from_declaration));
            row.set("gauge", gauge(service.rto_objective, service.rto_from_outage));
            row.set("mark", objective_mark(service.rto_objective, service.rto_from_outage));
        });
    }

    void steps() {
        auto const drawing = timeline_svg(evidence_);
        page_.set("has_steps", !drawing.empty());
        page_.set("timeline", drawing);
        page_.set("timeline_note", fmt::format("Began {}, ended {}.", readable(evidence_.started),
                                               readable(evidence_.ended)));
        section("steps", evidence_.steps, [](StepEvidence const& step, Data& row) {
            auto const tone = step.outcome == StepOutcome::done      ? Tone::good
                              : step.outcome == StepOutcome::skipped ? Tone::neutral
                                                                     : Tone::bad;
            row.set("name", step.name);
            row.set("kind", step.kind);
            row.set("began", step.started ? clock_time(*step.started) : "–");
            row.set("took", step.started && step.ended ? readable(*step.ended - *step.started) : "–");
            row.set("detail", step.attempts > 1 ? fmt::format("{} ({} attempts)", step.detail, step.attempts)
                                                : step.detail);
            row.set("mark", mark(tone, to_text(step.outcome)));
        });
        page_.set("has_step_details", !evidence_.steps.empty());
    }

    void checks() {
        auto const failed = std::ranges::count_if(evidence_.checks, [](CheckEvidence const& check) {
            return check.verdict != CheckVerdict::passed;
        });
        page_.set("checks_note", failed == 0 ? "Run on what came back."
                                             : fmt::format("{} of {} did not pass.", failed,
                                                           evidence_.checks.size()));
        section("checks", evidence_.checks, [](CheckEvidence const& check, Data& row) {
            auto const tone = check.verdict == CheckVerdict::passed ? Tone::good : Tone::bad;
            row.set("name", check.name);
            row.set("dataset", check.dataset);
            row.set("expected", check.expected);
            row.set("actual", check.actual);
            row.set("mark", mark(tone, to_text(check.verdict)));
        });
    }

    void provenance() {
        struct Line {
            std::string label, value;
            bool mono = false;
        };
        std::vector<Line> lines;
        auto const add = [&](std::string label, std::string value, bool mono = false) {
            if (!value.empty()) lines.push_back({std::move(label), std::move(value), mono});
        };
        add("Runbooks", fmt::format("{}", fmt::join(evidence_.runbooks, ", ")));
        std::vector<std::string> parameters;
        for (auto const& setting : evidence_.parameters) parameters.push_back(setting.name + " = " + setting.value);
        add("Parameters", fmt::format("{}", fmt::join(parameters, ", ")));
        add("Plan", evidence_.plan_name + (evidence_.plan_file.empty() ? "" : ", " + evidence_.plan_file));
        add("Plan, SHA-256", evidence_.plan_sha256, true);
        add("Holdfast", evidence_.tool_version);
        add("PostgreSQL", evidence_.postgres_version);
        add("Host", evidence_.host + (evidence_.system.empty() ? "" : ", " + evidence_.system));
        add("Isolated place", evidence_.place);
        add("Run", evidence_.run, true);
        for (auto const& journal : evidence_.journals) {
            add("Journal", fmt::format("{}, {} records, ending with {}", journal.run, journal.records, journal.sha256),
                true);
        }
        add("Evidence", fmt::format("{} of its chain", evidence_.sequence));
        add("evidence.json, SHA-256", sha256_, true);
        add("Evidence before it", evidence_.previous.empty() ? "none, this is the first" : evidence_.previous,
            !evidence_.previous.empty());
        add("Signed by", evidence_.signer_label.empty() ? evidence_.signer
                                                         : evidence_.signer_label + ", " + evidence_.signer);
        add("Ed25519 key", to_hex(signature_.key), true);
        add("Signature", to_hex(signature_.value), true);
        section("provenance", lines, [](Line const& line, Data& row) {
            row.set("label", line.label);
            row.set("value", line.value);
            row.set("mono", line.mono);
        });
    }

    Evidence const& evidence_;
    EvidenceSignature const& signature_;
    std::string const& sha256_;
    Data page_;
};

}  // namespace

std::string render_report(Evidence const& evidence, EvidenceSignature const& signature,
                          std::string const& sha256) {
    return Page(evidence, signature, sha256).html();
}

}  // namespace holdfast::drill
