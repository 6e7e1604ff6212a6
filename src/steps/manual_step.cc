#include "steps/manual_step.h"

#include "base/text.h"
#include "steps/arguments.h"

namespace holdfast::steps {
namespace {

using runbook::Choice;

class ManualStep : public runbook::Step {
  public:
    explicit ManualStep(std::optional<Isolation> isolation) : isolation_(std::move(isolation)) {}

    bool idempotent() const override { return false; }

    Result<std::string> describe(Value const& arguments) const override {
        auto const text = TRY(required_text(arguments, "text"));
        return "ask the operator: " + text;
    }

    Result<void> preflight(Value const& arguments, std::stop_token) override {
        TRY(required_text(arguments, "text"));
        return {};
    }

    Result<runbook::StepResult> run(runbook::StepContext& context) override {
        if (isolation_) TRY(isolation_->allow_step(context.step_name(), "manual"));
        runbook::Question question;
        question.about = runbook::Question::About::manual;
        question.step = context.step_name();
        question.kind = "manual";
        question.text = TRY(required_text(context.arguments(), "text"));
        question.choices = {Choice::done, Choice::skip, Choice::refuse};
        auto const decision = TRY(context.ask(question));
        auto const who = decision.by.empty() ? std::string("the operator") : printable(decision.by);
        auto const why = decision.note.empty() ? std::string() : ": " + printable(decision.note);
        if (decision.choice == Choice::refuse) return fail(ErrorKind::unsafe, "refused by " + who + why);
        runbook::StepResult result;
        result.outputs = decision.outputs;
        result.summary = (decision.choice == Choice::skip ? "skipped by " : "done by ") + who + why;
        return result;
    }

  private:
    std::optional<Isolation> isolation_;
};

}  // namespace

std::unique_ptr<runbook::Step> make_manual_step(std::optional<Isolation> isolation) {
    return std::make_unique<ManualStep>(std::move(isolation));
}

}  // namespace holdfast::steps
