// The ugliest tree through a real repository on a local store, and back; compared by means that share
// no code with us (tests/e2e/ugly_tree.py, and rsync through it).
#include <gmock/gmock.h>
#include <sys/wait.h>

#include "archive/diff.h"
#include "archive/test_directory.h"
#include "repo/repository.h"
#include "sources/files/files_source.h"
#include "store/store.h"

namespace holdfast {
namespace {

using testing::IsEmpty;

class Files : public testing::Test {
  protected:
    TestDirectory scratch;
    std::unique_ptr<Executor> executor = make_thread_executor();
    std::unique_ptr<Store> store;
    std::unique_ptr<Repository> repository;

    void SetUp() override {
        auto opened = open_store(scratch / "repository", {.create = true});
        ASSERT_TRUE(opened) << opened.error().message;
        store = std::move(*opened);
        RepositoryWorld world{system_clock(), system_random(), *executor, scratch / "state", scratch / "cache"};
        auto keys = create_repository(*store, world, as_bytes("password"), {});
        ASSERT_TRUE(keys) << keys.error().message;
        auto ready = open_repository(*store, std::move(*keys), world, {}, {});
        ASSERT_TRUE(ready) << ready.error().message;
        repository = std::move(*ready);
    }

    // What the helper says, and whether it found nothing.
    bool ugly(std::string const& arguments) {
        auto command = "python3 '" HOLDFAST_SOURCE "/tests/e2e/ugly_tree.py' " + arguments + " > '" +
                       scratch / "said" + "' 2>&1";
        auto status = std::system(command.c_str());
        return WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }
    std::string said() { return scratch.read("said"); }

    PointInfo back_up(Source& source, std::string const& path) {
        auto ingest = repository->begin_ingest({}, {});
        EXPECT_TRUE(ingest) << ingest.error().message;
        CaptureContext context{*repository, **ingest, "files:" + path, {scratch / "repository"}, {}, {}};
        auto captured = source.capture(context);
        EXPECT_TRUE(captured) << captured.error().message;
        EXPECT_EQ(captured->problem_count, 0u) << captured->problems[0].path << captured->problems[0].message;
        captured->point.dataset = context.dataset;
        captured->point.kind = "files";
        auto published = repository->publish(**ingest, captured->point, {});
        EXPECT_TRUE(published) << published.error().message;
        EXPECT_TRUE(source.committed(*repository));
        return *published;
    }
    RestoreResult restore(Source& source, PointInfo const& info, std::string const& target,
                          RestoreOptions const& options) {
        auto fetch = repository->begin_fetch({}, {});
        EXPECT_TRUE(fetch) << fetch.error().message;
        auto result = source.restore({**fetch, info.point, "", target, options, {}, {}, {}});
        EXPECT_TRUE(result) << result.error().message;
        return result ? std::move(*result) : RestoreResult{};
    }
};

TEST_F(Files, TheUgliestTreeComesBackTheSame) {
    ASSERT_TRUE(ugly("make '" + scratch / "tree" + "'")) << said();
    auto source = make_files_source({.paths = {scratch / "tree"}});
    auto point = back_up(*source, scratch / "tree");
    RestoreOptions all{.delete_extra = true, .set_special_bits = true};
    auto restored = restore(*source, point, scratch / "back", all);
    for (auto const& problem : restored.problems) ADD_FAILURE() << problem.path << ": " << problem.message;
    EXPECT_TRUE(ugly("compare '" + scratch / "tree" + "' '" + scratch / "back" + "'")) << said();
    // Again: nothing to do, and nothing done.
    auto again = restore(*source, point, scratch / "back", all);
    EXPECT_EQ(again.bytes_written, 0u);
    EXPECT_EQ(again.files_unchanged, again.files);
    EXPECT_TRUE(ugly("compare '" + scratch / "tree" + "' '" + scratch / "back" + "'")) << said();

    // The comparer sees what is wrong, and a restore over it mends it.
    auto mess = "cd '" + scratch / "back" + R"(' &&
        printf X | dd of=content/5000000 bs=1 seek=3000000 conv=notrunc status=none &&
        truncate -s 100 content/65536 && rm -rf names && ln -s /etc names && chmod 0755 'metadata/mode 0640' &&
        touch times/3 && rm 'links/below/second' && cp -p links/first links/below/second &&
        rm types/fifo && mkdir types/fifo && fallocate -l 1048576 'holes/only a hole' && touch foreign &&
        mkdir -p 'content/empty directory/not/any/more' && setfattr -n user.foreign -v x metadata/attributes)";
    ASSERT_EQ(std::system(mess.c_str()), 0);
    EXPECT_FALSE(ugly("compare '" + scratch / "tree" + "' '" + scratch / "back" + "'"));
    auto mended = restore(*source, point, scratch / "back", all);
    for (auto const& problem : mended.problems) ADD_FAILURE() << problem.path << ": " << problem.message;
    EXPECT_LT(mended.bytes_written, 6u << 20);
    EXPECT_TRUE(ugly("compare '" + scratch / "tree" + "' '" + scratch / "back" + "'")) << said();

    auto fetch = repository->begin_fetch({}, {});
    std::vector<std::string> differences;
    auto visit = [&](Difference const& difference) -> Result<void> {
        differences.push_back(difference.path + ": " + difference.detail);
        return {};
    };
    ASSERT_TRUE(diff_live(**fetch, point.point.tree, scratch / "back", {}, visit, {}));
    EXPECT_THAT(differences, IsEmpty());
}

TEST_F(Files, AnUnchangedTreeStoresNothing) {
    ASSERT_TRUE(ugly("make '" + scratch / "tree" + "'")) << said();
    auto source = make_files_source({.paths = {scratch / "tree"}});
    auto first = back_up(*source, scratch / "tree");
    auto second = back_up(*source, scratch / "tree");
    EXPECT_EQ(second.point.tree, first.point.tree);
    EXPECT_LT(second.point.stored, 20'000u);
}

TEST_F(Files, ARepositoryInsideTheSourceIsRefused) {
    auto source = make_files_source({.paths = {scratch.path().string()}});
    auto ingest = repository->begin_ingest({}, {});
    auto refused = source->capture({*repository, **ingest, "d", {scratch / "repository"}, {}, {}});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::unsafe);
}

}  // namespace
}  // namespace holdfast
