#include "catalog/catalog.h"
#include "catalog/state.h"

namespace holdfast::catalog {
namespace {

constexpr std::string_view kSelect =
    "SELECT id, scenario, title, outage, declared, resolved FROM incidents ";

Result<Incident> read_incident(Statement& row) {
    Incident incident;
    incident.id = row.text();
    incident.scenario = row.text();
    incident.title = row.text();
    incident.outage = row.time();
    incident.declared = row.optional_time();
    incident.resolved = row.optional_time();
    return incident;
}

}  // namespace

Result<void> Catalog::note_incident(Incident const& incident) {
    std::lock_guard lock(state_->mutex);
    auto insert = TRY(state_->database.prepare(
        "INSERT INTO incidents (id, scenario, title, outage, declared, resolved)"
        " VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET scenario = excluded.scenario, title = excluded.title,"
        " outage = excluded.outage, declared = excluded.declared, resolved = excluded.resolved"));
    insert.bind(incident.id).bind(incident.scenario).bind(incident.title).bind(incident.outage);
    insert.bind(incident.declared).bind(incident.resolved);
    return insert.run();
}

Result<std::optional<Incident>> Catalog::incident(std::string const& id) {
    std::lock_guard lock(state_->mutex);
    auto rows = TRY(state_->database.prepare(std::string(kSelect) + "WHERE id = ?"));
    rows.bind(id);
    return first<Incident>(rows, read_incident);
}

Result<std::vector<Incident>> Catalog::incidents() {
    std::lock_guard lock(state_->mutex);
    auto rows =
        TRY(state_->database.prepare(std::string(kSelect) + "ORDER BY outage DESC, rowid DESC"));
    return collect<Incident>(rows, read_incident);
}

Result<std::vector<Incident>> Catalog::open_incidents() {
    std::lock_guard lock(state_->mutex);
    auto rows = TRY(state_->database.prepare(
        std::string(kSelect) + "WHERE resolved IS NULL ORDER BY outage DESC, rowid DESC"));
    return collect<Incident>(rows, read_incident);
}

}  // namespace holdfast::catalog
