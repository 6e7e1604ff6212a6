#include "plan/fault_sink.h"

#include <algorithm>
#include <fmt/format.h>

#include "base/text.h"

namespace holdfast::plan {

void FaultSink::add(Severity severity, Position at, std::string message, std::string hint) {
    if (severity == Severity::error)
        ++errors_;
    if (faults_.size() >= kFaultsMax) {
        ++left_out_;
        return;
    }
    // Names come from the file: a terminal must survive them.
    faults_.push_back({severity, file_, at, printable(message), printable(hint)});
}

std::vector<Fault> FaultSink::take() && {
    std::stable_sort(faults_.begin(), faults_.end(),
                     [](Fault const& a, Fault const& b) { return a.at < b.at; });
    if (left_out_ > 0) {
        faults_.push_back({Severity::error, file_, faults_.back().at,
                           fmt::format("{} more faults", left_out_), "mend these first"});
    }
    return std::move(faults_);
}

std::string did_you_mean(std::string_view word, std::vector<std::string> const& names,
                         std::string otherwise) {
    auto near = nearest(word, names);
    return near.empty() ? otherwise : fmt::format("did you mean '{}'?", near);
}

std::string any_of(std::vector<std::string> const& names) {
    std::string text;
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (i > 0)
            text += i + 1 == names.size() ? " or " : ", ";
        text += names[i];
    }
    return text;
}

std::string Fault::text() const {
    auto text = fmt::format("{}:{}:{}: {}: {}", file, at.line, at.column,
                            severity == Severity::error ? "error" : "warning", message);
    if (!hint.empty())
        text += "\n    hint: " + hint;
    return text;
}

std::string render(std::vector<Fault> const& faults) {
    std::string text;
    for (auto const& fault : faults)
        text += fault.text() + "\n";
    return text;
}

}  // namespace holdfast::plan
