#include "repo/escrow.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "repo/escrow_sheet.h"
#include "repo/qr_svg.h"
#include "repo/test_world.h"

namespace holdfast {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

struct EscrowTest : testing::Test {
    SeededRandom random{23};
    ManualClock clock{*parse_rfc3339("2026-01-01T00:00:00Z")};
    std::unique_ptr<Executor> executor = make_seeded_executor(1);
    TestStore store;
    KeyBundle admin = create_repository(store, world(), as_bytes("correct horse"), {}).value();

    RepositoryWorld world() { return {clock, random, *executor, {}, {}}; }
    std::unique_ptr<Repository> open(KeyBundle const& keys) {
        return open_repository(store, keys.clone(), world(), {}, {}).value();
    }

    Escrow made = make_escrow(*open(admin), {.shares = 5, .threshold = 3}, {}).value();

    std::vector<EscrowShare> take(std::initializer_list<std::size_t> numbers) {
        std::vector<EscrowShare> taken;
        for (auto number : numbers) {
            auto const& share = made.shares[number - 1];
            taken.push_back({share.threshold, share.number, share.set, share.value.clone()});
        }
        return taken;
    }
};

TEST_F(EscrowTest, AnyThreeOpenTheKeyAndTwoDoNot) {
    ASSERT_EQ(made.shares.size(), 5u);
    for (auto const& numbers : {std::initializer_list<std::size_t>{1, 2, 3}, {5, 1, 3}, {2, 4, 5}, {1, 2, 3, 4, 5}}) {
        auto bundle = recover_escrow(store, take(numbers), {});
        ASSERT_TRUE(bundle) << bundle.error().message;
        EXPECT_TRUE(encode(*bundle).equals(encode(made.bundle).view()));
    }
    EXPECT_EQ(recover_escrow(store, take({1, 4}), {}).error().kind, ErrorKind::usage);
    EXPECT_THAT(recover_escrow(store, take({1, 4}), {}).error().message, HasSubstr("3 shares are needed, these are 2"));
    EXPECT_THAT(recover_escrow(store, take({1, 4, 1}), {}).error().message, HasSubstr("share 1 is there twice"));
    // Who says that fewer are enough, gets nothing all the same.
    auto lied = take({1, 4});
    for (auto& share : lied) share.threshold = 2;
    EXPECT_EQ(recover_escrow(store, lied, {}).error().kind, ErrorKind::key_refused);
    EXPECT_EQ(recover_escrow(store, {}, {}).error().kind, ErrorKind::usage);
}

TEST_F(EscrowTest, SharesOfDifferentKeysAreTold) {
    auto other = make_escrow(*open(admin), {.shares = 5, .threshold = 3}, {}).value();
    auto mixed = take({1, 2});
    mixed.push_back(std::move(other.shares[2]));
    EXPECT_THAT(recover_escrow(store, mixed, {}).error().message, HasSubstr("of different keys"));
}

// The key does what its roles say, and the password of the repository opens it as little as it opens the other.
TEST_F(EscrowTest, TheKeyHasItsRoles) {
    auto reader = make_escrow(*open(admin), {.roles = static_cast<Roles>(Role::reader), .shares = 2, .threshold = 2}, {})
                      .value();
    auto bundle = recover_escrow(store, reader.shares, {}).value();
    EXPECT_TRUE(bundle.data_private);
    EXPECT_FALSE(bundle.admin_sign);
    EXPECT_FALSE(open(bundle)->begin_ingest({}, {}));
    EXPECT_TRUE(open(bundle)->begin_fetch({}, {}));
    EXPECT_EQ(unlock_repository(store, as_bytes("correct horse"), {}).value().id, admin.id);
}

TEST_F(EscrowTest, NumbersThatCannotBeAreRefused) {
    auto repository = open(admin);
    for (auto [shares, threshold] : {std::pair{5u, 1u}, {5u, 0u}, {3u, 4u}, {256u, 2u}, {0u, 0u}})
        EXPECT_EQ(make_escrow(*repository, {.shares = shares, .threshold = threshold}, {}).error().kind,
                  ErrorKind::usage);
    auto writer = add_bundle(*repository, {.roles = static_cast<Roles>(Role::writer), .label = "w"}, {}).value();
    EXPECT_EQ(make_escrow(*open(writer), {.shares = 3, .threshold = 2}, {}).error().kind, ErrorKind::key_refused);
}

TEST_F(EscrowTest, AShareSurvivesPaper) {
    for (auto const& share : made.shares) {
        auto text = to_text(share);
        // As somebody types it: small letters, o for 0, l for 1, no spaces, Windows line ends.
        std::string sloppy = "Holdfast share 1";
        for (char c : text.substr(sloppy.size())) {
            if (c == ' ') continue;
            if (c == '\n') sloppy += "\r\n";
            else if (c == '0') sloppy += 'o';
            else if (c >= 'A' && c <= 'Z') sloppy += static_cast<char>(c - 'A' + 'a');
            else sloppy += c;
        }
        for (auto const& form : {text, sloppy, "before\n" + text + "after\n"}) {
            auto parsed = parse_shares(form);
            ASSERT_TRUE(parsed) << parsed.error().message << '\n' << form;
            ASSERT_THAT(*parsed, SizeIs(1));
            EXPECT_EQ((*parsed)[0].number, share.number);
            EXPECT_EQ((*parsed)[0].threshold, 3);
            EXPECT_EQ((*parsed)[0].set, share.set);
            EXPECT_TRUE((*parsed)[0].value.equals(share.value.view()));
        }
    }
    EXPECT_THAT(parse_shares(to_text(made.shares[0]) + to_text(made.shares[3])).value(), SizeIs(2));
}

TEST_F(EscrowTest, EverySlipOfTheFingerIsNamed) {
    auto text = to_text(made.shares[1]);
    constexpr std::string_view kAll = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    auto begin = text.find('\n') + 1;
    std::size_t wrong = 0, missed = 0;
    for (auto at = begin; at < text.size(); ++at) {
        auto line = 1 + std::count(text.begin() + static_cast<std::ptrdiff_t>(begin),
                                   text.begin() + static_cast<std::ptrdiff_t>(at), '\n');
        bool is_number = at == begin || text[at - 1] == '\n';
        if (text[at] == ' ' || text[at] == '\n') continue;
        for (char other : kAll) {
            if (other == text[at]) continue;
            auto slip = text;
            slip[at] = other;
            auto parsed = parse_shares(slip);
            ++wrong;
            ASSERT_FALSE(parsed) << slip;
            // One in 1,024 passes the line's letters, and is caught by the whole.
            if (parsed.error().message.find("line " + std::to_string(line)) == std::string::npos) ++missed;
            if (is_number) {
                EXPECT_THAT(parsed.error().message, HasSubstr("is missing"));
            }
        }
        EXPECT_FALSE(parse_shares(text.substr(0, at))) << at;
        if (at + 1 < text.size() && text[at] != text[at + 1] && text[at + 1] != ' ' && text[at + 1] != '\n') {
            auto swapped = text;
            std::swap(swapped[at], swapped[at + 1]);
            EXPECT_FALSE(parse_shares(swapped)) << swapped;
        }
    }
    EXPECT_LT(missed, wrong / 200);
    // Lines of two sheets.
    auto other = to_text(made.shares[2]);
    auto mixed = text.substr(0, text.find("\n3") + 1) + other.substr(other.find("\n3") + 1);
    EXPECT_THAT(parse_shares(mixed).error().message, HasSubstr("do not belong together"));
    for (auto const* none : {"", "HOLDFAST", "HOLDFAST SHARE 2\n"})
        EXPECT_EQ(parse_shares(none).error().kind, ErrorKind::usage);
}

TEST_F(EscrowTest, ASheetIsWholeByItself) {
    EmergencyKit kit{.url = "s3://bucket/<b>&\"", .repository = admin.repository, .created = clock.now(),
                     .admin = admin.admin_public, .version = "1"};
    auto sheet = escrow_sheet(kit, made.shares[0], 5);
    ASSERT_TRUE(sheet);
    EXPECT_THAT(*sheet, HasSubstr("Share 1 of 5"));
    EXPECT_THAT(*sheet, HasSubstr("<svg"));
    EXPECT_THAT(*sheet, HasSubstr("s3://bucket/&lt;b&gt;&amp;&quot;"));
    EXPECT_THAT(*sheet, Not(HasSubstr("<b>&")));
    EXPECT_THAT(*sheet, HasSubstr(fingerprint(admin.admin_public)));
    // Nothing from elsewhere, and the share can be taken out of it again.
    for (auto const* outside : {"src=", "href=", "url(", "@import", "<script"}) EXPECT_THAT(*sheet, Not(HasSubstr(outside)));
    auto parsed = parse_shares(*sheet);
    ASSERT_TRUE(parsed) << parsed.error().message;
    EXPECT_TRUE((*parsed)[0].value.equals(made.shares[0].value.view()));

    auto html = emergency_kit_html(kit);
    EXPECT_THAT(html, HasSubstr("HOLDFAST EMERGENCY KIT"));
    EXPECT_THAT(html, HasSubstr("s3://bucket/&lt;b&gt;"));
    EXPECT_THAT(html, HasSubstr("<svg"));
    kit.url = "/" + std::string(4000, 'x');
    EXPECT_THAT(emergency_kit_html(kit), Not(HasSubstr("<svg")));
}

TEST(QrSvg, HoldsWhatAStandardHolds) {
    auto small = qr_svg("holdfast").value();
    // Version 1: 21 modules and the quiet zone of four on each side; the finder patterns' corners.
    EXPECT_THAT(small, HasSubstr("viewBox=\"0 0 29 29\""));
    for (auto const* corner : {"M4 4h", "M24 4h", "M4 24h"}) EXPECT_THAT(small, HasSubstr(corner));
    EXPECT_THAT(small, Not(HasSubstr("M3 3h")));
    EXPECT_EQ(qr_svg(std::string(3000, 'x')).error().kind, ErrorKind::usage);
}

}  // namespace
}  // namespace holdfast
