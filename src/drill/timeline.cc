#include "drill/timeline.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "base/units.h"
#include "drill/html.h"

namespace holdfast::drill {
namespace {

// In units of the view box.
constexpr double kWidth = 760, kNames = 170, kRight = 78, kRow = 25, kTop = 42, kBar = 11;
constexpr std::size_t kNameLettersMax = 26;

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

// At most seven ticks, at round distances.
double tick_distance(double span) {
    constexpr std::array distances = {0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0,   2.0,   5.0,   10.0,   15.0,
                                      30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0,
                                      14400.0, 28800.0, 86400.0};
    for (double distance : distances) {
        if (span / distance <= 6.0) return distance;
    }
    return 86400.0 * std::ceil(span / 86400.0 / 6.0);
}

std::string tick_label(double at) {
    if (at == 0) return "0";
    if (at < 60) return fmt::format("{:g} s", at);
    auto const whole = static_cast<long>(std::lround(at));
    if (whole < 3600) {
        return whole % 60 == 0 ? fmt::format("{} min", whole / 60)
                               : fmt::format("{}:{:02} min", whole / 60, whole % 60);
    }
    return whole % 3600 == 0 ? fmt::format("{} h", whole / 3600)
                             : fmt::format("{}:{:02} h", whole / 3600, whole / 60 % 60);
}

// Cut between letters of UTF-8, not within one.
std::string shortened(std::string const& name) {
    std::size_t letters = 0, end = 0;
    while (end < name.size()) {
        if ((static_cast<unsigned char>(name[end]) & 0xc0) != 0x80 && letters++ == kNameLettersMax) break;
        ++end;
    }
    return end == name.size() ? name : name.substr(0, end) + "…";
}

class Drawing {
  public:
    explicit Drawing(Evidence const& evidence) : evidence_(evidence) {
        begin_ = evidence.started;
        end_ = evidence.ended;
        for (auto const& step : evidence.steps) {
            if (step.started) begin_ = std::min(begin_, *step.started);
            if (step.ended) end_ = std::max(end_, *step.ended);
        }
        // An outage long before would squeeze the steps into nothing: then it is told in words.
        auto const run = std::max(end_ - begin_, Duration(std::chrono::milliseconds(1)));
        if (evidence.outage < begin_ && begin_ - evidence.outage <= run) begin_ = evidence.outage;
        span_ = std::max(seconds(end_ - begin_), 0.001);
    }

    std::string svg() {
        auto const rows = static_cast<double>(evidence_.steps.size());
        auto const bottom = kTop + rows * kRow;
        out_ = fmt::format(
            "<svg class=\"timeline\" viewBox=\"0 0 {:g} {:g}\" role=\"img\" "
            "aria-label=\"Time line of the steps\">",
            kWidth, bottom + 8);
        axis(bottom);
        mark(evidence_.outage, "outage", bottom);
        if (evidence_.declared - evidence_.outage > (end_ - begin_) / 20) {
            mark(evidence_.declared, "declared", bottom);
        }
        for (std::size_t i = 0; i < evidence_.steps.size(); ++i) {
            row(evidence_.steps[i], kTop + static_cast<double>(i) * kRow);
        }
        return out_ + "</svg>";
    }

  private:
    double x(Time time) const {
        auto const at = std::clamp(seconds(time - begin_), 0.0, span_);
        return kNames + at / span_ * (kWidth - kNames - kRight);
    }

    void text(std::string_view style, double at_x, double at_y, std::string_view content) {
        out_ += fmt::format("<text class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text>", style, at_x, at_y,
                            escape_html(content));
    }
    void vertical(std::string_view style, double at_x, double from, double to) {
        out_ += fmt::format("<line class=\"{}\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>",
                            style, at_x, at_x, from, to);
    }

    void axis(double bottom) {
        auto const distance = tick_distance(span_);
        for (int i = 0; i * distance <= span_ * 1.0001; ++i) {
            auto const at = i * distance;
            auto const at_x = kNames + at / span_ * (kWidth - kNames - kRight);
            vertical("tl-grid", at_x, kTop - 24, bottom);
            text("tl-tick", at_x, kTop - 30, tick_label(at));
        }
    }

    void mark(Time time, std::string_view label, double bottom) {
        if (time < begin_ || time > end_) return;
        vertical("tl-mark", x(time), kTop - 8, bottom);
        text("tl-tick tl-strong", x(time), kTop - 12, label);
    }

    void row(StepEvidence const& step, double top) {
        auto const middle = top + kRow / 2;
        out_ += fmt::format("<g><title>{} ({}): {}</title>", escape_html(step.name), escape_html(step.kind),
                            to_text(step.outcome));
        text("tl-name", 0, middle + 4, shortened(step.name));
        if (!step.started) {
            text("tl-note", kNames + 6, middle + 4, to_text(step.outcome));
        } else {
            auto const from = x(*step.started);
            auto const to = x(step.ended.value_or(end_));
            auto const width = std::max(to - from, 2.0);
            out_ += fmt::format(
                "<rect class=\"tl-{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:g}\" rx=\"2\"/>",
                step.outcome == StepOutcome::done ? "done" : "failed", from, middle - kBar / 2, width, kBar);
            auto const took = format_duration(step.ended.value_or(end_) - *step.started);
            text("tl-note", from + width + 7, middle + 4,
                 step.outcome == StepOutcome::done ? took : took + ", " + std::string(to_text(step.outcome)));
        }
        out_ += "</g>";
    }

    Evidence const& evidence_;
    Time begin_, end_;
    double span_ = 1;
    std::string out_;
};

}  // namespace

std::string timeline_svg(Evidence const& evidence) {
    auto const ran = [](StepEvidence const& step) { return step.started.has_value(); };
    if (std::ranges::none_of(evidence.steps, ran)) return {};
    return Drawing(evidence).svg();
}

}  // namespace holdfast::drill
