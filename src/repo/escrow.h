#pragma once

#include <array>
#include <span>
#include <string>
#include <vector>

#include "crypto/secret.h"
#include "repo/ids.h"
#include "repo/repository.h"

namespace holdfast {

// A key that several people hold together. Escrow makes a new bundle in the repository, wrapped by a
// password of 32 random bytes that nobody ever sees, and gives out shares of these (crypto/shamir.h). So a
// share is short enough to be typed (docs/decisions/0031-escrow-shares-a-password.md, which has its bytes).

struct EscrowShare {
    std::uint8_t threshold = 0;            // how many are needed
    std::uint8_t number = 0;               // 1 to 255: this one's
    std::array<std::uint8_t, 8> set{};     // the first bytes of the bundle's id: which belong together
    Secret value;                          // 32 bytes
};

// What a person can type: a first line that says what it is, then five lines, each with its
// number, 16 letters in fours and two that check them. Letters are Crockford's base 32: no I, L, O and U.
// The caller wipes it.
std::string to_text(EscrowShare const& share);
// Every share in the text, which may be anything around them: a kit's HTML, a file of several, what somebody
// typed (small letters, O for 0, I and L for 1, other or no spaces). usage, naming the line, for one that does
// not fit its check.
Result<std::vector<EscrowShare>> parse_shares(std::string_view text);

struct Escrow {
    KeyBundle bundle;
    std::vector<EscrowShare> shares;
};
struct EscrowOptions {
    Roles roles = kAllRoles;
    unsigned shares = 0, threshold = 0;  // 2 <= threshold <= shares <= 255
};
// When it returns, the key stands in the repository, and nothing but the shares opens it. Errors as of
// add_bundle(); usage for numbers that can't be.
Result<Escrow> make_escrow(Repository& repository, EscrowOptions const& options, std::stop_token stop);

// The bundle behind the shares. usage when they are too few, twice the same, or of different sets (each
// with a message of its own); key_refused when the repository has no key that they open.
Result<KeyBundle> recover_escrow(Store& store, std::span<EscrowShare const> shares, std::stop_token stop);

}  // namespace holdfast
