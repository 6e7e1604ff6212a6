#pragma once

namespace holdfast::drill {

// The report's page, for mustache.
extern char const* const kReportTemplate;

}  // namespace holdfast::drill
