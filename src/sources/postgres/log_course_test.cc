#include "sources/postgres/log_course.h"

#include <gtest/gtest.h>

#include "sources/postgres/recovery_settings.h"
#include "sources/postgres/wal_protocol.h"
#include "sources/postgres/wal_start.h"

namespace holdfast::postgres {
namespace {

constexpr std::uint32_t kSegment = 1u << 20;
constexpr std::uint64_t at(std::uint64_t megabytes, std::uint64_t more = 0) { return (megabytes << 20) + more; }

WalLog log_of(std::map<std::uint32_t, std::vector<WalSpan>> const& spans) {
    WalLog log;
    for (auto const& [timeline, list] : spans)
        for (auto const& span : list) log.timelines[timeline].ranges.push_back({timeline, span.first, span.end, {}});
    return log;
}

TEST(LogCourse, GoesOverToTheNextTimelineWhereTheLastWasLeft) {
    auto course = course_of(3, {{1, {at(5, 100)}}, {2, {at(7, 50)}}});
    std::vector<LogPart> expected{{1, {0}, {at(5, 100)}}, {2, {at(5, 100)}, {at(7, 50)}}, {3, {at(7, 50)}, {UINT64_MAX}}};
    EXPECT_EQ(course, expected);
    // Timeline 1 went on after it was left: that is another branch.
    auto log = log_of({{1, {{at(2), at(9)}}}, {2, {{at(5), at(7, 50)}}}, {3, {{at(7), at(8, 10)}}}});
    auto reach = reach_of(log, course, 0, {at(3, 7)}, kSegment);
    EXPECT_EQ(reach.end, Lsn{at(8, 10)});
    EXPECT_EQ(reach.part, 2u);
    EXPECT_FALSE(reach.gap);
    std::vector<std::pair<std::uint32_t, std::uint64_t>> files;
    auto units = units_of(course, 0, {at(3, 7)}, reach, kSegment);
    for (auto const& unit : units) files.emplace_back(unit.timeline, unit.segment.value);
    std::vector<std::pair<std::uint32_t, std::uint64_t>> wanted{{1, at(3)}, {1, at(4)}, {2, at(5)}, {2, at(6)}, {3, at(7)}, {3, at(8)}};
    EXPECT_EQ(files, wanted);
    EXPECT_EQ(units.back().end, Lsn{at(8, 10)});
}

TEST(LogCourse, EndsAtTheFirstGapAndSaysWhatIsBehindIt) {
    auto course = course_of(2, {{1, {at(5)}}});
    auto behind = [&](std::map<std::uint32_t, std::vector<WalSpan>> const& spans) {
        return reach_of(log_of(spans), course, 0, {at(2, 9)}, kSegment);
    };
    auto gap = behind({{1, {{at(2), at(3)}, {at(4), at(5)}}}, {2, {{at(5), at(6)}}}});
    EXPECT_EQ(gap.end, Lsn{at(3)});
    EXPECT_TRUE(gap.gap);
    EXPECT_EQ(gap.beyond, Lsn{at(4)});
    auto next = behind({{1, {{at(2), at(5)}}}, {2, {{at(6), at(7)}}}});
    EXPECT_EQ(next.end, Lsn{at(5)});
    EXPECT_TRUE(next.gap);
    EXPECT_EQ(next.beyond, Lsn{at(6)});
    auto nothing = behind({{2, {}}});
    EXPECT_EQ(nothing.end, Lsn{at(2, 9)});
    EXPECT_FALSE(nothing.gap);
    // A log that begins within the backup's last segment does not continue it.
    EXPECT_EQ(behind({{1, {{at(2, 5), at(4)}}}}).end, Lsn{at(2, 9)});
    // What lies behind the end of a timeline that was left is no gap.
    EXPECT_FALSE(behind({{1, {{at(2), at(5)}, {at(8), at(9)}}}}).gap);
}

TEST(WalStart, GoesOnWhereTheRepositoryEnds) {
    std::vector<TimelineBranch> before{{1, {at(5)}}, {2, {at(7)}}};
    using Start = WalStart;
    EXPECT_EQ(choose_start(log_of({}), before, 3), (Start{3, {}}));
    EXPECT_EQ(choose_start(log_of({{3, {{at(7), at(9)}}}}), before, 3), (Start{3, {{at(9)}}}));
    EXPECT_EQ(choose_start(log_of({{1, {{at(2), at(4)}}}}), before, 3), (Start{1, {{at(4)}}}));
    EXPECT_EQ(choose_start(log_of({{1, {{at(2), at(5)}}}}), before, 3), (Start{2, {{at(5)}}}));
    // It went on there after the server had left: the server's branch counts.
    EXPECT_EQ(choose_start(log_of({{2, {{at(5), at(8)}}}}), before, 3), (Start{3, {{at(7)}}}));
    // After a crash a later part may be there without an earlier one: the first gap is tried first.
    EXPECT_EQ(choose_start(log_of({{3, {{at(7), at(8)}, {at(9), at(10)}}}}), before, 3), (Start{3, {{at(8)}, {at(10)}}}));
}

TEST(WalProtocol, MessagesAreBigEndian) {
    Bytes data{'w', 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0x0f, 0x42, 0x40, 7, 8};
    auto message = parse_wal_message(data).value();
    EXPECT_TRUE(message.is_data);
    EXPECT_EQ(to_text(message.start), "1/2");
    EXPECT_EQ(to_text(message.server_end), "1/9");
    EXPECT_EQ(to_rfc3339(message.server_time), "2000-01-01T00:00:01Z");
    EXPECT_EQ(message.data.size(), 2u);
    Bytes keepalive{'k', 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    EXPECT_TRUE(parse_wal_message(keepalive).value().answer_wanted);
    for (std::size_t size = 0; size < keepalive.size(); ++size)
        EXPECT_FALSE(parse_wal_message(ByteView(keepalive).first(size))) << size;
    EXPECT_FALSE(parse_wal_message(ByteView(data).first(24)));
    keepalive[0] = 'x';
    EXPECT_FALSE(parse_wal_message(keepalive));
    auto status = wal_status({0x0102030405060708}, parse_rfc3339("2000-01-01T00:00:01Z").value(), true);
    EXPECT_EQ(to_hex(status), "7201020304050607080102030405060708000000000000000000000000000f424001");
}

TEST(RecoverySettings, ReplaceWhatAnEarlierRecoveryLeft) {
    LogPlan plan;
    plan.course = course_of(2, {{1, {at(5)}}});
    plan.target = {.kind = RecoveryTarget::Kind::time, .time = parse_rfc3339("2026-11-27T10:31:07.000250Z").value()};
    auto once = with_recovery_settings("work_mem = '8MB'", plan, false);
    EXPECT_NE(once.find("recovery_target_time = '2026-11-27 10:31:07.000250+00'"), std::string::npos) << once;
    EXPECT_NE(once.find("recovery_target_timeline = '2'"), std::string::npos);
    // The empty ones come first: PostgreSQL takes them over in this order, and two targets are an error.
    EXPECT_LT(once.find("recovery_target_xid = ''"), once.find("recovery_target_time = '2026"));
    EXPECT_EQ(with_recovery_settings(once, plan, false), once);
    plan.target = {.kind = RecoveryTarget::Kind::name, .name = "it's \\ lunch"};
    auto named = with_recovery_settings(once, plan, false);
    EXPECT_NE(named.find("recovery_target_name = 'it''s \\\\ lunch'"), std::string::npos) << named;
    EXPECT_EQ(named.find("2026-11-27"), std::string::npos);
    EXPECT_TRUE(named.starts_with("work_mem = '8MB'\n"));
    auto end = with_recovery_settings("", plan, true);
    EXPECT_EQ(end.find("lunch"), std::string::npos);
}

}  // namespace
}  // namespace holdfast::postgres
