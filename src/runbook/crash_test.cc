// Kills the engine at every boundary of every record of its journal, and again while it resumes:
// each idempotent step ends up done, and what must not happen twice happens once.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "runbook/engine_test_support.h"

namespace holdfast::runbook {
namespace {

constexpr int kKilled = 128 + SIGKILL;

class CrashTest : public EngineTest {
  protected:
    void SetUp() override {
        EngineTest::SetUp();
        // Leaves a mark in a file: the effect that the world sees.
        add("mark", true, [this](StepContext& context) -> Result<StepResult> {
            TRY(context.record_effect("file", context.step_name()));
            mark(context.step_name());
            return StepResult{context.effects(), "marked"};
        });
        add("mark-once", false, [this](StepContext& context) -> Result<StepResult> {
            // Nobody else ever made this mark, or the engine has run it twice.
            mark(context.step_name());
            TRY(context.record_effect("marked", true));
            mark(context.step_name() + "-second");
            return StepResult{Value(Value::Map{{"file", context.step_name()}}), "marked"};
        });
        auto d = make_step("d", "mark", {"b", "c"});
        d.arguments.set("of", "${b.file}");
        auto never = make_step("never", "mark", {"a"});
        never.when = "${a.file} == x";
        auto gate = make_step("gate", "mark-once", {"d"});
        gate.approve = plan::Approval{1, {"team"}};
        for (auto& step : {make_step("a", "mark"), make_step("b", "mark-once", {"a"}),
                           make_step("c", "mark", {"a"}), d, never, gate}) {
            runbook.steps.add(step);
        }
        yes = true;
    }

    void mark(std::string const& name) {
        auto path = (state / ("mark-" + name)).string();
        int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
        ASSERT_EQ(::write(file, "x", 1), 1);
        ::close(file);
    }
    std::uintmax_t marks(std::string const& name) const {
        std::error_code error;
        auto size = std::filesystem::file_size(state / ("mark-" + name), error);
        return error ? 0 : size;
    }

    // Runs in a child which dies at the n-th boundary, as by kill -9: no exit handler runs. Returns
    // its exit code, or kKilled.
    int in_child(int die_at, std::function<Result<RunReport>()> const& work) {
        auto child = ::fork();
        if (child == 0) {
            auto left = std::make_shared<std::atomic<int>>(die_at);
            hook = [left](JournalPoint, std::uint64_t) {
                if (--*left == 0)
                    ::raise(SIGKILL);
            };
            auto report = work();
            if (!report.has_value()) {
                std::fprintf(stderr, "%s\n", report.error().message.c_str());
                ::_exit(1);
            }
            ::_exit(report->state.outcome == RunOutcome::done             ? 0
                    : report->state.outcome == RunOutcome::needs_decision ? 3
                                                                          : 1);
        }
        int status = 0;
        EXPECT_EQ(::waitpid(child, &status, 0), child);
        if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
            return kKilled;
        EXPECT_TRUE(WIFEXITED(status)) << status;
        return WEXITSTATUS(status);
    }

    // What was written and not synced is only there in part.
    void tear_last_record() const {
        for (auto const& run : std::filesystem::directory_iterator(state / "runs")) {
            auto path = run.path() / "journal.jsonl";
            std::ifstream file(path, std::ios::binary);
            std::string bytes(std::istreambuf_iterator<char>(file), {});
            auto begin = bytes.rfind('\n', bytes.size() - 2);
            auto kept = begin == std::string::npos ? 0 : begin + 1;
            std::filesystem::resize_file(path, kept + (bytes.size() - kept) / 2);
        }
    }

    // The operator looks at the world and decides truthfully.
    std::map<std::string, Decision> look() {
        std::map<std::string, Decision> decisions;
        auto runs = list_runs(state);
        auto timeline = read_timeline(state, runs->front().run);
        for (auto const& step : timeline->state.steps) {
            if (step.kind != "mark-once" || step.state != StepState::running)
                continue;
            if (marks(step.name) == 0) {
                EXPECT_FALSE(step.effects.find("marked")) << "announced before it happened";
                decisions[step.name] = {.choice = Choice::redo};
            } else {
                while (marks(step.name + "-second") == 0)
                    mark(step.name + "-second");
                decisions[step.name] = {.choice = Choice::done,
                                        .outputs = Value(Value::Map{{"file", Value(step.name)}})};
            }
        }
        return decisions;
    }

    void expect_complete(std::string const& when) {
        for (auto name : {"a", "c", "d"})
            EXPECT_GE(marks(name), 1u) << name << " " << when;
        for (auto name : {"b", "gate", "b-second", "gate-second"}) {
            EXPECT_EQ(marks(name), 1u) << name << " " << when;
        }
        EXPECT_EQ(marks("never"), 0u) << when;
        auto runs = list_runs(state);
        ASSERT_EQ(runs->size(), 1u) << when;
        EXPECT_EQ(runs->front().outcome, RunOutcome::done) << when;
        auto timeline = read_timeline(state, runs->front().run);
        ASSERT_TRUE(timeline.has_value()) << when << ": " << timeline.error().message;
        EXPECT_EQ(timeline->state.find("d")->arguments.member_text("of"), "b") << when;
    }

    bool lose_power = false;

    void sweep();
    void clear() {
        for (auto const& entry : std::filesystem::directory_iterator(state)) {
            std::filesystem::remove_all(entry);
        }
    }
};

void CrashTest::sweep() {
    int kills = 0, asked = 0;
    for (int die_at = 1;; ++die_at) {
        auto when = "killed at " + std::to_string(die_at);
        clear();
        auto code = in_child(die_at, [&] { return start(); });
        if (code == 0)
            break;
        ASSERT_EQ(code, kKilled) << when;
        ++kills;
        auto runs = list_runs(state);
        ASSERT_TRUE(runs.has_value());
        if (runs->empty()) {
            // It never began, so nothing was done.
            for (auto name : {"a", "b", "c", "d", "gate"})
                EXPECT_EQ(marks(name), 0u) << when;
            continue;
        }
        if (runs->front().outcome == RunOutcome::done) {
            expect_complete(when);  // killed behind its last word
            continue;
        }
        EXPECT_EQ(runs->front().outcome, RunOutcome::interrupted) << when;
        auto run = runs->front().run;
        auto decisions = look();
        if (!decisions.empty()) {
            // Without an answer nothing runs.
            ++asked;
            auto before = marks("b") + marks("gate") + marks("a") + marks("c") + marks("d");
            ASSERT_EQ(in_child(-1, [&] { return resume(run); }), 3) << when;
            EXPECT_EQ(marks("b") + marks("gate") + marks("a") + marks("c") + marks("d"), before);
        }
        ASSERT_EQ(in_child(-1, [&] { return resume(run, decisions); }), 0) << when;
        expect_complete(when);
    }
    EXPECT_GT(kills, 50);
    EXPECT_GT(asked, 5);
}

TEST_F(CrashTest, KilledAtEveryBoundaryAndResumed) {
    sweep();
}

TEST_F(CrashTest, WithoutPowerAtEveryBoundaryAndResumed) {
    lose_power = true;
    sweep();
}

TEST_F(CrashTest, KilledAgainAndAgainWhileItResumes) {
    for (int step : {2, 3, 5, 7, 11}) {
        clear();
        int code = in_child(13, [&] { return start(); });
        auto when = "killed every " + std::to_string(step);
        int rounds = 0;
        // Each resume writes at least its own record, so that a short fuse would burn for ever: it
        // grows.
        for (int fuse = step; code == kKilled; ++fuse) {
            ASSERT_LT(++rounds, 200) << when;
            auto run = list_runs(state)->front();
            if (run.outcome == RunOutcome::done) {
                code = 0;  // killed behind its last word
                break;
            }
            auto decisions = look();
            code = in_child(fuse, [&] { return resume(run.run, decisions); });
        }
        ASSERT_EQ(code, 0) << when;
        expect_complete(when);
    }
}

}  // namespace
}  // namespace holdfast::runbook
