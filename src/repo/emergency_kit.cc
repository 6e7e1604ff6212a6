#include "repo/emergency_kit.h"

#include <fmt/format.h>

#include "base/text.h"

namespace holdfast {

std::string fingerprint(SignPublicKey const& key) {
    auto digits = to_hex(sha256(key)).substr(0, 32);
    std::string text;
    for (std::size_t i = 0; i < digits.size(); i += 4) {
        if (i > 0)
            text += '-';
        text += digits.substr(i, 4);
    }
    return text;
}

std::string emergency_kit(EmergencyKit const& kit) {
    return fmt::format(R"(HOLDFAST EMERGENCY KIT                                   {date}
======================================================================
Print this page. Write the password on it by hand. Lock it away, twice,
in two places. Whoever has it can read every backup.

  Repository    {url}
  Id            {id}
  Admin key     {fingerprint}
  Made with     holdfast {version}

  Password      ______________________________________________________


To recover everything on a bare machine
  1. Install holdfast {version} or later.
  2. Reach the repository: attach the disk, or set the credentials of
     the bucket.
  3. Run
         holdfast rescue {url}
     and give the password. It brings back the plan, the runbooks, the
     contacts and Holdfast's own records, and lists what can be
     recovered.
  4. Compare the id and the admin key that it shows with this page.
     If they differ, it is not this repository: stop.
  5. Run the runbook of your scenario, in the directory that `rescue`
     made:
         holdfast recover SCENARIO
     or take back a single dataset:
         holdfast points
         holdfast restore DATASET@latest TARGET

Without the password, or a key file, nobody can read the repository:
not the store, not the makers of holdfast.
)",
                       fmt::arg("date", to_rfc3339(kit.created)),
                       fmt::arg("url", printable(kit.url)), fmt::arg("id", kit.repository.hex()),
                       fmt::arg("fingerprint", fingerprint(kit.admin)),
                       fmt::arg("version", kit.version));
}

}  // namespace holdfast
