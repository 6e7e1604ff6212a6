#pragma once

// For tests alone: an empty repository in memory with its keys.

#include <vector>

#include "repo/repository.h"
#include "store/simulated_store.h"

namespace holdfast {

struct TestOrigin {
    SimulatedObjects objects;
    KeyBundle admin;
    std::vector<KeyBundle> writers;
};

// Make it once and copy `objects`: a password costs as much as a hundred histories.
inline TestOrigin make_test_origin(std::size_t writers) {
    SeededRandom random{7};
    ManualClock clock{*parse_rfc3339("2026-01-01T00:00:00Z")};
    auto executor = make_seeded_executor(1);
    TestOrigin origin;
    SimulatedStore store(origin.objects, clock);
    RepositoryWorld world{clock, random, *executor, {}, {}};
    origin.admin = create_repository(store, world, as_bytes("correct horse"), {}).value();
    auto repository = open_repository(store, origin.admin.clone(), world, {}, {}).value();
    for (std::size_t i = 0; i < writers; ++i) {
        AddBundle bundle{.roles = static_cast<Roles>(Role::writer), .label = "writer " + std::to_string(i)};
        origin.writers.push_back(add_bundle(*repository, bundle, {}).value());
    }
    return origin;
}

}  // namespace holdfast
