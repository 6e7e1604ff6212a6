#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "catalog/catalog.h"
#include "plan/load.h"
#include "repo/repository.h"

namespace holdfast {

inline constexpr char kCatalogFile[] = "catalog.sqlite";  // below the state directory

// How repositories are unlocked. The first that is set wins; a key of the plan comes before asking.
struct Credentials {
    std::string key_file;          // --key
    std::optional<Secret> password;  // --password-file, --password-command, HOLDFAST_PASSWORD
    // Asks a person; not set where there is none.
    std::function<Result<Secret>(std::string const& prompt)> ask;
};

struct WorkspaceOptions {
    std::string plan_file;       // --plan, or the default that exists; empty: no plan
    std::string repository_url;  // --repo: takes the place of the plan's repositories
    std::filesystem::path state;
    std::filesystem::path cache;
    std::optional<unsigned> parity_percent = {};  // of new packs; takes the place of the plan's
    Credentials credentials;
    bool accept_rollback = false;
    // Hears what was amiss with a repository and could be helped.
    std::function<void(std::string const&)> notice = {};
};

// What one invocation works with. Repositories and the catalog are opened when they are first needed,
// so that `plan check` needs no key and `restore` no catalog. Thread-safe: the steps of a runbook share one.
class Workspace {
  public:
    // Reads the plan when there is one: `usage` with every fault when it is wrong.
    static Result<std::unique_ptr<Workspace>> open(WorkspaceOptions options);
    ~Workspace();

    bool has_plan() const { return plan_.has_value(); }
    // usage, with a hint, when there is none.
    Result<Plan const*> plan() const;
    std::string const& plan_text() const { return plan_text_; }
    std::filesystem::path const& state() const { return options_.state; }
    std::filesystem::path const& cache() const { return options_.cache; }

    Clock& clock() const { return system_clock(); }
    Executor& executor() { return *executor_; }

    // The catalog under the state directory, made when missing.
    Result<Catalog*> catalog();

    // By the plan's name; with --repo there is one, named by its URL. Opened with a bundle that has
    // `role`: key_refused when what we were given has not. usage when the plan has no such repository,
    // else what open_repository says. Without `role` any key will do: every one lists points. Stays open
    // as long as the workspace.
    Result<Repository*> repository(std::string_view name, std::optional<Role> role, std::stop_token stop);
    // The repository that reads start with: --repo, else the plan's first that is not a copy.
    Result<std::string> default_repository() const;
    // Names of all repositories that can be read from, default first.
    std::vector<std::string> repositories() const;

    // The dataset of that name in the plan, or an ad hoc one ("files:/srv/data"). not_found with the
    // nearest name.
    Result<plan::Dataset> dataset(std::string_view name) const;
    // Repositories that backups of it go to.
    Result<std::vector<std::string>> targets(plan::Dataset const& dataset) const;
    // Local paths that no backup may contain: repositories in directories.
    std::vector<std::string> repository_paths() const;
    // unsafe when a restore to `target` would write into a repository, or, where it deletes what is
    // foreign there, would take a repository, our state or our cache with it.
    struct RestoreTarget {
        std::filesystem::path path;
        bool deletes_foreign = false;
    };
    Result<void> check_restore_target(RestoreTarget const& target) const;

    // Opens the store alone, without any key (init, scrub, unlock).
    Result<std::unique_ptr<Store>> open_store_of(std::string_view name, OpenStoreOptions options) const;
    std::string url_of(std::string_view name) const;
    // How much of their size new packs of the repository carry as parity.
    unsigned parity_percent(std::string_view name) const;
    // For how long the plan locks what is put there (`lock`); nothing without a plan, or with --repo.
    std::optional<Duration> lock_of(std::string_view name) const;
    Result<Secret> password(std::string const& prompt) const;
    // Whether password() asks a person.
    bool asks_for_password() const { return !options_.credentials.password; }
    // Whether a key or a password was given, so that a repository opens without asking.
    bool has_credentials() const {
        return !options_.credentials.key_file.empty() || options_.credentials.password;
    }
    RepositoryWorld world();

  private:
    explicit Workspace(WorkspaceOptions options);
    struct Opened;
    Result<KeyBundle> unlock(std::string_view name, std::optional<Role> role, Store& store, std::stop_token stop);

    WorkspaceOptions options_;
    std::optional<Plan> plan_;
    std::string plan_text_;
    std::unique_ptr<Executor> executor_;
    std::mutex mutex_;  // guards what is opened
    std::optional<Catalog> catalog_;
    std::vector<std::unique_ptr<Opened>> opened_;
};

// HOLDFAST_STATE, $STATE_DIRECTORY, $XDG_STATE_HOME/holdfast, ~/.local/state/holdfast: the first that is
// set; and likewise the cache by XDG.
std::filesystem::path default_state();
std::filesystem::path default_cache();

}  // namespace holdfast
