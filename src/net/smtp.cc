#include "net/smtp.h"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>

#include "base/text.h"
#include "net/curl.h"

namespace holdfast {
namespace {

// A copy of the password with a NUL at its end, as libcurl wants it; wiped.
class PasswordText {
  public:
    explicit PasswordText(ByteView password) : text_(password.begin(), password.end()) {
        text_.push_back('\0');
    }
    ~PasswordText() { explicit_bzero(text_.data(), text_.size()); }
    PasswordText(PasswordText const&) = delete;
    PasswordText& operator=(PasswordText const&) = delete;
    char const* get() const { return text_.data(); }

  private:
    std::vector<char> text_;
};

// Listens to the conversation, to tell what the server said and whom it refused.
class Conversation {
  public:
    void sent(std::string_view line) {
        constexpr std::string_view kRecipient = "RCPT TO:<";
        recipient_.clear();
        if (!line.starts_with(kRecipient))
            return;
        line.remove_prefix(kRecipient.size());
        recipient_ = line.substr(0, line.find('>'));
    }
    void received(std::string_view line) {
        while (!line.empty() && (line.back() == '\r' || line.back() == '\n'))
            line.remove_suffix(1);
        if (line.empty() || (line[0] != '4' && line[0] != '5'))
            return;
        refusal_ = printable(line.substr(0, 200));
        if (recipient_.empty())
            return;
        refused_.push_back(fmt::format("'{}' ({})", printable(recipient_), refusal_));
        recipient_.clear();
    }
    // The last line in which the server said no; may be empty.
    std::string const& refusal() const { return refusal_; }
    std::vector<std::string> const& refused() const { return refused_; }

  private:
    std::string recipient_;
    std::string refusal_;
    std::vector<std::string> refused_;
};

// All that libcurl's callbacks need.
struct Transfer {
    std::string_view message;
    std::stop_token stop;
    Duration give_up_at;  // of system_clock().elapsed(): the network's time is never simulated
    Conversation conversation;
};

std::size_t give_message(char* to, std::size_t size, std::size_t count, void* context) {
    auto& message = static_cast<Transfer*>(context)->message;
    auto given = std::min(size * count, message.size());
    std::memcpy(to, message.data(), given);
    message.remove_prefix(given);
    return given;
}

// libcurl asks about once a second while nothing happens, else more often.
int ask_for_end(void* context, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    auto const& transfer = *static_cast<Transfer*>(context);
    bool late = system_clock().elapsed() >= transfer.give_up_at;
    return late || transfer.stop.stop_requested() ? 1 : 0;
}

int listen(CURL*, curl_infotype type, char* data, std::size_t size, void* context) {
    auto& conversation = static_cast<Transfer*>(context)->conversation;
    if (type == CURLINFO_HEADER_OUT)
        conversation.sent({data, size});
    if (type == CURLINFO_HEADER_IN)
        conversation.received({data, size});
    return 0;
}

struct Checked {
    bool tls;  // insist on it
};

Result<Checked> check_server(MailServer const& server) {
    auto url = TRY(curl::parse_url(server.url));
    auto bad = [](std::string message) {
        return fail(ErrorKind::usage, std::move(message),
                    "write smtp://host:port or smtps://host:port");
    };
    if (url.has_user)
        return bad("the URL of a mail server holds no user or password");
    auto name = printable(server.url);
    if (url.scheme != "smtp" && url.scheme != "smtps") {
        return bad(fmt::format("'{}' is not the URL of a mail server", name));
    }
    if (url.host.empty() || url.path != "/") {
        return bad(fmt::format("'{}': the URL of a mail server has a host and no path", name));
    }
    if (std::ranges::find(server.password, 0) != server.password.end()) {
        return fail(ErrorKind::usage, "the password for the mail server holds a NUL byte");
    }
    return Checked{url.scheme == "smtps" || server.tls_on_loopback || !curl::is_loopback(url.host)};
}

std::string make_message_id(Mail const& mail, Random& random) {
    Bytes bytes(16);
    random.fill(bytes);
    auto const& from = mail.from.address;
    return fmt::format("{}@{}", to_hex(bytes), from.substr(from.rfind('@') + 1));
}

std::string hint_for(CURLcode code) {
    switch (code) {
        case CURLE_USE_SSL_FAILED:
            return "the server offers no STARTTLS; use its smtps:// port or another server";
        case CURLE_PEER_FAILED_VERIFICATION:
        case CURLE_SSL_CACERT_BADFILE:
            return "check the server's name and certificate, or name its authority";
        case CURLE_LOGIN_DENIED:
            return "check user and password for the mail server";
        default:
            return "check the mail server's address and that it runs";
    }
}

Error error_of(CURLcode code, char const* text, Transfer const& transfer) {
    auto const& conversation = transfer.conversation;
    bool aborted = code == CURLE_ABORTED_BY_CALLBACK;
    if (aborted && transfer.stop.stop_requested())
        return {ErrorKind::cancelled, "stopped", {}};
    if (aborted)
        code = CURLE_OPERATION_TIMEDOUT;
    std::string message = *text && !aborted ? printable(text) : curl_easy_strerror(code);
    if (!conversation.refusal().empty())
        message += ": the server said: " + conversation.refusal();
    return {ErrorKind::unreachable, std::move(message), hint_for(code)};
}

}  // namespace

Result<void> send_mail(MailServer const& server, Mail const& mail, std::stop_token stop,
                       Clock& clock, Random& random) {
    TRY(check_mail(mail).within("send mail"));
    auto checked = TRY(check_server(server).within("send mail"));
    auto message = format_mail(mail, clock.now(), make_message_id(mail, random));
    Transfer transfer{message, std::move(stop), system_clock().elapsed() + server.timeout, {}};

    auto handle = curl::make_handle();
    auto* curl = handle.get();
    char error_text[CURL_ERROR_SIZE] = "";
    auto from = "<" + mail.from.address + ">";
    curl::List recipients;
    for (auto const& to : mail.to) {
        auto* list = curl_slist_append(recipients.get(), ("<" + to.address + ">").c_str());
        (void)recipients.release();
        recipients.reset(list);
    }
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error_text);
    curl_easy_setopt(curl, CURLOPT_URL, server.url.c_str());
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(curl, CURLOPT_USE_SSL,
                     static_cast<long>(checked.tls ? CURLUSESSL_ALL : CURLUSESSL_NONE));
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 0x7fffffffL / 1000);  // ask_for_end() decides
    // The goodbye belongs to this conversation and its time. Else it is said when the handle is
    // freed, and libcurl waits two minutes for the answer of a server that is stuck.
    curl_easy_setopt(curl, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(curl, CURLOPT_MAIL_FROM, from.c_str());
    curl_easy_setopt(curl, CURLOPT_MAIL_RCPT, recipients.get());
    // One address that is gone must not keep the news from all the others.
    curl_easy_setopt(curl, CURLOPT_MAIL_RCPT_ALLLOWFAILS, 1L);
    curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, give_message);
    curl_easy_setopt(curl, CURLOPT_READDATA, &transfer);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, ask_for_end);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &transfer);
    // Nothing of this is printed or kept but lines in which the server says no.
    curl_easy_setopt(curl, CURLOPT_VERBOSE, 1L);
    curl_easy_setopt(curl, CURLOPT_DEBUGFUNCTION, listen);
    curl_easy_setopt(curl, CURLOPT_DEBUGDATA, &transfer);
    PasswordText password(server.password);
    if (!server.user.empty()) {
        curl_easy_setopt(curl, CURLOPT_USERNAME, server.user.c_str());
        curl_easy_setopt(curl, CURLOPT_PASSWORD, password.get());
    }
    if (!server.ca_file.empty())
        curl_easy_setopt(curl, CURLOPT_CAINFO, server.ca_file.c_str());

    auto code =
        transfer.stop.stop_requested() ? CURLE_ABORTED_BY_CALLBACK : curl_easy_perform(curl);
    auto what = fmt::format("send mail through {}", printable(server.url));
    if (code != CURLE_OK) {
        return fail(error_of(code, error_text, transfer).within(what));
    }
    auto const& refused = transfer.conversation.refused();
    if (refused.empty())
        return {};
    return fail(ErrorKind::partial,
                fmt::format("{}: delivered, but not to {}", what, join(refused, ", ")),
                "check these addresses");
}

}  // namespace holdfast
