#include "datasets/approvals.h"

#include <fmt/format.h>

#include "base/text.h"
#include "repo/approval.h"

namespace holdfast {

Result<void> check_planned_approvals(Workspace const& workspace, std::string_view name, Repository& repository,
                                     std::stop_token stop) {
    if (!workspace.has_plan()) return {};
    auto const* plan = TRY(workspace.plan());
    // With --repo the repository is named by its URL, and asks for itself.
    auto const* planned = plan->repositories.find(std::string(name));
    if (planned == nullptr || planned->approvals == 0) return {};
    auto rules = approval_rules(TRY(repository.ring(std::move(stop))).ring);
    if (rules.others >= planned->approvals) return {};
    return fail(ErrorKind::unsafe,
                fmt::format("the plan asks for the approval of {} before anything is deleted from '{}', and that "
                            "repository asks for that of {}",
                            planned->approvals, printable(name), rules.others),
                fmt::format("holdfast approvals set {} --approver KEY --approver KEY", planned->approvals));
}

}  // namespace holdfast
