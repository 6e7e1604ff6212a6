#include "archive/source.h"

#include "archive/back_up.h"

namespace holdfast {

std::string_view name(Finding::Verdict verdict) {
    switch (verdict) {
        case Finding::Verdict::verified: return "verified";
        case Finding::Verdict::suspicious: return "suspicious";
        case Finding::Verdict::damaged: return "damaged";
        case Finding::Verdict::not_verified: return "not verified";
    }
    return "not verified";
}

void Capture::take(BackUpResult result, Time now) {
    point.time = now;
    point.root = std::move(result.root);
    point.tree = std::move(result.tree);
    point.files = result.files;
    point.bytes = result.bytes;
    problems = std::move(result.problems);
    problem_count = result.problem_count;
}

}  // namespace holdfast
