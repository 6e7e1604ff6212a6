#include "catalog/records.h"

namespace holdfast::catalog {

std::string_view to_text(RunKind kind) {
    switch (kind) {
        case RunKind::backup:
            return "backup";
        case RunKind::restore:
            return "restore";
        case RunKind::verify:
            return "verify";
        case RunKind::recover:
            return "recover";
        case RunKind::drill:
            return "drill";
        case RunKind::rescue:
            return "rescue";
    }
    return "backup";
}

std::string_view to_text(RunOutcome outcome) {
    switch (outcome) {
        case RunOutcome::running:
            return "running";
        case RunOutcome::done:
            return "done";
        case RunOutcome::partial:
            return "partial";
        case RunOutcome::failed:
            return "failed";
        case RunOutcome::interrupted:
            return "interrupted";
        case RunOutcome::needs_decision:
            return "needs_decision";
    }
    return "running";
}

std::string_view to_text(PointState state) {
    switch (state) {
        case PointState::ok:
            return "ok";
        case PointState::partial:
            return "partial";
        case PointState::suspect:
            return "suspect";
        case PointState::damaged:
            return "damaged";
        case PointState::unconfirmed:
            return "unconfirmed";
    }
    return "suspect";
}

std::string_view to_text(Rung rung) {
    switch (rung) {
        case Rung::stored:
            return "stored";
        case Rung::hashed:
            return "hashed";
        case Rung::restored:
            return "restored";
        case Rung::validated:
            return "validated";
    }
    return "stored";
}

}  // namespace holdfast::catalog
