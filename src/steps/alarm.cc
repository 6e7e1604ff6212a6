#include "steps/alarm.h"

namespace holdfast::steps {

Result<std::vector<Recipient>> alarm_recipients(Plan const& plan) {
    auto names = plan.notify.alarms;
    if (names.empty()) {
        for (auto const& team : plan.teams) names.push_back(team.name);
    }
    if (names.empty()) {
        for (auto const& person : plan.people) names.push_back(person.name);
    }
    return recipients(plan, names);
}

Result<bool> send_alarm(Plan const& plan, std::string subject, std::string text, SendMail const& send,
                        std::stop_token stop) {
    if (!plan.notify.mail) return false;
    OutgoingMail mail;
    mail.to = TRY(alarm_recipients(plan));
    if (mail.to.empty()) return false;
    mail.subject = std::move(subject);
    mail.text = std::move(text);
    TRY(send(*plan.notify.mail, mail, stop));
    return true;
}

}  // namespace holdfast::steps
