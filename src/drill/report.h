#pragma once

#include <string>

#include "drill/evidence_json.h"

namespace holdfast::drill {

// The evidence as one HTML page that needs nothing else: no script, no font, no image from anywhere. Reads well
// on screens, light and dark, and on A4. `sha256` is that of evidence.json. Every text of the evidence is
// escaped.
std::string render_report(Evidence const& evidence, EvidenceSignature const& signature,
                          std::string const& sha256);

}  // namespace holdfast::drill
