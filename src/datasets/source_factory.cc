#include "datasets/source_factory.h"

#include <fmt/format.h>

#include "base/text.h"
#include "sources/exports/export_document.h"
#include "sources/exports/export_source.h"
#include "sources/files/files_source.h"
#include "sources/models/models_source.h"
#include "sources/postgres/postgres_source.h"

namespace holdfast {
namespace {

std::unexpected<Error> later(plan::Dataset const& dataset, std::string_view what) {
    return fail(ErrorKind::partial,
                fmt::format("dataset '{}': {} can't be captured by this version yet", printable(dataset.name),
                            what),
                "the plan may keep it; it is not protected until then");
}

}  // namespace

ModelsOptions models_options(plan::Dataset const& dataset) {
    ModelsOptions options{.paths = dataset.paths, .exclude = dataset.exclude};
    options.checkpoints.done = dataset.done;
    // What says itself that it is done need not stand still as well.
    if (!dataset.done.empty()) options.checkpoints.settle = Duration(0);
    if (dataset.settle) options.checkpoints.settle = *dataset.settle;
    return options;
}

Result<std::unique_ptr<Source>> make_source(plan::Dataset const& dataset) {
    switch (dataset.kind) {
        case plan::DatasetKind::files:
            return make_files_source({.paths = dataset.paths, .exclude = dataset.exclude});
        case plan::DatasetKind::models: return make_models_source(models_options(dataset));
        case plan::DatasetKind::postgres:
            if (dataset.mode == plan::PostgresMode::logical) return std::make_unique<ExportSource>(dataset.connect);
            return std::make_unique<PostgresSource>(
                dataset.connect, postgres::CaptureOptions{.keep_log = dataset.wal == plan::WalMode::stream});
        case plan::DatasetKind::kubernetes: return later(dataset, "a cluster's objects");
        case plan::DatasetKind::hardware: return later(dataset, "hardware");
    }
    return fail(ErrorKind::internal, "unknown kind of dataset");
}

std::string_view point_kind(plan::Dataset const& dataset) {
    if (dataset.kind == plan::DatasetKind::postgres && dataset.mode == plan::PostgresMode::logical) return postgres::kExportKind;
    return plan::to_text(dataset.kind);
}

Result<std::unique_ptr<Source>> make_restoring_source(std::string_view kind) {
    if (kind == "files") return make_files_source({});
    if (kind == "models") return make_models_source({});
    if (kind == "postgres") return std::make_unique<PostgresSource>("");
    if (kind == postgres::kExportKind) return std::make_unique<ExportSource>("");
    return fail(ErrorKind::partial,
                fmt::format("points of kind '{}' can't be restored by this version", printable(kind)));
}

}  // namespace holdfast
