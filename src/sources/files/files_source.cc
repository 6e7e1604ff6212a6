#include "sources/files/files_source.h"

#include "archive/back_up.h"

namespace holdfast {
namespace {

class FilesSource : public Source {
  public:
    explicit FilesSource(FilesOptions options) : options_(std::move(options)) {}

    Result<Capture> capture(CaptureContext const& context) override {
        dataset_ = context.dataset;
        BackUpOptions options{.paths = options_.paths,
                              .exclude = options_.exclude,
                              .forbidden = context.forbidden};
        auto& clock = context.repository.world().clock;
        Capture capture;
        capture.point.started = clock.now();
        auto result = TRY(back_up_tree(context.repository, context.ingest, context.dataset, options,
                                       context.progress, {}, context.stop));
        capture.take(std::move(result), clock.now());
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

    // Files prove nothing by themselves: that they are what was captured, restore has compared.
    Result<std::vector<Finding>> validate(std::filesystem::path const&, std::stop_token) override {
        return std::vector<Finding>();
    }

  private:
    FilesOptions options_;
    std::string dataset_;
};

}  // namespace

std::unique_ptr<Source> make_files_source(FilesOptions options) {
    return std::make_unique<FilesSource>(std::move(options));
}

}  // namespace holdfast
