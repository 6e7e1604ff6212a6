#include "datasets/create.h"

#include <fmt/format.h>

#include "base/text.h"
#include "repo/emergency_kit.h"

namespace holdfast {

Result<Created> create(Workspace& workspace, std::string_view name, ByteView password,
                       std::stop_token stop) {
    auto context = fmt::format("init '{}'", printable(name));
    auto store = TRY(workspace.open_store_of(name, {.create = true, .stop = stop}).within(context));
    auto world = workspace.world();
    auto bundle = TRY(create_repository(*store, world, password, stop).within(context));
    Created created{.id = bundle.repository, .url = workspace.url_of(name), .kit = {}};
    created.kit = emergency_kit({.url = created.url,
                                 .repository = created.id,
                                 .created = std::chrono::floor<std::chrono::seconds>(workspace.clock().now()),
                                 .admin = bundle.admin_public,
                                 .version = HOLDFAST_VERSION});
    return created;
}

}  // namespace holdfast
