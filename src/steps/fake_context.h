#pragma once

// What a step is given, for tests: no engine, no journal.

#include <cstdlib>
#include <filesystem>
#include <map>

#include "runbook/step.h"

namespace holdfast::steps {

class FakeContext : public runbook::StepContext {
  public:
    explicit FakeContext(runbook::Value arguments = {}) : arguments_(std::move(arguments)) {}
    ~FakeContext() override {
        if (!scratch_.empty()) std::filesystem::remove_all(scratch_);
    }

    std::string const& run_id() const override { return run_id_; }
    std::string const& step_name() const override { return name_; }
    runbook::Value const& arguments() const override { return arguments_; }
    runbook::Value const* outputs_of(std::string_view step) const override {
        auto found = outputs.find(std::string(step));
        return found == outputs.end() ? nullptr : &found->second;
    }
    std::string point_of(std::string_view dataset) const override {
        auto found = points.find(std::string(dataset));
        return found == points.end() ? "" : found->second;
    }
    std::uint32_t attempt() const override { return attempts; }
    Result<void> record_effect(std::string_view name, runbook::Value value) override {
        if (effects_fail) return fail(ErrorKind::cancelled, "given up");
        effects_.set(std::string(name), std::move(value));
        return {};
    }
    runbook::Value effects() const override { return effects_; }
    Result<std::filesystem::path> scratch() override {
        if (scratch_.empty()) {
            auto pattern = (std::filesystem::temp_directory_path() / "step.XXXXXX").string();
            scratch_ = ::mkdtemp(pattern.data());
        }
        return scratch_;
    }
    Result<runbook::Decision> ask(runbook::Question question) override {
        asked.push_back(std::move(question));
        if (!answer) return fail(ErrorKind::cancelled, "nobody is here");
        return *answer;
    }
    void log(std::string_view line) override { lines.emplace_back(line); }
    void progress(runbook::StepProgress const&) override {}
    std::stop_token stop() const override { return stopper.get_token(); }
    Clock& clock() override { return system_clock(); }

    std::map<std::string, runbook::Value> outputs;
    std::map<std::string, std::string> points;
    std::uint32_t attempts = 1;
    bool effects_fail = false;
    std::optional<runbook::Decision> answer;
    std::vector<runbook::Question> asked;
    std::vector<std::string> lines;
    std::stop_source stopper;
    runbook::Value effects_;
    runbook::Value arguments_;
    std::string name_ = "step";

  private:
    std::string run_id_ = "20261122T103107-5f0c";
    std::filesystem::path scratch_;
};

}  // namespace holdfast::steps
