#pragma once

#include <optional>
#include <span>
#include <string>

#include "archive/change_profile.h"

namespace holdfast {

// Why a change is not like those before it, in words: "in 'home/anna': 240 of 250 files were replaced by
// noise". Nothing when there is no reason to doubt. `history` are the profiles of earlier points that were
// not doubted, in any order; without any there is nothing to compare with, and only names that known
// malware gives tell. Pure: the thresholds are argued for in docs/decisions/0060-suspect-points.md.
std::optional<std::string> judge_changes(ChangeProfile const& now, std::span<ChangeProfile const> history);

}  // namespace holdfast
