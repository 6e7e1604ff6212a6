#include "datasets/workspace.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fmt/format.h>

#include "base/text.h"
#include "os/file.h"
#include "plan/dataset_spec.h"
#include "repo/locks.h"

namespace holdfast {
namespace {

constexpr std::size_t kKeyFileBytesMax = 64 << 10;

std::string environment(char const* name) {
    auto const* value = std::getenv(name);
    return value == nullptr ? "" : value;
}

std::filesystem::path home() {
    auto text = environment("HOME");
    return text.empty() ? "/root" : text;
}

Result<KeyBundle> read_key_file(std::string const& path) {
    auto bytes = TRY(read_file(path, kKeyFileBytesMax).within("key file"));
    auto bundle = parse_key_file(as_text(bytes)).within(fmt::format("key file '{}'", printable(path)));
    wipe(bytes);
    return bundle;
}

// The directory that a local repository lies in; empty for another kind of store.
std::string local_path(std::string const& url) {
    if (url.starts_with("file://")) return url.substr(7);
    if (url.starts_with("rclone:")) return url.starts_with("rclone:/") ? url.substr(7) : "";
    return url.find("://") == std::string::npos ? url : "";
}

// Without symbolic links as far as it exists.
std::filesystem::path real_path(std::filesystem::path const& path) {
    std::error_code code;
    auto const absolute = std::filesystem::absolute(path, code);
    auto real = std::filesystem::weakly_canonical(absolute, code);
    return code ? absolute.lexically_normal() : real;
}

// Whether `path` (a real one) is `top` or lies below it. By identity: a directory that is mounted in a
// second place is the same one.
bool lies_in(std::filesystem::path path, std::filesystem::path const& top) {
    while (true) {
        std::error_code code;
        if (std::filesystem::equivalent(path, top, code) && !code) return true;
        if (!path.has_relative_path()) return false;
        path = path.parent_path();
    }
}

}  // namespace

std::filesystem::path default_state() {
    if (auto text = environment("HOLDFAST_STATE"); !text.empty()) return text;
    if (auto text = environment("STATE_DIRECTORY"); !text.empty()) return text;
    if (auto text = environment("XDG_STATE_HOME"); !text.empty()) {
        return std::filesystem::path(text) / "holdfast";
    }
    return home() / ".local/state/holdfast";
}

std::filesystem::path default_cache() {
    if (auto text = environment("HOLDFAST_CACHE"); !text.empty()) return text;
    if (auto text = environment("CACHE_DIRECTORY"); !text.empty()) return text;
    if (auto text = environment("XDG_CACHE_HOME"); !text.empty()) {
        return std::filesystem::path(text) / "holdfast";
    }
    return home() / ".cache/holdfast";
}

struct Workspace::Opened {
    std::string name;
    std::unique_ptr<Store> store;
    std::unique_ptr<Repository> repository;
};

Workspace::Workspace(WorkspaceOptions options)
    : options_(std::move(options)), executor_(make_thread_executor()) {}

Workspace::~Workspace() = default;

Result<std::unique_ptr<Workspace>> Workspace::open(WorkspaceOptions options) {
    auto workspace = std::unique_ptr<Workspace>(new Workspace(std::move(options)));
    auto const& file = workspace->options_.plan_file;
    if (!file.empty()) {
        auto loaded = TRY(plan::load(file));
        if (!loaded.ok()) {
            return fail(ErrorKind::usage, "the plan is at fault:\n" + plan::render(loaded.faults),
                        "holdfast plan check shows these lines, too");
        }
        workspace->plan_ = std::move(loaded.plan);
        workspace->plan_text_ = std::move(loaded.text);
    }
    return workspace;
}

Result<Plan const*> Workspace::plan() const {
    if (!plan_) {
        return fail(ErrorKind::usage, "there is no plan here",
                    "name it with --plan FILE, or write one: holdfast plan example > holdfast.yaml");
    }
    return &*plan_;
}

Result<Catalog*> Workspace::catalog() {
    std::lock_guard const lock(mutex_);
    if (!catalog_) catalog_ = TRY(Catalog::open(options_.state / kCatalogFile, clock()));
    return &*catalog_;
}

RepositoryWorld Workspace::world() {
    return {.clock = clock(),
            .random = system_random(),
            .executor = *executor_,
            .state = options_.state,
            .cache = options_.cache};
}

unsigned Workspace::parity_percent(std::string_view name) const {
    if (options_.parity_percent) return *options_.parity_percent;
    auto const* found = plan_ && options_.repository_url.empty() ? plan_->repositories.find(name) : nullptr;
    if (found == nullptr || !found->parity) return kParityPercentDefault;
    return static_cast<unsigned>(std::lround(found->parity->fraction * 100));
}

std::string Workspace::url_of(std::string_view name) const {
    if (!options_.repository_url.empty()) return options_.repository_url;
    auto const* found = plan_ ? plan_->repositories.find(name) : nullptr;
    return found == nullptr ? "" : found->url;
}

std::optional<Duration> Workspace::lock_of(std::string_view name) const {
    auto const* found = plan_ && options_.repository_url.empty() ? plan_->repositories.find(name) : nullptr;
    return found == nullptr ? std::nullopt : found->lock;
}

std::vector<std::string> Workspace::repositories() const {
    if (!options_.repository_url.empty()) return {options_.repository_url};
    std::vector<std::string> names, copies;
    if (plan_) {
        for (auto const& repository : plan_->repositories) {
            (repository.copy_of.empty() ? names : copies).push_back(repository.name);
        }
    }
    names.insert(names.end(), copies.begin(), copies.end());
    return names;
}

Result<std::string> Workspace::default_repository() const {
    auto names = repositories();
    if (names.empty()) {
        return fail(ErrorKind::usage, "no repository is named",
                    "give --repo URL, or a plan with a section 'repositories'");
    }
    return names.front();
}

Result<std::unique_ptr<Store>> Workspace::open_store_of(std::string_view name,
                                                        OpenStoreOptions options) const {
    auto url = url_of(name);
    if (url.empty()) {
        auto names = repositories();
        auto near = nearest(name, names);
        return fail(ErrorKind::usage, fmt::format("the plan has no repository '{}'", name),
                    near.empty() ? "" : "did you mean '" + near + "'?");
    }
    options.for_good = is_for_good;
    options.lock = lock_of(name);
    auto const* repository = plan_ && options_.repository_url.empty()
                                 ? plan_->repositories.find(name) : nullptr;
    if (repository != nullptr && repository->credentials) {
        options.credentials = [reference = *repository->credentials](
                                  std::stop_token stop) -> Result<Secret> {
            auto resolved = TRY(plan::resolve(reference, std::move(stop)).within("credentials"));
            Secret secret(resolved.bytes);
            wipe(resolved.bytes);
            return secret;
        };
    }
    return open_store(url, std::move(options)).within(fmt::format("repository '{}'", printable(name)));
}

Result<Secret> Workspace::password(std::string const& prompt) const {
    auto const& credentials = options_.credentials;
    if (credentials.password) return credentials.password->clone();
    if (credentials.ask) return credentials.ask(prompt);
    return fail(ErrorKind::usage, "a password is needed, and there is no terminal to ask for it",
                "give --password-file FILE, --password-command CMD or HOLDFAST_PASSWORD, or a key file "
                "with --key");
}

Result<KeyBundle> Workspace::unlock(std::string_view name, std::optional<Role> role, Store& store,
                                    std::stop_token stop) {
    auto const& credentials = options_.credentials;
    if (!credentials.key_file.empty()) return read_key_file(credentials.key_file);
    if (!credentials.password && plan_ && options_.repository_url.empty()) {
        auto const* repository = plan_->repositories.find(name);
        if (repository != nullptr && repository->key) {
            auto resolved = TRY(plan::resolve(*repository->key).within("key of the plan"));
            // A reference drops the last newline of what it names; a key file ends with one.
            resolved.bytes.push_back('\n');
            auto bundle = parse_key_file(as_text(resolved.bytes))
                              .within(fmt::format("key '{}'", plan::to_text(*repository->key)));
            wipe(resolved.bytes);
            // A plan names writers' keys: reading asks a person.
            if (!bundle || !role || bundle->has(*role) || !credentials.ask) return bundle;
        }
    }
    auto secret = TRY(password(fmt::format("Password of repository '{}'", printable(url_of(name)))));
    return unlock_repository(store, secret.view(), stop);
}

Result<Repository*> Workspace::repository(std::string_view name, std::optional<Role> role,
                                          std::stop_token stop) {
    std::lock_guard const lock(mutex_);
    Repository* narrower = nullptr;
    for (auto const& opened : opened_) {
        if (opened->name != name) continue;
        if (!role || opened->repository->keys().has(*role)) return opened->repository.get();
        narrower = opened->repository.get();
    }
    auto context = fmt::format("repository '{}'", printable(name));
    auto refused = [&](Repository const& repository) {
        return fail(ErrorKind::key_refused,
                    fmt::format("{}: the key has the role {}, this needs {}", context,
                                to_text(repository.keys().roles), to_text(static_cast<Roles>(*role))),
                    "give the repository's password (--password-file FILE) or another key (--key FILE)");
    };
    if (narrower != nullptr && !options_.credentials.ask) return refused(*narrower);

    auto opened = std::make_unique<Opened>();
    opened->name = name;
    opened->store = TRY(open_store_of(name, {.stop = stop}));
    auto bundle = TRY(unlock(name, role, *opened->store, stop).within(context));
    auto here = world();
    // A copy is behind: what was seen of the original says nothing against it.
    auto const* planned = plan_ && options_.repository_url.empty() ? plan_->repositories.find(name) : nullptr;
    if (planned != nullptr && !planned->copy_of.empty() && !here.state.empty()) {
        here.state = here.state / "copies" / name;
    }
    opened->repository =
        TRY(open_repository(*opened->store, std::move(bundle), here,
                            {.accept_rollback = options_.accept_rollback}, stop)
                .within(context));
    auto* repository = opened->repository.get();
    if (options_.notice) {
        for (auto const& notice : repository->notices()) options_.notice(context + ": " + notice);
    }
    opened_.push_back(std::move(opened));
    if (role && !repository->keys().has(*role)) return refused(*repository);
    return repository;
}

Result<plan::Dataset> Workspace::dataset(std::string_view name) const {
    if (plan_) {
        if (auto const* found = plan_->datasets.find(name)) return *found;
    }
    if (plan::is_dataset_spec(name)) return plan::parse_dataset_spec(name);
    std::vector<std::string> names;
    if (plan_) {
        for (auto const& dataset : plan_->datasets) names.push_back(dataset.name);
    }
    auto near = nearest(name, names);
    return fail(ErrorKind::not_found,
                fmt::format("no dataset '{}'{}", printable(name), plan_ ? " in the plan" : ""),
                !near.empty() ? "did you mean '" + near + "'?"
                              : "without a plan, name it as files:/path, models:/path or postgres:CONNINFO");
}

Result<std::vector<std::string>> Workspace::targets(plan::Dataset const& dataset) const {
    if (!options_.repository_url.empty()) return std::vector{options_.repository_url};
    if (plan_) {
        auto names = plan_->targets(dataset);
        if (!names.empty()) return names;
    }
    auto name = TRY(default_repository());
    return std::vector{name};
}

std::vector<std::string> Workspace::repository_paths() const {
    std::vector<std::string> paths;
    for (auto const& name : repositories()) {
        if (auto path = local_path(url_of(name)); !path.empty()) {
            paths.push_back(std::filesystem::absolute(path).lexically_normal());
        }
    }
    return paths;
}

Result<void> Workspace::check_restore_target(RestoreTarget const& target) const {
    auto const real = real_path(target.path);
    auto refuse = [&](std::string const& what, std::string const& hint) {
        return fail(ErrorKind::unsafe, "restore to '" + printable(target.path.native()) + "': " + what, hint);
    };
    auto const repositories = repository_paths();
    for (auto const& path : repositories) {
        if (lies_in(real, path)) {
            return refuse("it lies in the repository '" + printable(path) + "'", "name another target");
        }
    }
    if (!target.deletes_foreign) return {};
    auto own = repositories;
    for (auto const& path : {state(), cache()}) own.push_back(std::filesystem::absolute(path));
    for (auto const& path : own) {
        std::error_code missing;
        if (!std::filesystem::exists(path, missing) || !lies_in(real_path(path), real)) continue;
        return refuse("to delete there what the point does not have would delete '" + printable(path) + "'",
                      "restore without --delete, to another target, or move '" + printable(path) + "' first");
    }
    return {};
}

}  // namespace holdfast
