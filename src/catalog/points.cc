#include <algorithm>

#include "catalog/catalog.h"
#include "catalog/state.h"
#include "plan/value.h"

namespace holdfast::catalog {
namespace {

constexpr std::string_view kPointColumns =
    "points.repository, id, dataset, points.kind, points.time, received, state, files, bytes, "
    "stored, "
    "lsn, "
    "attributes, locked_until";

std::string attributes_json(std::map<std::string, std::string> const& attributes) {
    plan::Value value{plan::Value::Map{}};
    for (auto const& [name, text] : attributes)
        value.set(name, text);
    return plan::to_json(value);
}

Result<Point> read_point(Statement& row) {
    Point point;
    point.repository = row.text();
    point.id = row.text();
    point.dataset = row.text();
    point.kind = row.text();
    point.time = row.time();
    point.received = row.optional_time();
    point.state = TRY(from_text(row.text(), kPointStates));
    point.files = row.count();
    point.bytes = row.count();
    point.stored = row.count();
    point.lsn = row.text();
    auto attributes = plan::value_from_json(row.text());
    if (!attributes.has_value()) {
        return fail(ErrorKind::damaged,
                    "catalog: attributes of point " + point.id + ": " + attributes.error().message);
    }
    for (auto const& member : attributes->members()) {
        point.attributes.emplace(member.name, member.value.scalar());
    }
    point.locked_until = row.optional_time();
    return point;
}

// A listing does not see what a verification found: `damaged` and `suspect` stay until somebody
// takes them back.
Result<void> upsert(Database& database, Point const& point, std::int64_t listing) {
    auto insert = TRY(database.prepare(
        "INSERT INTO points (repository, id, dataset, kind, time, received, state, files, bytes,"
        " stored, lsn, attributes, locked_until, listing)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET dataset = excluded.dataset, kind = excluded.kind,"
        " time = excluded.time, received = coalesce(excluded.received, received),"
        " state = iif(state IN ('damaged', 'suspect'), state, excluded.state),"
        " files = excluded.files, bytes = excluded.bytes, stored = excluded.stored,"
        " lsn = excluded.lsn, attributes = excluded.attributes,"
        " locked_until = excluded.locked_until, listing = excluded.listing"));
    insert.bind(point.repository).bind(point.id).bind(point.dataset).bind(point.kind);
    insert.bind(point.time).bind(point.received).bind(to_text(point.state)).bind(point.files);
    insert.bind(point.bytes).bind(point.stored).bind(point.lsn);
    insert.bind(attributes_json(point.attributes)).bind(point.locked_until).bind(listing);
    return insert.run();
}

Result<std::int64_t> newest_listing(Database& database, std::string const& repository) {
    auto row = TRY(database.prepare("SELECT max(listing) FROM points WHERE repository = ?"));
    row.bind(repository);
    bool found = TRY(row.next());
    return found ? row.integer() : 0;
}

Error unknown_point(std::string const& id) {
    return {ErrorKind::not_found, "catalog: no point '" + id + "'", {}};
}

}  // namespace

Result<void> Catalog::note_point(Point const& point) {
    std::lock_guard lock(state_->mutex);
    auto transaction = TRY(Transaction::begin(state_->database));
    auto listing = TRY(newest_listing(state_->database, point.repository));
    TRY(upsert(state_->database, point, listing));
    return transaction.commit();
}

Result<void> Catalog::replace_points(std::string const& repository,
                                     std::vector<Point> const& points) {
    std::lock_guard lock(state_->mutex);
    auto& database = state_->database;
    auto transaction = TRY(Transaction::begin(database));
    auto newest = TRY(newest_listing(database, repository));
    for (auto const& point : points) {
        if (point.repository != repository) {
            return fail(ErrorKind::internal, "catalog: point " + point.id + " is of repository '" +
                                                 point.repository + "', not '" + repository + "'");
        }
        TRY(upsert(database, point, newest + 1));
    }
    auto drop = TRY(database.prepare("DELETE FROM points WHERE repository = ? AND listing <= ?"));
    drop.bind(repository).bind(newest);
    TRY(drop.run());
    return transaction.commit();
}

Result<void> Catalog::drop_point(std::string const& repository, std::string const& id) {
    std::lock_guard lock(state_->mutex);
    auto drop = TRY(state_->database.prepare("DELETE FROM points WHERE repository = ? AND id = ?"));
    drop.bind(repository).bind(id);
    return drop.run();
}

Result<void> Catalog::set_point_state(std::string const& repository, std::string const& id,
                                      PointState state) {
    std::lock_guard lock(state_->mutex);
    auto update = TRY(
        state_->database.prepare("UPDATE points SET state = ? WHERE repository = ? AND id = ?"));
    update.bind(to_text(state)).bind(repository).bind(id);
    TRY(update.run());
    if (state_->database.changes() == 0)
        return fail(unknown_point(id));
    return {};
}

Result<std::optional<Point>> Catalog::point(std::string const& repository, std::string const& id) {
    std::lock_guard lock(state_->mutex);
    auto rows = TRY(state_->database.prepare("SELECT " + std::string(kPointColumns) +
                                             " FROM points WHERE repository = ? AND id = ?"));
    rows.bind(repository).bind(id);
    return first<Point>(rows, read_point);
}

Result<std::vector<Point>> Catalog::points(PointFilter const& filter) {
    std::lock_guard lock(state_->mutex);
    auto rows = TRY(state_->database.prepare(
        "SELECT " + std::string(kPointColumns) +
        " FROM points WHERE (?1 = '' OR repository = ?1) AND (?2 = '' OR dataset = ?2)"
        " ORDER BY time, id"));
    rows.bind(filter.repository).bind(filter.dataset);
    return collect<Point>(rows, read_point);
}

Result<void> Catalog::reach(std::string const& repository, std::string const& point, Rung rung,
                            std::string const& run) {
    std::lock_guard lock(state_->mutex);
    auto& database = state_->database;
    auto now = state_->clock.now();
    auto transaction = TRY(Transaction::begin(database));
    for (auto lower : kRungs) {
        if (lower > rung)
            break;
        auto insert = TRY(database.prepare(
            "INSERT INTO rungs (repository, point, rung, reached, run) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET reached = excluded.reached, run = excluded.run"
            " WHERE excluded.reached >= reached"));
        insert.bind(repository)
            .bind(point)
            .bind(static_cast<std::int64_t>(lower))
            .bind(now)
            .bind(run);
        auto noted = insert.run();
        if (!noted.has_value() && noted.error().kind == ErrorKind::not_found) {
            return fail(unknown_point(point));
        }
        TRY(std::move(noted));
    }
    if (rung >= Rung::hashed) {
        // Every chunk was seen to be right.
        auto update =
            TRY(database.prepare("UPDATE points SET state = 'ok' WHERE repository = ? AND id = ? "
                                 "AND state = 'damaged'"));
        update.bind(repository).bind(point);
        TRY(update.run());
    }
    return transaction.commit();
}

Result<std::vector<RungTime>> Catalog::rungs(std::string const& repository,
                                             std::string const& point) {
    std::lock_guard lock(state_->mutex);
    auto rows = TRY(state_->database.prepare(
        "SELECT rung, reached, run FROM rungs WHERE repository = ? AND point = ? AND rung < ?"
        " ORDER BY rung"));
    rows.bind(repository).bind(point).bind(std::int64_t{kRungs.size()});
    return collect<RungTime>(rows, [](Statement& row) -> Result<RungTime> {
        RungTime time;
        time.rung = static_cast<Rung>(row.integer());
        time.reached = row.time();
        time.run = row.text();
        return time;
    });
}

Result<std::vector<RungStatus>> Catalog::ladder(std::string const& dataset,
                                                std::string const& repository) {
    std::lock_guard lock(state_->mutex);
    auto now = state_->clock.now();
    std::vector<RungStatus> ladder;
    for (auto rung : kRungs) {
        auto rows = TRY(state_->database.prepare(
            "SELECT " + std::string(kPointColumns) +
            ", rungs.reached, rungs.run FROM points JOIN rungs"
            " ON rungs.point = points.id AND rungs.repository = points.repository"
            " WHERE dataset = ?1 AND (?2 = '' OR points.repository = ?2) AND rung = ?3"
            " AND state NOT IN ('damaged', 'suspect')"
            " ORDER BY points.time DESC, rungs.reached DESC LIMIT 1"));
        rows.bind(dataset).bind(repository).bind(static_cast<std::int64_t>(rung));
        auto newest = TRY(first<RungStatus>(rows, [&](Statement& row) -> Result<RungStatus> {
            RungStatus status;
            status.rung = rung;
            status.point = TRY(read_point(row));
            status.reached = row.time();
            status.run = row.text();
            status.point_age = now - status.point.time;
            status.proof_age = now - status.reached;
            return status;
        }));
        if (newest)
            ladder.push_back(std::move(*newest));
    }
    return ladder;
}

}  // namespace holdfast::catalog
