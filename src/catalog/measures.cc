#include <algorithm>

#include "catalog/catalog.h"
#include "catalog/state.h"

namespace holdfast::catalog {
namespace {

constexpr std::int64_t kMeasuresKept = 20;

}  // namespace

Result<void> Catalog::note_measure(std::string const& activity, std::string const& subject,
                                   Duration duration, std::uint64_t bytes) {
    std::lock_guard lock(state_->mutex);
    auto& database = state_->database;
    auto transaction = TRY(Transaction::begin(database));
    auto insert = TRY(database.prepare(
        "INSERT INTO measures (activity, subject, duration, bytes, time) VALUES (?, ?, ?, ?, ?)"));
    insert.bind(activity).bind(subject).bind(duration).bind(bytes).bind(state_->clock.now());
    TRY(insert.run());
    auto drop = TRY(
        database.prepare("DELETE FROM measures WHERE activity = ?1 AND subject = ?2 AND id NOT IN"
                         " (SELECT id FROM measures WHERE activity = ?1 AND subject = ?2 ORDER BY "
                         "id DESC LIMIT ?3)"));
    drop.bind(activity).bind(subject).bind(kMeasuresKept);
    TRY(drop.run());
    return transaction.commit();
}

Result<std::optional<Estimate>> Catalog::estimate(std::string const& activity,
                                                  std::string const& subject, std::uint64_t bytes) {
    std::lock_guard lock(state_->mutex);
    auto rows = TRY(state_->database.prepare(
        "SELECT duration, bytes FROM measures WHERE activity = ? AND subject = ?"));
    rows.bind(activity).bind(subject);
    auto durations = TRY(collect<std::int64_t>(rows, [&](Statement& row) -> Result<std::int64_t> {
        auto duration = row.integer();
        auto measured = row.count();
        if (bytes == 0 || measured == 0)
            return duration;
        auto scaled = static_cast<double>(duration) * static_cast<double>(bytes) /
                      static_cast<double>(measured);
        return static_cast<std::int64_t>(std::min(scaled, 9e18));
    }));
    if (durations.empty())
        return std::nullopt;
    auto middle = durations.begin() + static_cast<std::ptrdiff_t>(durations.size() / 2);
    std::nth_element(durations.begin(), middle, durations.end());
    return Estimate{Duration(*middle), durations.size()};
}

}  // namespace holdfast::catalog
