#include "steps/alarm.h"

namespace holdfast::steps {

Result<bool> send_alarm(Plan const& plan, std::string subject, std::string text, SendMail const& send,
                        std::stop_token stop) {
    if (!plan.notify.mail) return false;
    std::vector<std::string> names;
    for (auto const& team : plan.teams) names.push_back(team.name);
    if (names.empty()) {
        for (auto const& person : plan.people) names.push_back(person.name);
    }
    OutgoingMail mail;
    mail.to = TRY(recipients(plan, names));
    if (mail.to.empty()) return false;
    mail.subject = std::move(subject);
    mail.text = std::move(text);
    TRY(send(*plan.notify.mail, mail, stop));
    return true;
}

}  // namespace holdfast::steps
