#include "steps/expectation.h"

#include <gmock/gmock.h>

namespace holdfast::steps {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

AnswerRows one(std::string value) { return {{std::move(value)}}; }

bool holds(std::string_view expectation, std::string value) {
    auto const parsed = Expectation::parse(expectation);
    EXPECT_TRUE(parsed) << expectation;
    return parsed && parsed->judge(one(std::move(value))).holds;
}

TEST(Expectation, ComparesNumbers) {
    EXPECT_TRUE(holds("> 0", "1"));
    EXPECT_FALSE(holds("> 0", "0"));
    EXPECT_TRUE(holds(">=3", "3"));
    EXPECT_FALSE(holds(">= 3", "2.999"));
    EXPECT_TRUE(holds("< -1", "-1.5"));
    EXPECT_TRUE(holds("<= 1e3", "1000"));
    EXPECT_TRUE(holds("= 12", "12.00"));
    EXPECT_FALSE(holds("= 12", "13"));
    EXPECT_TRUE(holds("!= 12", "13"));
    EXPECT_TRUE(holds("<> 12", "x"));
    EXPECT_FALSE(holds("= 9007199254740993", "9007199254740992")) << "counts are exact";
    EXPECT_FALSE(holds("> 0", "many"));
    EXPECT_FALSE(holds("> 0", "NaN"));
    EXPECT_FALSE(holds("> 0", "Infinity"));
    EXPECT_FALSE(holds("> 0", ""));
}

TEST(Expectation, KnowsRanges) {
    EXPECT_TRUE(holds("0..5", "0"));
    EXPECT_TRUE(holds("0 .. 5", "5"));
    EXPECT_FALSE(holds("0..5", "5.01"));
    EXPECT_FALSE(holds("0..5", "-1"));
    EXPECT_TRUE(holds("-3..-1", "-2"));
    EXPECT_TRUE(holds("a..b", "a..b")) << "not numbers: the text itself";
}

TEST(Expectation, ComparesText) {
    EXPECT_TRUE(holds("spikeformer", "spikeformer"));
    EXPECT_FALSE(holds("spikeformer", "Spikeformer"));
    EXPECT_TRUE(holds("= ok", "ok"));
    EXPECT_TRUE(holds("=", ""));
    EXPECT_TRUE(holds("true", "t"));
    EXPECT_FALSE(holds("true", "f"));
    EXPECT_FALSE(holds("5", "6"));
}

TEST(Expectation, NullIsNothingElse) {
    AnswerRows const null = {{std::nullopt}};
    for (auto text : {"> 0", "= 0", "!= 0", "x", "0..5", "not null"}) {
        auto const judgement = Expectation::parse(text)->judge(null);
        EXPECT_FALSE(judgement.holds) << text;
        EXPECT_EQ(judgement.actual, "null");
    }
    EXPECT_TRUE(Expectation::parse("null")->judge(null).holds);
    EXPECT_TRUE(holds("not null", ""));
    EXPECT_FALSE(holds("null", "null"));
}

TEST(Expectation, WantsOneRow) {
    auto const expectation = *Expectation::parse("> 0");
    EXPECT_EQ(expectation.judge({}).actual, "no row");
    EXPECT_EQ(expectation.judge({{"1"}, {"2"}}).actual, "2 rows, where one was expected");
    EXPECT_FALSE(expectation.judge({{"1"}, {"2"}}).holds);
    EXPECT_FALSE(expectation.judge({AnswerRow()}).holds);
    EXPECT_TRUE(expectation.judge({{"1", "more"}}).holds) << "the first value is looked at";
}

TEST(Expectation, RefusesWhatCannotBeMeant) {
    for (auto text : {"", "  ", "> many", ">", "5..0", "<="}) {
        EXPECT_EQ(Expectation::parse(text).error().kind, ErrorKind::usage) << text;
    }
}

TEST(Expectation, ShowsHostileAnswersHarmlessly) {
    auto const judgement = Expectation::parse("x")->judge(one("\x1b[2J" + std::string(1000, 'y')));
    EXPECT_THAT(judgement.actual, HasSubstr("\\x1b"));
    EXPECT_LT(judgement.actual.size(), 300u);
    EXPECT_EQ(Expectation::parse("x")->judge(one("")).actual, "an empty text");
}

TEST(Freshness, CountsFromTheReference) {
    auto const outage = *parse_rfc3339("2026-11-22T11:00:00Z");
    std::optional<Time> newest;
    auto judgement = judge_freshness(1h, outage, one("2026-11-22 10:31:07.25+00"), &newest);
    EXPECT_TRUE(judgement.holds);
    EXPECT_EQ(judgement.expected, "at most 1h 0m before 2026-11-22T11:00:00Z");
    EXPECT_THAT(judgement.actual, HasSubstr("28m 52s before: 2026-11-22T10:31:07.250Z"));
    EXPECT_EQ(newest.value(), *parse_rfc3339("2026-11-22T10:31:07.25Z"));
    EXPECT_FALSE(judge_freshness(1h, outage, one("2026-11-22 09:59:59+00")).holds);
    EXPECT_TRUE(judge_freshness(1h, outage, one("2026-11-22 11:04:00+00")).holds);
    auto const future = judge_freshness(1h, outage, one("2026-11-22 12:00:00+00"));
    EXPECT_FALSE(future.holds);
    EXPECT_THAT(future.actual, HasSubstr("a clock is wrong"));
}

TEST(Freshness, NothingIsNotFresh) {
    auto const outage = *parse_rfc3339("2026-11-22T11:00:00Z");
    std::optional<Time> newest;
    EXPECT_THAT(judge_freshness(1h, outage, {{std::nullopt}}, &newest).actual, HasSubstr("null"));
    EXPECT_THAT(judge_freshness(1h, outage, {}, &newest).actual, HasSubstr("no row"));
    EXPECT_THAT(judge_freshness(1h, outage, one("infinity"), &newest).actual, HasSubstr("not a time"));
    EXPECT_FALSE(judge_freshness(1h, outage, one("yesterday"), &newest).holds);
    EXPECT_FALSE(newest);
}

TEST(Freshness, ReadsTimesAsPostgresPrintsThem) {
    EXPECT_EQ(*parse_database_time("2026-11-22 10:31:07+05:30"), *parse_rfc3339("2026-11-22T05:01:07Z"));
    EXPECT_EQ(*parse_database_time("2026-11-22 10:31:07-03"), *parse_rfc3339("2026-11-22T13:31:07Z"));
    EXPECT_EQ(*parse_database_time("2026-11-22 10:31:07"), *parse_rfc3339("2026-11-22T10:31:07Z"));
    EXPECT_EQ(*parse_database_time("2026-11-22"), *parse_rfc3339("2026-11-22T00:00:00Z"));
    EXPECT_EQ(*parse_database_time("2026-11-22T10:31:07.5Z"), *parse_rfc3339("2026-11-22T10:31:07.5Z"));
    for (auto text : {"", "-infinity", "12", "2026-11-22 25:00:00", "2026-13-01", "0044-03-15 BC"}) {
        EXPECT_FALSE(parse_database_time(text)) << text;
    }
}

}  // namespace
}  // namespace holdfast::steps
