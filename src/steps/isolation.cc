#include "steps/isolation.h"

#include <algorithm>

#include "base/text.h"

namespace holdfast::steps {

Result<void> Isolation::allow_step(std::string const& step, std::string const& kind) const {
    if (safe_steps.contains(step)) return {};
    return fail(ErrorKind::unsafe, "step '" + step + "' (" + kind + ") reaches outside an isolated run",
                "safe_in_drills: true in the plan says that it may run there");
}

Result<void> Isolation::allow_target(std::filesystem::path const& target) const {
    auto const below = target.lexically_normal();
    auto const root = place.lexically_normal();
    auto const [at_root, at_below] = std::ranges::mismatch(root, below);
    auto const inside = at_root == root.end() && at_below != below.end() && !at_below->empty();
    if (inside && target.is_absolute()) return {};
    return fail(ErrorKind::unsafe, "'" + printable(target.string()) + "' is outside the isolated place '" +
                                       printable(place.string()) + "'");
}

}  // namespace holdfast::steps
