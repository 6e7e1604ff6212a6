#include "repo/hold.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "repo/approval.h"
#include "repo/json_object.h"
#include "repo/repository.h"

namespace holdfast {

std::string_view name(Hold::Kind kind) {
    return kind == Hold::Kind::legal ? "legal" : "suspicion";
}

bool Hold::holds(PointId const& point, std::string_view of_dataset) const {
    if (!points.empty())
        return std::ranges::find(points, point) != points.end();
    return dataset.empty() || dataset == of_dataset;
}

std::string Hold::text() const {
    return fmt::format("{}: {}", name(kind), reason);
}

std::string hold_key(Hold const& hold) {
    return std::string(kHoldsPrefix) + hold.hex();
}

Bytes seal_hold(Hold const& hold, KeyBundle const& keys, Random& random) {
    ByteWriter points;
    for (auto const& point : hold.points)
        points.raw(point.view());
    JsonObject json;
    json.set_hex("hold", hold.id);
    json.set("kind", name(hold.kind));
    json.set("reason", hold.reason);
    json.set_hex("points", points.view());
    json.set("dataset", hold.dataset);
    json.set("time", hold.time);
    return seal_document(DocumentKind::hold, keys, as_bytes(json.dump()), random);
}

Result<Hold> open_hold(std::string_view key, ByteView object, KeyBundle const& keys,
                       CertificateLookup const& certificates) {
    auto document = TRY(open_document(DocumentKind::hold, keys, object, certificates));
    auto json = TRY(JsonObject::parse(as_text(document.plain)));
    Hold hold;
    hold.id = json.array<decltype(hold.id)>("hold");
    auto kind = json.text("kind");
    hold.kind = kind == "suspicion" ? Hold::Kind::suspicion : Hold::Kind::legal;
    hold.reason = json.text("reason");
    auto points = json.hex("points");
    hold.dataset = json.text("dataset");
    hold.time = json.time("time");
    hold.holder = document.signer.id;
    if (!json.ok() || points.size() % PointId::kSize != 0 || kind != name(hold.kind))
        return fail(ErrorKind::damaged, "hold is malformed");
    for (std::size_t at = 0; at < points.size(); at += PointId::kSize)
        hold.points.push_back(PointId::from_bytes(ByteView(points).subspan(at, PointId::kSize)));
    if (hold_key(hold) != key)
        return fail(ErrorKind::damaged, "hold is another one's");
    return hold;
}

Result<Hold> place_hold(Repository& repository, Hold hold, std::stop_token stop) {
    auto const& keys = repository.keys();
    if ((keys.roles & roles_that_sign(DocumentKind::hold)) == 0)
        return fail(ErrorKind::key_refused, "a " + to_text(keys.roles) + "'s key cannot hold points",
                    "use a writer's key, an admin's or the password");
    auto& world = repository.world();
    world.random.fill(hold.id);
    hold.time = world.clock.now();
    hold.holder = keys.id;
    auto key = hold_key(hold);
    TRY(repository.store().put(ObjectKey(key), seal_hold(hold, keys, world.random), stop).within(key));
    return hold;
}

Result<std::vector<Hold>> list_holds(Repository& repository, std::stop_token stop) {
    std::vector<std::string> names;
    auto visit = [&](ObjectInfo const& info) -> Result<void> {
        names.push_back(info.key.text());
        return {};
    };
    TRY(repository.store().list(kHoldsPrefix, visit, stop));
    CertificateLookup certificates = [&](BundleId const& id) { return repository.certificate(id, stop); };
    std::vector<Hold> holds;
    for (auto const& key : names) {
        auto object = repository.store().get(ObjectKey(key), stop);
        if (!object && object.error().kind == ErrorKind::not_found)
            continue;  // removed since
        if (!object)
            return fail(std::move(object).error().within(key));
        auto hold = open_hold(key, *object, repository.keys(), certificates);
        if (!hold)
            return fail(std::move(hold).error().within(key).with_hint(
                "nobody can say what it holds, so nothing is forgotten: restore it from another copy of the "
                "repository, or remove the object by hand"));
        holds.push_back(std::move(*hold));
    }
    std::ranges::sort(holds, {}, [](Hold const& hold) { return std::tie(hold.time, hold.id); });
    return holds;
}

Result<Hold> remove_hold(Repository& repository, std::string_view prefix, std::stop_token stop) {
    auto const& keys = repository.keys();
    if (!keys.has(Role::admin))
        return fail(ErrorKind::key_refused, "a " + to_text(keys.roles) + "'s key cannot lift a hold",
                    "use an admin's key or the password");
    auto holds = TRY(list_holds(repository, stop));
    std::erase_if(holds, [&](Hold const& hold) { return !hold.hex().starts_with(prefix); });
    if (holds.empty())
        return fail(ErrorKind::not_found, fmt::format("no hold begins with '{}'", printable(prefix)),
                    "holdfast hold list shows them");
    if (holds.size() > 1)
        return fail(ErrorKind::usage,
                    fmt::format("'{}' begins the ids of {} holds", printable(prefix), holds.size()),
                    "write more digits of the id");
    auto key = hold_key(holds.front());
    std::set<std::string> const subject{holds.front().hex()};
    auto permission = TRY(Permission::load(repository, Deletion::hold, stop));
    TRY(permission.require(subject, stop));
    TRY(repository.store().remove(ObjectKey(key), stop).within(key));
    TRY(permission.note_used(subject, stop));
    return holds.front();
}

}  // namespace holdfast
