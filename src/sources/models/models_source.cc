#include "sources/models/models_source.h"

#include <fcntl.h>

#include "archive/back_up.h"
#include "base/text.h"
#include "os/fd.h"
#include "sources/models/model_file.h"
#include "sources/models/shard_set.h"

namespace holdfast {
namespace {

// What a file that can't be opened or read is reported as.
Finding unreadable(std::string object, Error const& error) {
    return {.object = std::move(object), .verdict = Finding::Verdict::not_verified, .detail = error.message};
}

void inspect(std::string const& path, std::string const& object, std::vector<Finding>& findings) {
    if (is_shard_index(path)) {
        auto set = inspect_shard_set(path, object);
        findings.push_back(set ? std::move(*set) : unreadable(object, set.error()));
        return;
    }
    Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!file) {
        findings.push_back(unreadable(object, errno_error("open", errno)));
        return;
    }
    auto found = inspect_model_file(object, file.get());
    if (!found) {
        findings.push_back(unreadable(object, found.error()));
    } else if (*found) {
        findings.push_back(std::move(**found));
    }
}

class ModelsSource : public Source {
  public:
    explicit ModelsSource(ModelsOptions options) : options_(std::move(options)) {}

    Result<Capture> capture(CaptureContext const& context) override {
        dataset_ = context.dataset;
        BackUpOptions options{.paths = options_.paths,
                              .exclude = options_.exclude,
                              .forbidden = context.forbidden,
                              .layout = [](std::string const& path, int fd) {
                                  return layout_of_model_file(path, fd);
                              }};
        Capture capture;
        capture.point.started = context.repository.world().clock.now();
        auto look = [&](std::string const& path, Entry const& entry) {
            if (entry.type == EntryType::file) inspect(path, path, capture.findings);
        };
        auto result = TRY(back_up_tree(context.repository, context.ingest, context.dataset, options,
                                       context.progress, look, context.stop));
        capture.take(std::move(result), context.repository.world().clock.now());
        note_selection(capture.point, options_.paths, options_.exclude);
        return capture;
    }

    Result<void> committed(Repository& repository) override {
        return commit_capture_cache(repository, dataset_);
    }

    Result<RestoreResult> restore(RestoreContext const& context) override {
        auto options = TRY(with_exclusions(context));
        return restore_tree(context.fetch, context.point.tree, context.path, context.target, options,
                            with_totals(context), context.stop);
    }

    Result<std::vector<Finding>> validate(std::filesystem::path const& target, std::stop_token stop) override {
        std::vector<Finding> findings;
        std::error_code error;
        auto options = std::filesystem::directory_options::skip_permission_denied;
        for (std::filesystem::recursive_directory_iterator at(target, options, error), end; at != end;
             at.increment(error)) {
            if (stop.stop_requested()) return fail(ErrorKind::cancelled, "stopped");
            if (error) break;
            std::error_code ignored;
            if (at->is_symlink(ignored) || !at->is_regular_file(ignored)) continue;
            inspect(at->path(), at->path().lexically_relative(target), findings);
        }
        if (error) {
            return fail(ErrorKind::io, "walk '" + printable(target.native()) + "': " + error.message());
        }
        return findings;
    }

  private:
    ModelsOptions options_;
    std::string dataset_;
};

}  // namespace

std::unique_ptr<Source> make_models_source(ModelsOptions options) {
    return std::make_unique<ModelsSource>(std::move(options));
}

}  // namespace holdfast
