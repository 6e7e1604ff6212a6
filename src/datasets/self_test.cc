#include "datasets/self.h"

#include <gmock/gmock.h>

#include "datasets/test_workspace.h"
#include "repo/emergency_kit.h"
#include "repo/self_documents.h"

namespace holdfast {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

struct SelfTest : testing::Test {
    TestWorkspace test;
    std::string plan_file = test.plan("data", "1h");

    std::unique_ptr<Workspace> planned() {
        auto options = test.options();
        options.plan_file = plan_file;
        return Workspace::open(std::move(options)).value();
    }
    // A machine that has nothing but the repository's URL and its password.
    std::unique_ptr<Workspace> bare(std::string const& state = "bare-state") {
        auto options = test.options();
        options.state = test.directory / state;
        options.cache = test.directory / "bare-cache";
        return Workspace::open(std::move(options)).value();
    }
    void store(Workspace& workspace) {
        auto stored = store_self(workspace, test.repository_path(), {});
        ASSERT_TRUE(stored) << stored.error().message;
    }
    Result<Rescued> fetch(Workspace& workspace, std::string const& to = "rescued") {
        return rescue(workspace, test.repository_path(), test.directory / to, {});
    }
    std::size_t documents(std::string const& name) {
        auto listed = self_list(test.repository(), {}).value();
        return static_cast<std::size_t>(
            std::ranges::count_if(listed, [&](SelfName const& one) { return one.name == name; }));
    }
};

TEST_F(SelfTest, BringsPlanContactsAndCatalogBack) {
    auto workspace = planned();
    ASSERT_TRUE((*workspace->catalog())->begin_run("a-run", catalog::RunKind::backup, "data"));
    store(*workspace);
    auto machine = bare();
    auto rescued = fetch(*machine);
    ASSERT_TRUE(rescued) << rescued.error().message;
    EXPECT_EQ(rescued->repository_id, test.repository().id().hex());
    EXPECT_EQ(rescued->admin_fingerprint, fingerprint(test.repository().keys().admin_public));
    EXPECT_EQ(test.directory.read("rescued/holdfast.yaml"), test.directory.read("holdfast.yaml"));
    EXPECT_THAT(test.directory.read("rescued/contacts.txt"), HasSubstr("CONTACTS of test"));
    EXPECT_THAT(rescued->files, SizeIs(3));
    EXPECT_THAT(rescued->notices, IsEmpty());
    EXPECT_FALSE(rescued->plan_signer.empty());
    EXPECT_TRUE((*machine->catalog())->run("a-run").value().has_value());
    // The plan may name people: for the owner's eyes.
    EXPECT_EQ(test.directory.status("rescued/holdfast.yaml").st_mode & 0777, 0600u);
}

TEST_F(SelfTest, AnUnchangedPlanIsNotStoredAgain) {
    store(*planned());
    store(*planned());
    EXPECT_EQ(documents("plan"), 1u);
    EXPECT_EQ(documents("catalog"), 2u);
    plan_file = test.plan("data", "2h");
    store(*planned());
    EXPECT_EQ(documents("plan"), 2u);
    ASSERT_TRUE(fetch(*bare()));
    EXPECT_THAT(test.directory.read("rescued/holdfast.yaml"), HasSubstr("critical: 2h"));
}

TEST_F(SelfTest, WithoutAPlanOnlyTheCatalogIsStored) {
    store(test.workspace());
    EXPECT_EQ(documents("plan"), 0u);
    EXPECT_EQ(documents("catalog"), 1u);
    auto rescued = fetch(*bare());
    ASSERT_FALSE(rescued);
    EXPECT_EQ(rescued.error().kind, ErrorKind::not_found);
    EXPECT_FALSE(test.directory.has("rescued"));
}

TEST_F(SelfTest, NeverOverwritesAnotherFile) {
    store(*planned());
    auto const plan = test.directory.read("holdfast.yaml");
    auto shorter = std::string("mine");
    auto longer = plan + "# mine, and longer than what is stored\n";
    auto same_size = plan;
    same_size.back() = ' ';
    for (auto const& mine : {shorter, longer, same_size}) {
        test.directory.file("rescued/holdfast.yaml", mine);
        auto rescued = fetch(*bare());
        ASSERT_FALSE(rescued);
        EXPECT_EQ(rescued.error().kind, ErrorKind::unsafe) << rescued.error().message;
        EXPECT_THAT(rescued.error().hint, HasSubstr("--to DIR"));
        EXPECT_EQ(test.directory.read("rescued/holdfast.yaml"), mine);
    }
    test.directory.directory("other/holdfast.yaml");
    EXPECT_EQ(fetch(*bare(), "other").error().kind, ErrorKind::unsafe);
}

TEST_F(SelfTest, MayBeRepeated) {
    store(*planned());
    ASSERT_TRUE(fetch(*bare()));
    auto again = fetch(*bare());
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_THAT(again->notices, Contains(HasSubstr("has a catalog already")));
    EXPECT_TRUE(again->catalog_file.empty());
}

TEST_F(SelfTest, NeedsAReadersKey) {
    store(*planned());
    auto writer = add_bundle(test.repository(), {.roles = static_cast<Roles>(Role::writer), .label = "w"}, {}).value();
    auto options = test.options();
    options.credentials.password.reset();
    options.credentials.key_file = test.directory.file("writer.key", to_key_file(writer));
    auto workspace = Workspace::open(std::move(options)).value();
    EXPECT_EQ(fetch(*workspace).error().kind, ErrorKind::key_refused);
    EXPECT_FALSE(test.directory.has("rescued"));
}

}  // namespace
}  // namespace holdfast
