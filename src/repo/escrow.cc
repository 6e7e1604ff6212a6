#include "repo/escrow.h"

#include <algorithm>
#include <fmt/format.h>
#include <set>

#include "crypto/shamir.h"

namespace holdfast {
namespace {

// 1 | threshold (1) | number (1) | set (8) | value (32) | first bytes of SHA-256 of all before (7)
constexpr std::size_t kSetBytes = 8;
constexpr std::size_t kValueBytes = 32;
constexpr std::size_t kBodyBytes = 3 + kSetBytes + kValueBytes;
constexpr std::size_t kShareBytes = 50;
constexpr std::size_t kLines = 5;
constexpr std::size_t kLineBytes = kShareBytes / kLines;
constexpr std::size_t kLineLetters = 16;   // 5 bits each
constexpr std::size_t kCheckLetters = 2;
constexpr std::uint8_t kFormat = 1;
constexpr std::string_view kTitle = "HOLDFAST SHARE 1";
constexpr std::string_view kLetters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

// The two letters behind line `number`.
std::array<char, kCheckLetters> check_of(std::size_t number, ByteView line) {
    ByteWriter writer;
    writer.raw(as_bytes("holdfast share line"));
    writer.u8(static_cast<std::uint8_t>(number));
    writer.raw(line);
    auto hash = sha256(writer.view());
    return {kLetters[hash[0] >> 3], kLetters[hash[1] >> 3]};
}

int value_of(char letter) {
    if (letter >= 'a' && letter <= 'z') letter = static_cast<char>(letter - 'a' + 'A');
    if (letter == 'O') letter = '0';
    if (letter == 'I' || letter == 'L') letter = '1';
    auto at = kLetters.find(letter);
    return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

// Where the title begins, however it is capitalised.
std::size_t find_title(std::string_view text) {
    auto same = [](char a, char b) { return (a >= 'a' && a <= 'z' ? a - 'a' + 'A' : a) == b; };
    auto found = std::ranges::search(text, kTitle, same);
    return found.begin() == text.end() ? text.npos : static_cast<std::size_t>(found.begin() - text.begin());
}

void append_letters(std::string& text, ByteView line) {
    for (std::size_t i = 0; i < kLineLetters; ++i) {
        unsigned value = 0;
        for (std::size_t bit = i * 5; bit < i * 5 + 5; ++bit)
            value = value << 1 | (line[bit / 8] >> (7 - bit % 8) & 1u);
        if (i % 4 == 0) text += ' ';
        text += kLetters[value];
    }
}

// The letters of line `number` from `text` on, which is moved behind them. Nothing when it does not begin
// with the line's number.
Result<Secret> take_line(std::string_view& text, std::size_t number) {
    auto is_gap = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '-'; };
    auto skip = [&] {
        while (!text.empty() && is_gap(text.front())) text.remove_prefix(1);
    };
    auto wrong = [&](std::string_view what) {
        return fail(ErrorKind::usage, fmt::format("line {} of the share {}", number, what),
                    "compare it with the paper, letter by letter");
    };
    skip();
    if (text.empty() || text.front() != static_cast<char>('0' + number)) return wrong("is missing");
    text.remove_prefix(1);
    auto line = Secret::of_size(kLineBytes);
    std::array<char, kCheckLetters> check{};
    for (std::size_t i = 0; i < kLineLetters + kCheckLetters; ++i) {
        skip();
        auto value = text.empty() ? -1 : value_of(text.front());
        if (value < 0) return wrong(text.empty() ? "ends early" : "has a letter that is none");
        text.remove_prefix(1);
        if (i >= kLineLetters) {
            check[i - kLineLetters] = kLetters[static_cast<std::size_t>(value)];
            continue;
        }
        for (std::size_t bit = 0; bit < 5; ++bit) {
            auto at = i * 5 + bit;
            auto one = static_cast<unsigned>(value) >> (4 - bit) & 1u;
            line.writable()[at / 8] |= static_cast<std::uint8_t>(one << (7 - at % 8));
        }
    }
    if (check != check_of(number, line.view())) return wrong("does not fit its last two letters");
    return line;
}

Result<EscrowShare> decode_share(ByteView bytes) {
    auto body = bytes.first(kBodyBytes);
    auto sum = sha256(body);
    if (!std::ranges::equal(bytes.subspan(kBodyBytes), ByteView(sum).first(kShareBytes - kBodyBytes)))
        return fail(ErrorKind::usage, "the lines of the share do not belong together",
                    "take all five from one sheet of paper");
    ByteReader reader(body);
    if (reader.u8() != kFormat)
        return fail(ErrorKind::usage, "the share is of a later version of this program");
    EscrowShare share;
    share.threshold = reader.u8();
    share.number = reader.u8();
    std::ranges::copy(reader.raw(kSetBytes), share.set.begin());
    share.value = Secret(reader.raw(kValueBytes));
    if (share.number == 0 || share.threshold < 2)
        return fail(ErrorKind::usage, "the share is none that this program made");
    return share;
}

std::array<std::uint8_t, kSetBytes> set_of(BundleId const& id) {
    std::array<std::uint8_t, kSetBytes> set;
    std::copy_n(id.bytes.begin(), set.size(), set.begin());
    return set;
}

}  // namespace

std::string to_text(EscrowShare const& share) {
    auto bytes = Secret::of_size(kShareBytes);
    auto* to = bytes.writable().data();
    *to++ = kFormat;
    *to++ = share.threshold;
    *to++ = share.number;
    to = std::ranges::copy(share.set, to).out;
    to = std::ranges::copy(share.value.view(), to).out;
    auto sum = sha256(bytes.view().first(kBodyBytes));
    std::copy_n(sum.begin(), kShareBytes - kBodyBytes, to);
    std::string text;
    text.reserve(300);  // at once: a growing string would leave the share behind in freed memory
    text += kTitle;
    text += '\n';
    for (std::size_t i = 0; i < kLines; ++i) {
        auto line = bytes.view().subspan(i * kLineBytes, kLineBytes);
        text += static_cast<char>('1' + i);
        append_letters(text, line);
        text += ' ';
        for (auto letter : check_of(i + 1, line)) text += letter;
        text += '\n';
    }
    return text;
}

Result<std::vector<EscrowShare>> parse_shares(std::string_view text) {
    std::vector<EscrowShare> shares;
    for (auto at = find_title(text); at != text.npos; at = find_title(text)) {
        text.remove_prefix(at + kTitle.size());
        auto bytes = Secret::of_size(kShareBytes);
        for (std::size_t i = 0; i < kLines; ++i) {
            auto line = TRY(take_line(text, i + 1));
            std::ranges::copy(line.view(), bytes.writable().begin() + static_cast<std::ptrdiff_t>(i * kLineBytes));
        }
        auto share = TRY(decode_share(bytes.view()));
        shares.push_back(std::move(share));
    }
    if (shares.empty())
        return fail(ErrorKind::usage, fmt::format("there is no share here: it begins with '{}'", kTitle));
    return shares;
}

Result<Escrow> make_escrow(Repository& repository, EscrowOptions const& options, std::stop_token stop) {
    if (options.threshold < 2 || options.threshold > options.shares || options.shares > 255)
        return fail(ErrorKind::usage,
                    fmt::format("{} of {} shares can't be: at least 2 are needed, and at most all of 255",
                                options.threshold, options.shares));
    auto& random = repository.world().random;
    auto password = Secret::of_size(kValueBytes);
    random.fill(password.writable());
    auto label = fmt::format("escrow, {} of {}", options.threshold, options.shares);
    auto bundle = TRY(add_bundle(
        repository, {.roles = options.roles, .label = label, .password = password.view()}, stop));
    Escrow escrow{std::move(bundle), {}};
    for (auto& share : split_secret(password.view(), options.threshold, options.shares, random))
        escrow.shares.push_back({static_cast<std::uint8_t>(options.threshold), share.x, set_of(escrow.bundle.id),
                                 std::move(share.value)});
    return escrow;
}

Result<KeyBundle> recover_escrow(Store& store, std::span<EscrowShare const> shares, std::stop_token stop) {
    if (shares.empty()) return fail(ErrorKind::usage, "no share at all");
    auto const& first = shares.front();
    std::set<std::uint8_t> numbers;
    for (auto const& share : shares) {
        if (share.set != first.set || share.threshold != first.threshold)
            return fail(ErrorKind::usage,
                        fmt::format("shares {} and {} are of different keys", first.number, share.number),
                        "the sheets name the key that they belong to");
        if (!numbers.insert(share.number).second)
            return fail(ErrorKind::usage, fmt::format("share {} is there twice", share.number));
    }
    if (shares.size() < first.threshold)
        return fail(ErrorKind::usage,
                    fmt::format("{} shares are needed, these are {}", first.threshold, shares.size()));
    std::vector<SecretShare> points;
    for (auto const& share : shares) points.push_back({share.number, share.value.clone()});
    auto password = TRY(combine_shares(points));
    auto bundle = unlock_repository(store, password.view(), stop);
    if (!bundle && bundle.error().kind == ErrorKind::key_refused)
        return fail(ErrorKind::key_refused, "the shares open no key of " + store.describe(),
                    "they are of another repository, or its key " + to_hex(first.set) + "… is gone");
    if (bundle && set_of(bundle->id) != first.set)
        return fail(ErrorKind::key_refused, "the shares name another key than the one that they open");
    return bundle;
}

}  // namespace holdfast
