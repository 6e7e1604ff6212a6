#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace holdfast {

struct MailAddress {
    std::string address;    // "dr@example.com"
    std::string name = {};  // "DR Coordinator", UTF-8; may be empty
};

struct Mail {
    MailAddress from;
    std::vector<MailAddress> to;  // at least one
    std::string subject;          // UTF-8, one line
    std::string body;             // UTF-8, lines end with "\n"
};

// Whether every part can be sent: addresses are local@domain in printable ASCII, and no line break
// or NUL hides in an address, a name or the subject, where it would let its author write headers.
// `usage` names what is wrong.
Result<void> check_mail(Mail const& mail);

// The message as it travels: RFC 5322 with CRLF, encoded words (RFC 2047) where a header is not
// plain ASCII, the body as quoted-printable (RFC 2045) UTF-8. No line is longer than 76 characters,
// but for headers that hold one long word. Bytes that are not UTF-8 are shown as \xNN. `message_id`
// is without angle brackets. The mail has passed check_mail(): asserted.
std::string format_mail(Mail const& mail, Time date, std::string_view message_id);

}  // namespace holdfast
