#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "crypto/crypto.h"
#include "drill/evidence.h"

namespace holdfast::drill {

// Over the canonical bytes of the evidence.
struct EvidenceSignature {
    SignPublicKey key{};
    Signature value{};
};

// The bytes that are signed: compact JSON, members sorted by name, UTF-8 as it is, only integers. The same as
// `jq -cSj .evidence evidence.json` prints.
std::string canonical_json(Evidence const& evidence);

// The file: {"evidence": …, "signature": …}, indented, members sorted, one newline at the end. One evidence
// with one signature has one spelling.
std::string evidence_file_text(Evidence const& evidence, EvidenceSignature const& signature);

struct ParsedEvidence {
    Evidence evidence;
    EvidenceSignature signature;
    std::string signed_bytes;
};
// `damaged` on anything that evidence_file_text() could not have written, `usage` on a newer format. Does not
// check the signature.
Result<ParsedEvidence> parse_evidence_file(std::string_view text);

}  // namespace holdfast::drill
