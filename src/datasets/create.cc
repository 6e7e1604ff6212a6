#include "datasets/create.h"

#include <fmt/format.h>

#include "base/text.h"
#include "repo/reserve.h"

namespace holdfast {

EmergencyKit facts_of(Workspace const& workspace, std::string_view repository, KeyBundle const& keys) {
    return {.url = workspace.url_of(repository),
            .repository = keys.repository,
            .created = std::chrono::floor<std::chrono::seconds>(workspace.clock().now()),
            .admin = keys.admin_public,
            .version = HOLDFAST_VERSION};
}

Result<Created> create(Workspace& workspace, std::string_view name, ByteView password,
                       std::stop_token stop) {
    auto context = fmt::format("init '{}'", printable(name));
    auto store = TRY(workspace.open_store_of(name, {.create = true, .stop = stop}).within(context));
    auto world = workspace.world();
    auto bundle = TRY(create_repository(*store, world, password, stop).within(context));
    TRY(keep_reserve(*store, world.random, stop).within(context));
    Created created{.id = bundle.repository,
                    .url = workspace.url_of(name),
                    .facts = facts_of(workspace, name, bundle),
                    .kit = {}};
    created.kit = emergency_kit(created.facts);
    return created;
}

}  // namespace holdfast
