#include "guard/guard.h"

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <thread>
#include <unistd.h>

namespace holdfast::guard {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

// What people were told, for those who wait for it.
class Mailbox {
  public:
    Result<void> take(AlarmBook::Message const& message) {
        std::lock_guard lock(mutex_);
        all_ += message.subject + "\n" + message.text;
        changed_.notify_all();
        return {};
    }
    bool has(std::string_view text) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, 30s, [&] { return all_.find(text) != std::string::npos; });
    }
    std::string all() {
        std::lock_guard lock(mutex_);
        return all_;
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::string all_;
};

class ScriptedDuty : public Duty {
  public:
    using Script = std::function<Result<Outcome>(Tell const&, std::stop_token)>;
    ScriptedDuty(Script script, std::atomic<bool> const& asked, std::optional<Time> last)
        : script_(std::move(script)), asked_(asked), last_(last) {}
    std::string name() const override { return "scripted"; }
    Duration every() const override { return 1000h; }
    std::optional<Time> last() override { return last_; }
    bool asked_for() const override { return asked_; }
    Result<Outcome> run(Tell const& tell, std::stop_token stop) override { return script_(tell, std::move(stop)); }

  private:
    Script script_;
    std::atomic<bool> const& asked_;
    std::optional<Time> last_;
};

class GuardTest : public testing::Test {
  protected:
    ~GuardTest() override { std::filesystem::remove_all(state_); }

    // Keeps one duty until `until` returns.
    void keep_while(ScriptedDuty::Script script, std::optional<Time> last, std::function<void()> const& until) {
        std::vector<std::unique_ptr<Duty>> duties;
        duties.push_back(std::make_unique<ScriptedDuty>(std::move(script), asked, last));
        GuardOptions options{.state = state_, .plan = "plan", .log = [](Event const&) {},
                             .tell = [this](AlarmBook::Message const& message) { return mails.take(message); }};
        std::stop_source stop;
        std::jthread guard([&] {
            auto kept = keep(std::move(duties), system_clock(), ServiceManager::from_environment(), options, stop.get_token());
            EXPECT_TRUE(kept) << kept.error().message;
        });
        until();
        stop.request_stop();
    }

    Mailbox mails;
    std::atomic<bool> asked = false;
    std::atomic<int> runs = 0;

  private:
    std::filesystem::path state_ = testing::TempDir() + "guard-" + std::to_string(::getpid());
};

TEST_F(GuardTest, WhatADutyTellsWhileItRunsBeginsAndEndsAlarms) {
    std::atomic<bool> over = false;
    auto script = [&](Duty::Tell const& tell, std::stop_token stop) -> Result<Duty::Outcome> {
        tell({.text = {}, .concern = "nothing comes in"});
        tell({.text = {}, .concern = "it fills", .about = "spool"});
        EXPECT_TRUE(mails.has("- scripted: spool: it fills"));
        EXPECT_THAT(mails.all(), HasSubstr("- scripted: nothing comes in"));
        tell({.text = {}, .concern = "", .about = "spool"});
        EXPECT_TRUE(mails.has("- scripted: spool: lasted"));
        tell({.text = "news", .concern = std::nullopt});
        over = true;
        system_clock().sleep(60s, stop);
        return fail(ErrorKind::cancelled, "stopped");
    };
    keep_while(script, {}, [&] {
        while (!over) std::this_thread::sleep_for(10ms);
    });
    EXPECT_THAT(mails.all(), testing::Not(HasSubstr("- scripted: lasted"))) << "one that is stopped mends nothing";
}

TEST_F(GuardTest, WhatIsAskedForIsDoneOutOfTurn) {
    auto script = [&](Duty::Tell const&, std::stop_token) -> Result<Duty::Outcome> {
        ++runs;
        asked = false;
        return Duty::Outcome{};
    };
    keep_while(script, system_clock().now(), [&] {
        std::this_thread::sleep_for(50ms);
        EXPECT_EQ(runs, 0);
        asked = true;
        for (int i = 0; i < 3000 && runs == 0; ++i) std::this_thread::sleep_for(10ms);
    });
    EXPECT_EQ(runs, 1);
}

TEST_F(GuardTest, WhatIsAskedForAndFailsIsTriedAgainLater) {
    asked = true;
    auto script = [&](Duty::Tell const&, std::stop_token) -> Result<Duty::Outcome> {
        ++runs;
        return fail(ErrorKind::unreachable, "not there");
    };
    keep_while(script, system_clock().now(), [&] {
        EXPECT_TRUE(mails.has("not there"));
        std::this_thread::sleep_for(1200ms);
    });
    EXPECT_EQ(runs, 1) << "and not again at once";
}

}  // namespace
}  // namespace holdfast::guard
