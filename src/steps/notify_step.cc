#include "steps/notify_step.h"

#include <fmt/format.h>

#include "base/text.h"
#include "steps/arguments.h"

namespace holdfast::steps {
namespace {

std::string addresses(std::vector<Recipient> const& to) {
    std::vector<std::string> texts;
    for (auto const& recipient : to) {
        texts.push_back(recipient.name.empty() ? recipient.address
                                               : fmt::format("{} <{}>", recipient.name, recipient.address));
    }
    return join(texts, ", ");
}

class NotifyStep : public runbook::Step {
  public:
    NotifyStep(Plan const& plan, SendMail send, std::optional<Isolation> isolation)
        : plan_(plan), send_(std::move(send)), isolation_(std::move(isolation)) {}

    // A second mail confuses people in the middle of a disaster: ask.
    bool idempotent() const override { return false; }

    Result<std::string> describe(Value const& arguments) const override {
        auto const names = TRY(required_texts(arguments, "to"));
        auto who = join(names, ", ");
        if (runbook::is_known(*arguments.find("to"))) {
            auto const to = TRY(recipients(plan_, names));
            who = addresses(to);
        }
        auto const* server = plan_.notify.mail ? &*plan_.notify.mail : nullptr;
        return fmt::format("mail {}\nthrough {} from {}\nsubject: {}\n{}", who,
                           server ? server->server : "(no mail server is set)", server ? server->from : "",
                           arguments.member_text("subject"), arguments.member_text("text"));
    }

    Result<void> preflight(Value const& arguments, std::stop_token) override {
        TRY(server());
        auto const names = TRY(required_texts(arguments, "to"));
        if (runbook::is_known(*arguments.find("to"))) TRY(recipients(plan_, names));
        TRY(required_text(arguments, "subject"));
        TRY(required_text(arguments, "text"));
        return {};
    }

    Result<runbook::StepResult> run(runbook::StepContext& context) override {
        if (isolation_) TRY(isolation_->allow_step(context.step_name(), "notify"));
        auto const& arguments = context.arguments();
        auto const* mail_server = TRY(server());
        auto const names = TRY(required_texts(arguments, "to"));
        OutgoingMail mail;
        mail.to = TRY(recipients(plan_, names));
        mail.subject = TRY(required_text(arguments, "subject"));
        mail.text = TRY(required_text(arguments, "text"));
        // In the journal before it is sent: who has to decide about a second one knows what went where.
        TRY(context.record_effect("mail", Value(fmt::format("{}: {}", addresses(mail.to), mail.subject))));
        TRY(send_(*mail_server, mail, context.stop()));
        runbook::StepResult result;
        result.outputs.set("recipients", static_cast<std::int64_t>(mail.to.size()));
        result.summary = "told " + addresses(mail.to);
        return result;
    }

  private:
    Result<plan::Mail const*> server() const {
        if (plan_.notify.mail) return &*plan_.notify.mail;
        return fail(ErrorKind::usage, "no mail server is set", "set notify.mail in the plan");
    }

    Plan const& plan_;
    SendMail send_;
    std::optional<Isolation> isolation_;
};

}  // namespace

std::unique_ptr<runbook::Step> make_notify_step(Plan const& plan, SendMail send,
                                                std::optional<Isolation> isolation) {
    return std::make_unique<NotifyStep>(plan, std::move(send), std::move(isolation));
}

}  // namespace holdfast::steps
