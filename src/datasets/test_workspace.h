#pragma once

// For tests alone.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "archive/test_directory.h"
#include "datasets/create.h"

namespace holdfast {

// A repository in a directory, and what opens workspaces on it. Points are made with the times that a
// test gives them, without any files behind them.
class TestWorkspace {
  public:
    static constexpr std::string_view kPassword = "correct horse";

    TestWorkspace() {
        auto made = create(workspace(), repository_path(), as_bytes(kPassword), {});
        EXPECT_TRUE(made) << made.error().message;
    }

    std::string repository_path() const { return directory / "repository"; }
    WorkspaceOptions options() const {
        WorkspaceOptions options{.plan_file = "",
                                 .repository_url = repository_path(),
                                 .state = directory / "state",
                                 .cache = directory / "cache",
                                 .credentials = {}};
        options.credentials.password = Secret(as_bytes(kPassword));
        return options;
    }
    // Opened once, with --repo and without a plan.
    Workspace& workspace() {
        if (!workspace_) workspace_ = std::move(Workspace::open(options()).value());
        return *workspace_;
    }
    Repository& repository() { return *workspace().repository(repository_path(), Role::writer, {}).value(); }

    PointInfo add(std::string const& dataset, Time time, std::uint64_t unreadable = 0,
                  std::map<std::string, std::string> attributes = {}) {
        auto ingest = repository().begin_ingest({}, {}).value();
        RecoveryPoint point{.dataset = dataset, .kind = "files", .started = time, .time = time, .root = "/srv",
                            .tree = {}, .unreadable = unreadable, .host = "test", .version = "0", .attributes = std::move(attributes)};
        auto published = repository().publish(*ingest, std::move(point), {});
        EXPECT_TRUE(published) << published.error().message;
        return *published;
    }
    PointInfo add(std::string const& dataset, std::string_view time) {
        return add(dataset, parse_rfc3339(time).value());
    }

    // A plan with one dataset that is to be lost by no more than `rpo`.
    std::string plan(std::string const& dataset, std::string const& rpo) const {
        return directory.file("holdfast.yaml",
                              fmt::format("holdfast: 1\nname: test\nobjectives: {{ data: {{ critical: {} }} }}\n"
                                          "repositories: {{ primary: {{ url: {} }} }}\n"
                                          "datasets:\n  {}: {{ kind: files, paths: [{}], tier: critical }}\n",
                                          rpo, repository_path(), dataset, directory / "source"));
    }

    TestDirectory directory;

  private:
    std::unique_ptr<Workspace> workspace_;
};

}  // namespace holdfast
