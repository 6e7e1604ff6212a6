#include "steps/send_mail.h"

#include "crypto/secret.h"
#include "net/smtp.h"

namespace holdfast::steps {

Result<void> send_by_smtp(plan::Mail const& server, OutgoingMail const& mail, std::stop_token stop) {
    Mail message{.from = {.address = server.from}, .to = {}, .subject = mail.subject, .body = mail.text};
    for (auto const& recipient : mail.to) message.to.push_back({recipient.address, recipient.name});
    if (!message.body.ends_with('\n')) message.body += '\n';

    Secret password;
    if (server.password) {
        auto resolved = TRY(plan::resolve(*server.password).within("the mail server's password"));
        password = Secret(resolved.bytes);
        wipe(resolved.bytes);
    }
    return send_mail({.url = server.server,
                      .user = server.user,
                      .password = password.view(),
                      .tls_on_loopback = server.tls == plan::Tls::required},
                     message, stop)
        .within("mail through '" + server.server + "'");
}

}  // namespace holdfast::steps
