#include "datasets/workspace.h"

#include <cstdlib>
#include <gmock/gmock.h>

#include "datasets/source_factory.h"
#include "datasets/test_workspace.h"

namespace holdfast {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct WorkspaceTest : testing::Test {
    TestDirectory directory;
    WorkspaceOptions bare() const {
        return {.plan_file = "", .repository_url = "", .state = directory / "state", .cache = directory / "cache",
                .credentials = {}};
    }
    Result<std::unique_ptr<Workspace>> open_plan(std::string_view text) const {
        auto options = bare();
        options.plan_file = directory.file("holdfast.yaml", text);
        return Workspace::open(std::move(options));
    }
};

constexpr std::string_view kPlan = R"(holdfast: 1
name: test
objectives: { data: { critical: 1h } }
repositories:
  remote: { url: /srv/copy, copy_of: near }
  near: { url: /srv/backups/../near }
datasets:
  notes: { kind: files, paths: [/srv/notes], tier: critical }
)";

TEST_F(WorkspaceTest, WithoutAPlanSaysWhatToDo) {
    auto workspace = Workspace::open(bare()).value();
    EXPECT_FALSE(workspace->has_plan());
    auto plan = workspace->plan();
    ASSERT_FALSE(plan);
    EXPECT_EQ(plan.error().kind, ErrorKind::usage);
    EXPECT_THAT(plan.error().hint, HasSubstr("--plan FILE"));
    auto repository = workspace->default_repository();
    ASSERT_FALSE(repository);
    EXPECT_EQ(repository.error().kind, ErrorKind::usage);
    EXPECT_THAT(repository.error().hint, HasSubstr("--repo URL"));
    auto dataset = workspace->dataset("notes");
    ASSERT_FALSE(dataset);
    EXPECT_EQ(dataset.error().kind, ErrorKind::not_found);
    EXPECT_THAT(dataset.error().hint, HasSubstr("files:/path"));
    EXPECT_EQ(workspace->dataset("files:/srv/./data/")->name, "files:/srv/data");
}

TEST_F(WorkspaceTest, APlanAtFaultIsUsageWithEveryFault) {
    auto opened = open_plan("holdfast: 1\nname: test\nobjektives: {}\ndatasetz: {}\n");
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().kind, ErrorKind::usage);
    EXPECT_THAT(opened.error().message, HasSubstr("holdfast.yaml:3:1"));
    EXPECT_THAT(opened.error().message, HasSubstr("holdfast.yaml:4:1"));

    auto options = bare();
    options.plan_file = directory / "missing.yaml";
    auto missing = Workspace::open(std::move(options));
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().kind, ErrorKind::not_found);
    EXPECT_THAT(missing.error().message, HasSubstr("missing.yaml"));
}

TEST_F(WorkspaceTest, ReadsStartWithWhatIsNoCopy) {
    auto opened = open_plan(kPlan);
    ASSERT_TRUE(opened) << opened.error().message;
    auto& workspace = **opened;
    EXPECT_EQ(workspace.plan_text(), kPlan);
    EXPECT_THAT(workspace.repositories(), ElementsAre("near", "remote"));
    EXPECT_EQ(*workspace.default_repository(), "near");
    EXPECT_EQ(workspace.url_of("remote"), "/srv/copy");
    EXPECT_THAT(workspace.repository_paths(), ElementsAre("/srv/near", "/srv/copy"));
    auto dataset = workspace.dataset("notes");
    ASSERT_TRUE(dataset);
    EXPECT_THAT(workspace.targets(*dataset).value(), testing::Contains("near"));
    auto typo = workspace.dataset("nodes");
    ASSERT_FALSE(typo);
    EXPECT_EQ(typo.error().hint, "did you mean 'notes'?");
    auto store = workspace.open_store_of("neer", {});
    ASSERT_FALSE(store);
    EXPECT_EQ(store.error().kind, ErrorKind::usage);
    EXPECT_EQ(store.error().hint, "did you mean 'near'?");
}

TEST_F(WorkspaceTest, ARepositoryThatIsNamedTakesThePlansPlace) {
    auto options = bare();
    options.plan_file = directory.file("holdfast.yaml", kPlan);
    options.repository_url = "file:///srv/elsewhere";
    auto workspace = Workspace::open(std::move(options)).value();
    EXPECT_THAT(workspace->repositories(), ElementsAre("file:///srv/elsewhere"));
    EXPECT_EQ(workspace->url_of("near"), "file:///srv/elsewhere");
    EXPECT_THAT(workspace->repository_paths(), ElementsAre("/srv/elsewhere"));
    auto dataset = workspace->dataset("notes").value();
    EXPECT_THAT(workspace->targets(dataset).value(), ElementsAre("file:///srv/elsewhere"));
}

TEST(WorkspaceKeys, PasswordsAndRoles) {
    TestWorkspace test;
    auto open = [&](WorkspaceOptions options) { return Workspace::open(std::move(options)).value(); };

    auto options = test.options();
    options.credentials.password = Secret(as_bytes("wrong"));
    auto wrong = open(std::move(options))->repository(test.repository_path(), Role::writer, {});
    ASSERT_FALSE(wrong);
    EXPECT_EQ(wrong.error().kind, ErrorKind::key_refused);

    options = test.options();
    options.credentials.password.reset();
    auto none = open(std::move(options))->repository(test.repository_path(), Role::writer, {});
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().kind, ErrorKind::usage);
    EXPECT_THAT(none.error().hint, HasSubstr("--password-file"));

    // Who asks is asked once: the repository stays open.
    options = test.options();
    options.credentials.password.reset();
    int asked = 0;
    options.credentials.ask = [&](std::string const& prompt) -> Result<Secret> {
        EXPECT_THAT(prompt, HasSubstr(test.repository_path()));
        ++asked;
        return Secret(as_bytes(TestWorkspace::kPassword));
    };
    auto asking = open(std::move(options));
    EXPECT_TRUE(asking->repository(test.repository_path(), Role::writer, {}));
    EXPECT_TRUE(asking->repository(test.repository_path(), Role::reader, {}));
    EXPECT_EQ(asked, 1);

    auto writer = add_bundle(test.repository(), {.roles = static_cast<Roles>(Role::writer), .label = "w"}, {});
    ASSERT_TRUE(writer) << writer.error().message;
    options = test.options();
    options.credentials.password.reset();
    options.credentials.key_file = test.directory.file("writer.key", to_key_file(*writer));
    auto writing = open(std::move(options));
    EXPECT_TRUE(writing->repository(test.repository_path(), Role::writer, {}));
    auto reading = writing->repository(test.repository_path(), Role::reader, {});
    ASSERT_FALSE(reading);
    EXPECT_EQ(reading.error().kind, ErrorKind::key_refused);
    EXPECT_THAT(reading.error().message, HasSubstr("this needs reader"));
    // And still when it is open already.
    EXPECT_EQ(writing->repository(test.repository_path(), Role::reader, {}).error().kind, ErrorKind::key_refused);
}

TEST(WorkspaceKeys, ARepositoryIsCreatedOnce) {
    TestWorkspace test;
    auto again = create(test.workspace(), test.repository_path(), as_bytes("other"), {});
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().kind, ErrorKind::exists);
    auto made = create(*Workspace::open([&] {
                           auto options = test.options();
                           options.repository_url = test.directory / "second";
                           return options;
                       }()).value(),
                       test.directory / "second", as_bytes("other"), {});
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_THAT(made->kit, HasSubstr(made->url));
    EXPECT_THAT(made->kit, testing::Not(HasSubstr("other")));
}

TEST(SourceFactory, WhatHasNoEngineIsNamed) {
    plan::Dataset dataset;
    dataset.name = "cluster";
    for (auto kind : {plan::DatasetKind::kubernetes, plan::DatasetKind::hardware}) {
        dataset.kind = kind;
        auto source = make_source(dataset);
        ASSERT_FALSE(source);
        EXPECT_EQ(source.error().kind, ErrorKind::partial);
        EXPECT_THAT(source.error().message, HasSubstr("dataset 'cluster'"));
    }
    dataset.kind = plan::DatasetKind::files;
    EXPECT_TRUE(make_source(dataset));
    for (auto const* kind : {"files", "models", "postgres"}) EXPECT_TRUE(make_restoring_source(kind)) << kind;
    EXPECT_EQ(make_restoring_source("hologram").error().kind, ErrorKind::partial);
}

// The order that docs/command-line.md states.
TEST(DefaultPlaces, FirstThatIsSetWins) {
    std::map<std::string, std::string> before;
    auto const names = {"HOLDFAST_STATE", "STATE_DIRECTORY", "XDG_STATE_HOME", "HOLDFAST_CACHE", "CACHE_DIRECTORY",
                        "XDG_CACHE_HOME", "HOME"};
    for (auto const* name : names) {
        if (auto const* value = std::getenv(name)) before[name] = value;
    }
    setenv("HOLDFAST_STATE", "/1", 1);
    setenv("STATE_DIRECTORY", "/2", 1);
    setenv("XDG_STATE_HOME", "/3", 1);
    setenv("HOLDFAST_CACHE", "/4", 1);
    setenv("CACHE_DIRECTORY", "/5", 1);
    setenv("XDG_CACHE_HOME", "/6", 1);
    setenv("HOME", "/7", 1);
    EXPECT_EQ(default_state(), "/1");
    EXPECT_EQ(default_cache(), "/4");
    unsetenv("HOLDFAST_STATE");
    unsetenv("HOLDFAST_CACHE");
    EXPECT_EQ(default_state(), "/2");
    EXPECT_EQ(default_cache(), "/5");
    unsetenv("STATE_DIRECTORY");
    setenv("CACHE_DIRECTORY", "", 1);
    EXPECT_EQ(default_state(), "/3/holdfast");
    EXPECT_EQ(default_cache(), "/6/holdfast");
    unsetenv("XDG_STATE_HOME");
    unsetenv("XDG_CACHE_HOME");
    EXPECT_EQ(default_state(), "/7/.local/state/holdfast");
    EXPECT_EQ(default_cache(), "/7/.cache/holdfast");
    for (auto const* name : names) {
        unsetenv(name);
        if (before.contains(name)) setenv(name, before[name].c_str(), 1);
    }
}

}  // namespace
}  // namespace holdfast
