#pragma once

// For tests alone.

#include "os/clock.h"
#include "repo/test_world.h"

namespace holdfast {

// A repository of the tests of `repo`, with a clock that a test moves and a place for caches. The keys
// are the same for the same seed.
struct CachingRepositoryParts {
    TestStore store;
    std::unique_ptr<Executor> executor;
};
class CachingRepository : private CachingRepositoryParts, public TestRepository {
  public:
    CachingRepository(Clock& clock, Random& random, std::filesystem::path cache,
                      std::unique_ptr<Executor> executor = make_seeded_executor(1))
        : CachingRepositoryParts{{}, std::move(executor)},
          TestRepository(CachingRepositoryParts::store, *CachingRepositoryParts::executor, random,
                         generate_first_bundle(random, "test")),
          world_{clock, random, *CachingRepositoryParts::executor, {}, std::move(cache)} {}
    TestStore& objects() { return CachingRepositoryParts::store; }
    RepositoryWorld const& world() const override { return world_; }

  private:
    RepositoryWorld world_;
};

}  // namespace holdfast
