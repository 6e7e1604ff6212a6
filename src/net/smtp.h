#pragma once

#include <stop_token>
#include <string>

#include "base/bytes.h"
#include "net/mail.h"
#include "os/clock.h"
#include "os/random.h"

namespace holdfast {

struct MailServer {
    // smtp://host:port (STARTTLS) or smtps://host:port (TLS from the beginning). The port may be
    // left out. Neither a path nor a password stands here.
    std::string url;
    // Signs in when not empty.
    std::string user = {};
    ByteView password = {};
    // Certificates to trust instead of the system's (PEM file).
    std::string ca_file = {};
    // smtp:// to this machine itself (localhost, 127.x, ::1) goes without TLS, to every other host
    // only with it. True: without exception.
    bool tls_on_loopback = false;
    // For the whole conversation.
    Duration timeout = std::chrono::seconds(60);
};

// Hands the mail to the server, which has then accepted it for every recipient. Proxies of the
// environment are not used. Errors:
//   usage        the server's URL or check_mail()
//   partial      the server took it for some recipients only; the message names the others
//   unreachable  no connection, no TLS, certificate, password or all recipients refused, too slow;
//   says which cancelled    `stop` was requested: whether the mail was sent is not known. Within a
//   second or so.
// Thread-safe. May be repeated; recipients then may get the mail twice.
Result<void> send_mail(MailServer const& server, Mail const& mail, std::stop_token stop,
                       Clock& clock = system_clock(), Random& random = system_random());

}  // namespace holdfast
