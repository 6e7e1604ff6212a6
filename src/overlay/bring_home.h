#pragma once

#include "archive/progress.h"
#include "os/clock.h"
#include "overlay/overlay.h"

namespace holdfast {

// Brings what is not home yet: first what somebody has waited for, then file by file, small ones first. Readers go before
// it: while one waits for the repository it pauses, for a moment each time, so that it always gets on. Returns when all is
// home, durably; `cancelled` when stopped. What the point can't give is `damaged`, told by the overlay's complaints, and
// passed over until the rest is home. A store that does not answer is asked again for as long as it takes.
Result<void> bring_home(Overlay& overlay, Clock& clock, ProgressCallback const& progress, std::stop_token stop);

}  // namespace holdfast
