#include "cli/key_argument.h"

#include <fmt/format.h>

#include "base/text.h"
#include "repo/key_changes.h"

namespace holdfast::cli {

Result<Repository*> repository_of_keys(Workspace& workspace, std::optional<Role> role, std::stop_token stop) {
    auto name = TRY(workspace.default_repository());
    return workspace.repository(name, role, std::move(stop));
}

Result<BundleId> find_key(Repository& repository, std::string const& text, std::stop_token stop) {
    auto list = TRY(list_keys(repository, std::move(stop)));
    std::vector<BundleId> found;
    for (auto const& one : list.keys) {
        if (!text.empty() && one.certificate.id.hex().starts_with(text)) found.push_back(one.certificate.id);
    }
    if (found.size() == 1) return found.front();
    if (found.empty()) {
        return fail(ErrorKind::not_found, fmt::format("no key begins with '{}'", printable(text)),
                    "holdfast key list shows them");
    }
    return fail(ErrorKind::usage, fmt::format("'{}' begins the ids of {} keys", printable(text), found.size()),
                "write more digits of the id");
}

std::string to_second(Time time) { return to_rfc3339(std::chrono::floor<std::chrono::seconds>(time)); }

}  // namespace holdfast::cli
