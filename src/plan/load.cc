#include "plan/load.h"

#include <algorithm>
#include <fmt/format.h>

#include "os/file.h"
#include "plan/document.h"
#include "plan/reader.h"
#include "plan/references.h"

namespace holdfast::plan {

Position Positions::find(std::string_view path) const {
    for (;;) {
        if (auto found = known_.find(path); found != known_.end())
            return found->second;
        auto slash = path.rfind('/');
        if (slash == std::string_view::npos)
            return {1, 1};
        path = path.substr(0, slash);
    }
}

bool LoadedPlan::ok() const {
    return std::none_of(faults.begin(), faults.end(),
                        [](Fault const& fault) { return fault.severity == Severity::error; });
}

LoadedPlan parse(std::string text, std::string file) {
    LoadedPlan loaded;
    loaded.plan.file = file;
    FaultSink faults(std::move(file));
    auto document = read_document(text, faults);
    if (document.kind != Node::Kind::null || !faults.has_errors()) {
        read_plan(document, loaded.plan, faults, loaded.positions);
        check_references(loaded.plan, loaded.positions, faults);
    }
    loaded.faults = std::move(faults).take();
    loaded.text = std::move(text);
    return loaded;
}

Result<LoadedPlan> load(std::string const& path) {
    auto bytes = TRY(read_file(path, kDocumentBytesMax).within("plan"));
    return parse(std::string(as_text(bytes)), path);
}

Result<Plan> load_valid(std::string const& path) {
    auto loaded = TRY(load(path));
    if (loaded.ok())
        return std::move(loaded.plan);
    std::erase_if(loaded.faults,
                  [](Fault const& fault) { return fault.severity == Severity::warning; });
    return fail(ErrorKind::usage, "the plan is at fault:\n" + render(loaded.faults),
                "`holdfast plan check` says the same, with warnings");
}

}  // namespace holdfast::plan
