#include "repo/point.h"

#include "base/text.h"
#include "repo/json_object.h"

namespace holdfast {
namespace {
}  // namespace

std::string encode(RecoveryPoint const& point) {
    ByteWriter tree;
    encode(point.tree, tree);
    JsonObject attributes;
    for (auto const& [name, value] : point.attributes)
        attributes.set(printable(name), value);
    JsonObject json;
    json.set("dataset", point.dataset);
    json.set("kind", point.kind);
    json.set("started", point.started);
    json.set("time", point.time);
    json.set("root", point.root);
    json.set_hex("tree", tree.view());
    json.set("files", point.files);
    json.set("bytes", point.bytes);
    json.set("stored", point.stored);
    json.set("unreadable", point.unreadable);
    json.set("host", point.host);
    json.set("version", point.version);
    json.set("attributes", attributes);
    return json.dump();
}

Result<RecoveryPoint> decode_point(std::string_view document) {
    auto json = TRY(JsonObject::parse(document));
    RecoveryPoint point;
    point.dataset = json.text("dataset");
    point.kind = json.text("kind");
    point.started = json.time("started");
    point.time = json.time("time");
    point.root = json.text("root");
    auto tree = json.hex("tree");
    point.files = json.number("files");
    point.bytes = json.number("bytes");
    point.stored = json.number("stored");
    point.unreadable = json.number("unreadable");
    point.host = json.text("host");
    point.version = json.text("version");
    auto attributes = json.object("attributes");
    for (auto const& name : attributes.names()) {
        auto plain = TRY(from_printable(name));
        point.attributes[std::move(plain)] = attributes.text(name);
    }
    if (!json.ok() || !attributes.ok())
        return fail(ErrorKind::damaged, "recovery point is malformed");
    ByteReader reader(tree);
    point.tree = TRY(decode_content(reader));
    if (!reader.done())
        return fail(ErrorKind::damaged, "recovery point is malformed");
    return point;
}

std::string point_key(DatasetTag const& dataset, Time time, PointId const& id) {
    return std::string(kPointsPrefix) + dataset.hex() + "/" + to_key_time(time) + "-" + id.hex();
}

Result<PointKey> parse_point_key(std::string_view key) {
    auto wrong = [&] { return fail(ErrorKind::damaged, "not the name of a recovery point"); };
    if (!key.starts_with(kPointsPrefix))
        return wrong();
    auto rest = key.substr(kPointsPrefix.size());
    constexpr auto tag_size = 2 * DatasetTag::kSize;
    if (rest.size() != tag_size + 1 + kKeyTimeSize + 1 + 2 * PointId::kSize)
        return wrong();
    auto dataset = DatasetTag::from_hex(rest.substr(0, tag_size));
    auto time = parse_key_time(rest.substr(tag_size + 1, kKeyTimeSize));
    auto id = PointId::from_hex(rest.substr(tag_size + 1 + kKeyTimeSize + 1));
    if (!dataset || !time || !id || point_key(*dataset, *time, *id) != key)
        return wrong();
    return PointKey{*dataset, *time, *id};
}

SealedPoint seal_point(RecoveryPoint const& point, KeyBundle const& keys, Random& random) {
    SealedPoint sealed;
    sealed.object = seal_document(DocumentKind::point, keys, as_bytes(encode(point)), random);
    sealed.id = PointId{sha256(sealed.object)};
    sealed.key = point_key(dataset_tag(keys, point.dataset), point.time, sealed.id);
    return sealed;
}

Result<PointInfo> open_point(std::string_view key, ByteView object, KeyBundle const& keys,
                             CertificateLookup const& certificates) {
    auto name = TRY(parse_point_key(key));
    if (sha256(object) != name.id.bytes)
        return fail(ErrorKind::damaged, "recovery point does not fit its id");
    auto document = TRY(open_document(DocumentKind::point, keys, object, certificates));
    PointInfo info;
    info.point = TRY(decode_point(as_text(document.plain)));
    info.id = name.id;
    info.writer = document.signer.id;
    if (info.point.time != name.time || dataset_tag(keys, info.point.dataset) != name.dataset)
        return fail(ErrorKind::damaged, "recovery point is stored under a name of another one");
    return info;
}

}  // namespace holdfast
