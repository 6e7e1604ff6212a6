#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "plan/plan.h"

namespace holdfast::plan {

enum class Severity { error, warning };

struct Fault {
    Severity severity = Severity::error;
    std::string file;
    Position at;
    std::string message;
    std::string hint;  // what to do; may be empty

    // "holdfast.yaml:12:5: error: unknown key 'teir'\n  hint: did you mean 'tier'?"
    std::string text() const;
};

// Where each key of a plan stands, by its path: "datasets/database/tier",
// "drills/monthly/checks/0". A value is at its first character, a mapping or list at its key.
class Positions {
  public:
    void add(std::string path, Position at) { known_.emplace(std::move(path), at); }
    // The position of the path, or of the nearest thing that encloses it.
    Position find(std::string_view path) const;

  private:
    std::map<std::string, Position, std::less<>> known_;
};

struct LoadedPlan {
    Plan plan;                  // what could be read; complete only when ok()
    std::vector<Fault> faults;  // in the order of the file
    std::string text;           // the file's bytes, as they are
    Positions positions;

    bool ok() const;  // no errors; there may be warnings
};

// Reads a plan and checks its form and its references, but not its objectives (see lint.h). A plan
// at fault is not a failure: its faults are in the result. Fails when the file cannot be read.
Result<LoadedPlan> load(std::string const& path);
// The same from text; `file` is what faults call it.
LoadedPlan parse(std::string text, std::string file);
// For those who only go on with a good plan: fails with `usage` and every error in the message.
Result<Plan> load_valid(std::string const& path);

// The faults as lines for people.
std::string render(std::vector<Fault> const& faults);

}  // namespace holdfast::plan
