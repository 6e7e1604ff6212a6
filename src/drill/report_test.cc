#include "drill/report.h"

#include <cstdlib>
#include <fstream>

#include <gmock/gmock.h>

#include "drill/evidence_samples.h"
#include "drill/timeline.h"

namespace holdfast::drill {
namespace {

using testing::HasSubstr;
using testing::Not;

// With HOLDFAST_REPORT_SAMPLES=DIR the pages of these tests are left there, to be looked at.
std::string page_of(Evidence const& evidence, std::string const& sample) {
    auto const page = render_report(evidence, {}, std::string(64, 'c'));
    if (auto const* directory = std::getenv("HOLDFAST_REPORT_SAMPLES")) {
        std::ofstream(std::string(directory) + "/" + sample + ".html") << page;
    }
    return page;
}

std::size_t count(std::string const& page, std::string_view part) {
    std::size_t found = 0;
    for (auto at = page.find(part); at != std::string::npos; at = page.find(part, at + 1)) ++found;
    return found;
}

TEST(Report, SaysWhatAnAuditorAsks) {
    auto const page = page_of(sample_evidence(), "proven");
    for (auto fact : {"database-restore", "Proven", "Evidence of a drill", "spikeformer", "ncl-01",
                      "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "0/5A0000D8",
                      "3f2a9c1e77d0b6a4c5e8f10293847566aabbccddeeff00112233445566778899", "42.1 s", "&gt; 0",
                      "select max(created_at) from training_runs", "15.9", "0.1.0", "412,903 rows",
                      "nothing is left of the isolated place", "a1b2c3d4e5f60718", "7 of its chain",
                      "without cluster", "<svg class=\"timeline\""}) {
        EXPECT_THAT(page, HasSubstr(fact));
    }
    EXPECT_THAT(page, Not(HasSubstr("Why this is no proof")));
    EXPECT_EQ(count(page, "{{"), 0u) << "a placeholder was left";
}

TEST(Report, SaysWhyItIsNoProof) {
    auto evidence = sample_evidence();
    evidence.name = "full-simulation";
    evidence.datasets[1].verified = false;
    evidence.datasets[1].reason = "2 files differ from the point";
    evidence.datasets[1].differences = 2;
    evidence.datasets[2].rpo_objective = std::chrono::minutes(10);
    evidence.checks[0].verdict = CheckVerdict::failed;
    evidence.checks[0].actual = "0";
    evidence.checks[3].verdict = CheckVerdict::not_run;
    evidence.checks[3].actual = "the cluster did not start";
    evidence.steps[3].outcome = StepOutcome::failed;
    evidence.steps[3].detail = "no space left on the device";
    evidence.steps[5].outcome = StepOutcome::not_run;
    evidence.steps[5].started.reset();
    evidence.steps[5].ended.reset();
    evidence.steps[5].detail = "'configuration' failed before it";
    conclude(evidence);
    auto const page = page_of(evidence, "not-proven");
    EXPECT_THAT(page, HasSubstr("Not proven"));
    EXPECT_THAT(page, HasSubstr("Why this is no proof"));
    EXPECT_THAT(page, HasSubstr("2 files differ from the point"));
    EXPECT_THAT(page, HasSubstr("missed"));
    EXPECT_THAT(page, HasSubstr("not run"));
}

TEST(Report, NeedsNothingFromElsewhere) {
    auto const page = page_of(sample_evidence(), "proven");
    for (auto part : {"<script", "<img", "<link", "http://", "https://", "@import", "url("}) {
        EXPECT_THAT(page, Not(HasSubstr(part)));
    }
}

TEST(Report, EscapesHostileNames) {
    std::string const hostile = "<script>alert('x')</script>\"&{{name}}";
    auto e = sample_evidence();
    e.name = e.plan_name = e.plan_file = e.host = e.system = e.place = e.run = e.previous = hostile;
    e.signer = e.signer_label = e.tool_version = e.postgres_version = e.plan_sha256 = hostile;
    e.runbooks = e.notes = {hostile};
    e.parameters = {{hostile, hostile}};
    for (auto& d : e.datasets) {
        d.dataset = d.kind = d.tier = d.repository = d.point = d.lsn = d.timeline = d.newest_from = d.reason = hostile;
    }
    for (auto& s : e.services) s = {.service = hostile, .tier = hostile, .missing = {hostile}};
    for (auto& s : e.steps) s.runbook = s.name = s.kind = s.detail = hostile;
    for (auto& c : e.checks) c.dataset = c.name = c.expected = c.actual = hostile;
    for (auto& c : e.clean_up) c.what = c.detail = hostile;
    conclude(e, {{ErrorKind::check_failed, hostile}});
    auto const page = page_of(e, "hostile");
    EXPECT_THAT(page, Not(HasSubstr("<script")));
    EXPECT_THAT(page, Not(HasSubstr("alert('x')")));
    EXPECT_THAT(page, HasSubstr("&lt;script&gt;alert(&#39;x&#39;)"));
}

TEST(Timeline, DrawsARowForEachStep) {
    auto const evidence = sample_evidence();
    auto const drawing = timeline_svg(evidence);
    EXPECT_EQ(count(drawing, "<g>"), evidence.steps.size());
    EXPECT_EQ(count(drawing, "<rect"), 5u);
    EXPECT_THAT(drawing, HasSubstr("outage"));
    EXPECT_THAT(drawing, HasSubstr("skipped"));
}

TEST(Timeline, StandsOddTimes) {
    auto e = sample_evidence();
    e.ended = e.started;
    for (auto& step : e.steps) step.started = step.ended = e.started;
    EXPECT_THAT(timeline_svg(e), Not(HasSubstr("nan")));
    e.steps[1].ended = e.started - std::chrono::hours(1);  // a clock that jumped back
    EXPECT_THAT(timeline_svg(e), Not(HasSubstr("width=\"-")));
    e.outage = e.started - std::chrono::hours(24 * 900);
    e.ended = e.started + std::chrono::hours(24 * 400);
    EXPECT_LE(count(timeline_svg(e), "tl-grid"), 8u);
    e.steps.clear();
    EXPECT_EQ(timeline_svg(e), "");
}

}  // namespace
}  // namespace holdfast::drill
