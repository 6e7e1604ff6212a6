#include "net/mail.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/text.h"

namespace holdfast {
namespace {

using testing::HasSubstr;
using testing::Not;

Mail mail_of(std::string subject, std::string body) {
    return {.from = {"holdfast@example.com"},
            .to = {{"dr@example.com"}},
            .subject = std::move(subject),
            .body = std::move(body)};
}

Time const kDate = *parse_rfc3339("2026-11-02T03:04:05Z");

std::string body_of(std::string const& text) {
    auto mail = format_mail(mail_of("x", text), kDate, "id@example.com");
    return mail.substr(mail.find("\r\n\r\n") + 4);
}
std::string subject_of(std::string const& subject) {
    auto mail = format_mail(mail_of(subject, ""), kDate, "id@example.com");
    auto at = mail.find("\r\nSubject: ") + 11;
    return mail.substr(at, mail.find("\r\nMessage-ID") - at);
}

TEST(Mail, HasTheHeadersThatServersWant) {
    auto mail = mail_of("Recovery done", "All is well.\n");
    mail.from.name = "Holdfast \"DR\"";
    mail.to.push_back({"boss@example.com", "The Boss, Esq."});
    EXPECT_EQ(format_mail(mail, kDate, "1234@example.com"),
              "Date: Mon, 2 Nov 2026 03:04:05 +0000\r\n"
              "From: \"Holdfast \\\"DR\\\"\"\r\n <holdfast@example.com>\r\n"
              "To: dr@example.com,\r\n \"The Boss, Esq.\"\r\n <boss@example.com>\r\n"
              "Subject: Recovery done\r\n"
              "Message-ID: <1234@example.com>\r\n"
              "Auto-Submitted: auto-generated\r\n"
              "MIME-Version: 1.0\r\n"
              "Content-Type: text/plain; charset=utf-8\r\n"
              "Content-Transfer-Encoding: quoted-printable\r\n"
              "\r\n"
              "All is well.\r\n");
}

TEST(Mail, SubjectsBeyondAsciiAreEncodedWords) {
    EXPECT_EQ(subject_of("Gr\xc3\xbc\xc3\x9f"), "=?UTF-8?B?R3LDvMOf?=");
    EXPECT_EQ(subject_of("=?UTF-8?B?R3LDvMOf?="), "=?UTF-8?B?PT9VVEYtOD9CP1IzTER2TU9mPz0=?=");
    EXPECT_EQ(subject_of("tab\there"), "=?UTF-8?B?dGFiCWhlcmU=?=");
    // Not UTF-8 at all: shown, not sent as it is.
    EXPECT_EQ(subject_of("caf\xe9"), "=?UTF-8?B?Y2FmXHhlOQ==?=");
}

TEST(Mail, LongSubjectsAreFoldedBetweenCharacters) {
    std::string subject = "x";  // so that no character ends where a word is full
    for (int i = 0; i < 100; ++i)
        subject += "\xe2\x82\xac";  // the euro sign, three bytes
    auto lines = split(subject_of(subject), '\n');
    EXPECT_EQ(lines.size(), 8U);
    for (std::size_t i = 0; i < lines.size(); ++i) {
        EXPECT_LE(lines[i].size(), 77U);
        EXPECT_THAT(lines[i], HasSubstr(i == 0 ? "=?UTF-8?B?eOKCrOKCr" : "=?UTF-8?B?4oKs"));
    }
    EXPECT_TRUE(subject_of(std::string(61, 'x')).starts_with("=?"));
}

TEST(Mail, BodyIsQuotedPrintable) {
    EXPECT_EQ(body_of("a=b \xc3\xa4\n"), "a=3Db =C3=A4\r\n");
    EXPECT_EQ(body_of("no end"), "no end\r\n");
    EXPECT_EQ(body_of("a\r\nb\n\nc\n"), "a\r\nb\r\n\r\nc\r\n");
    EXPECT_EQ(body_of("blank \ntab\t\n"), "blank=20\r\ntab=09\r\n");
    EXPECT_EQ(body_of("a\rb\n"), "a=0Db\r\n");
    EXPECT_EQ(body_of("From here\n.\n..x\n"), "=46rom here\r\n=2E\r\n=2E.x\r\n");
    EXPECT_EQ(body_of("caf\xe9\n"), "caf\\xe9\r\n");
    EXPECT_EQ(body_of(""), "");
}

TEST(Mail, LongLinesAreBroken) {
    for (auto const& text : {std::string(500, 'x'), std::string(500, '.'), std::string(500, '='),
                             "x" + std::string(500, ' ') + "y"}) {
        auto body = body_of(text + "\n");
        std::string joined;
        for (auto const& line : split(body, '\n')) {
            EXPECT_LE(line.size(), 77U);  // with the CR
            EXPECT_FALSE(line.starts_with('.'));
        }
    }
    EXPECT_EQ(body_of(std::string(76, 'x') + "\n"), std::string(75, 'x') + "=\r\nx\r\n");
    EXPECT_EQ(body_of(std::string(75, 'x') + "\n"), std::string(75, 'x') + "\r\n");
}

TEST(Mail, RefusesWhatWouldWriteHeaders) {
    auto refused = [](Mail const& mail) {
        auto checked = check_mail(mail);
        EXPECT_FALSE(checked);
        return !checked && checked.error().kind == ErrorKind::usage;
    };
    for (std::string bad : {"x\r\nBcc: all@example.com", "x\nBcc: all@example.com", "x\ry"}) {
        EXPECT_TRUE(refused(mail_of(bad, "")));
        auto mail = mail_of("x", "");
        mail.to[0].address = bad + "@example.com";
        EXPECT_TRUE(refused(mail));
        mail = mail_of("x", "");
        mail.to[0].name = bad;
        EXPECT_TRUE(refused(mail));
        mail = mail_of("x", "");
        mail.from.address = "a@example.com" + bad;
        EXPECT_TRUE(refused(mail));
        mail = mail_of("x", "");
        mail.from.name = bad;
        EXPECT_TRUE(refused(mail));
    }
    EXPECT_TRUE(refused(mail_of(std::string("a\0b", 3), "")));
}

TEST(Mail, RefusesWhatIsNoAddress) {
    for (std::string bad : {"", "dr", "@example.com", "dr@", "a b@example.com", "a@b@c",
                            "<dr@example.com>", "dr@example.com>", "a,b@example.com",
                            "\"a b\"@example.com", "d\xc3\xb6r@example.com", "-x@example.com"}) {
        auto mail = mail_of("x", "");
        mail.to.push_back({bad});
        auto checked = check_mail(mail);
        ASSERT_FALSE(checked) << bad;
        EXPECT_EQ(checked.error().kind, ErrorKind::usage);
    }
    auto mail = mail_of("x", "");
    mail.to[0].address = std::string(260, 'x') + "@example.com";
    EXPECT_FALSE(check_mail(mail));
    mail.to.clear();
    EXPECT_FALSE(check_mail(mail));
    mail.to = {{"root@localhost"}, {"a.b+c_d-e@sub.example.com"}, {"x@[127.0.0.1]"}};
    EXPECT_TRUE(check_mail(mail));
}

}  // namespace
}  // namespace holdfast
