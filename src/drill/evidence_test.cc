#include "drill/evidence.h"

#include <gtest/gtest.h>

#include "drill/evidence_json.h"
#include "drill/evidence_samples.h"

namespace holdfast::drill {
namespace {

using namespace std::chrono_literals;

bool says(Evidence const& evidence, std::string_view part) {
    for (auto const& reason : evidence.reasons) {
        if (reason.text.find(part) != std::string::npos) return true;
    }
    return false;
}

TEST(Evidence, IsProvenWhenEverythingHolds) {
    auto const evidence = sample_evidence();
    EXPECT_TRUE(evidence.proven);
    EXPECT_TRUE(evidence.reasons.empty());
    EXPECT_FALSE(failure_of(evidence));
    // From the newest row where it is known, else from the point's time.
    EXPECT_EQ(evidence.datasets[0].rpo_achieved, 42s + 98ms);
    EXPECT_EQ(evidence.datasets[1].rpo_achieved, 18min + 10s);
    EXPECT_EQ(evidence.services[0].rto_from_outage, 69s + 750ms);
    EXPECT_EQ(evidence.services[0].rto_from_declaration, 47s + 750ms);
}

TEST(Evidence, EachFactCanSpoilTheProof) {
    auto e = sample_evidence();
    e.checks[1].verdict = CheckVerdict::failed;
    conclude(e);
    EXPECT_TRUE(says(e, "select max(created_at)"));
    EXPECT_EQ(failure_of(e)->kind, ErrorKind::check_failed);
    EXPECT_FALSE(e.services[0].rto_from_outage) << "nothing is recovered that is not proven";

    e = sample_evidence();
    e.checks[0].verdict = CheckVerdict::not_run;
    conclude(e);
    EXPECT_TRUE(says(e, "did not run"));

    e = sample_evidence();
    e.datasets[2].verified = false;
    e.datasets[2].reason = "2 files differ";
    conclude(e);
    EXPECT_TRUE(says(e, "2 files differ"));
    EXPECT_FALSE(e.datasets[2].rpo_achieved) << "what is not known to be back counts as lost";

    e = sample_evidence();
    e.steps[1].outcome = StepOutcome::failed;
    conclude(e);
    EXPECT_TRUE(says(e, "step 'restore' failed"));

    e = sample_evidence();
    e.steps[5].outcome = StepOutcome::not_run;
    conclude(e);
    EXPECT_FALSE(e.proven);

    e = sample_evidence();
    e.clean_up[1] = {"no process runs from it", false, "postgres 4711"};
    conclude(e);
    EXPECT_TRUE(says(e, "postgres 4711"));

    e = sample_evidence();
    conclude(e, {{ErrorKind::check_failed, "stopped by the user"}});
    EXPECT_TRUE(says(e, "stopped by the user"));

    Evidence nothing;
    conclude(nothing);
    EXPECT_FALSE(nothing.proven) << "an empty drill proves nothing";
}

TEST(Evidence, MissedObjectivesAreTheirOwnFailure) {
    auto e = sample_evidence();
    e.datasets[1].rpo_objective = 10min;
    conclude(e);
    EXPECT_FALSE(e.proven);
    EXPECT_EQ(failure_of(e)->kind, ErrorKind::objective_missed);
    EXPECT_TRUE(e.services[1].rto_from_outage) << "it did recover";

    e.services[1].rto_objective = 30s;
    conclude(e);
    EXPECT_TRUE(says(e, "service 'model-registry'"));

    e.checks[0].verdict = CheckVerdict::failed;
    conclude(e);
    EXPECT_EQ(failure_of(e)->kind, ErrorKind::check_failed) << "a failed check outweighs an objective";
}

TEST(EvidenceJson, RoundTripsThroughItsFile) {
    auto const evidence = sample_evidence();
    EvidenceSignature signature;
    signature.key.fill(7);
    signature.value.fill(9);
    auto const text = evidence_file_text(evidence, signature);
    auto const parsed = parse_evidence_file(text);
    ASSERT_TRUE(parsed) << parsed.error().message;
    EXPECT_EQ(parsed->signature.key, signature.key);
    EXPECT_EQ(parsed->signed_bytes, canonical_json(evidence));
    EXPECT_EQ(evidence_file_text(parsed->evidence, parsed->signature), text);
    EXPECT_EQ(parsed->evidence.datasets[0].rpo_achieved, evidence.datasets[0].rpo_achieved);
    EXPECT_EQ(parsed->evidence.steps[0].started, std::nullopt);
}

TEST(EvidenceJson, HoldsNamesOfAnyBytes) {
    auto evidence = sample_evidence();
    evidence.name = "a\xff\x01\x7f\"\\\n<b>";
    evidence.notes = {std::string("nul\0inside", 10), "snow \xe2\x98\x83"};
    auto const text = evidence_file_text(evidence, {});
    auto const parsed = parse_evidence_file(text);
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->evidence.name, "a\\xff\\x01\\x7f\"\\\\\\x0a<b>");
    EXPECT_EQ(parsed->evidence.notes[1], "snow \xe2\x98\x83");
}

TEST(EvidenceJson, RefusesWhatItWouldNotHaveWritten) {
    auto const text = evidence_file_text(sample_evidence(), {});
    EXPECT_FALSE(parse_evidence_file(""));
    EXPECT_FALSE(parse_evidence_file("[]"));
    EXPECT_FALSE(parse_evidence_file(text + " "));
    EXPECT_FALSE(parse_evidence_file(text.substr(0, text.size() / 2)));
    EXPECT_FALSE(parse_evidence_file(std::string(1'000'000, '[')));
    EXPECT_FALSE(parse_evidence_file(R"({"evidence":{"format":1},"signature":{}})"));

    auto doubled = text;
    doubled.insert(doubled.find("\"checks\""), "\"checks\": [],\n    ");
    EXPECT_FALSE(parse_evidence_file(doubled)) << "a member twice";

    auto newer = text;
    newer.replace(newer.find("\"format\": 1"), 11, "\"format\": 2");
    EXPECT_EQ(parse_evidence_file(newer).error().kind, ErrorKind::usage);
}

}  // namespace
}  // namespace holdfast::drill
