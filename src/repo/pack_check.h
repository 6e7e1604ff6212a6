#pragma once

#include "repo/data_keys.h"
#include "repo/pack.h"

namespace holdfast {

// check_pack() with whichever of the data keys the pack says that it is sealed to. Of one that this bundle does not
// hold, the sector sums and the name are checked: the report is `sealed` then, and has no summary. One that is
// sealed to no key of the repository is damaged.
PackReport check_pack(ByteView pack, PackId const& id, RepositoryId const& repository, DataKeys const& data_keys,
                      HmacKey const& id_key);

}  // namespace holdfast
