#include "repo/config.h"

#include <fmt/format.h>

#include "repo/json_object.h"

namespace holdfast {
namespace {

constexpr std::string_view kConfigSignatureText = "holdfast 1 repository\n";

JsonObject unsigned_object(RepositoryConfig const& config) {
    JsonObject parameters;
    parameters.set("chunk_min", config.chunk_min);
    parameters.set("chunk_average", config.chunk_average);
    parameters.set("chunk_max", config.chunk_max);
    parameters.set("pack", config.pack);
    JsonObject json;
    json.set("holdfast", config.version);
    json.set_hex("repository", config.repository.view());
    json.set("created", config.created);
    json.set("parameters", parameters);
    json.set_hex("admin", config.admin);
    json.set_hex("data_key", config.data_key.view());
    return json;
}

Bytes signed_text(RepositoryConfig const& config) {
    return to_bytes(std::string(kConfigSignatureText) + unsigned_object(config).dump_lines());
}

std::string with_signature(RepositoryConfig const& config, Signature const& signature) {
    auto json = unsigned_object(config);
    json.set_hex("signature", signature);
    return json.dump_lines();
}

}  // namespace

std::string encode(RepositoryConfig const& config, SignKey const& admin) {
    return with_signature(config, admin.sign(signed_text(config)));
}

Result<RepositoryConfig> parse_config(std::string_view text) {
    auto damaged = [] { return fail(ErrorKind::damaged, "not what was written"); };
    auto json = TRY(JsonObject::parse(text));
    RepositoryConfig config;
    config.version = json.number("holdfast");
    if (!json.ok() || config.version == 0)
        return damaged();
    // A later version may write anything behind this.
    if (config.version > kFormatVersion)
        return fail(
            ErrorKind::usage,
            "repository format " + std::to_string(config.version) + " is newer than this program",
            "update holdfast on this machine");
    config.repository = json.id<RepositoryId>("repository");
    config.created = json.time("created");
    auto parameters = json.object("parameters");
    config.chunk_min = parameters.number("chunk_min");
    config.chunk_average = parameters.number("chunk_average");
    config.chunk_max = parameters.number("chunk_max");
    config.pack = parameters.number("pack");
    config.admin = json.array<SignPublicKey>("admin");
    config.data_key = json.id<DataKeyId>("data_key");
    auto signature = json.array<Signature>("signature");
    if (!json.ok() || !parameters.ok())
        return damaged();
    // One configuration has one spelling, so a change that JSON would not mind shows, too.
    if (with_signature(config, signature) != text)
        return damaged();
    if (!signature_fits(config.admin, signed_text(config), signature))
        return fail(ErrorKind::damaged, "signature does not fit");
    return config;
}

Result<LoadedConfig> load_config(Store& store, std::stop_token stop) {
    auto read = [&](std::string_view key) -> Result<RepositoryConfig> {
        auto bytes = TRY(store.get(ObjectKey(std::string(key)), stop));
        return parse_config(as_text(bytes)).within(key);
    };
    auto primary = read(kConfigKey);
    if (primary)
        return LoadedConfig{*primary, {}};
    auto kind = primary.error().kind;
    // A single flipped bit can make a version "newer": the copy knows.
    if (kind != ErrorKind::not_found && kind != ErrorKind::damaged && kind != ErrorKind::usage)
        return fail(std::move(primary).error());
    auto copy = read(kConfigCopyKey);
    if (copy) {
        auto what = kind == ErrorKind::not_found ? "is missing" : "is damaged";
        return LoadedConfig{*copy, {fmt::format("{} {}: its copy {} was used", kConfigKey, what, kConfigCopyKey)}};
    }
    auto copy_kind = copy.error().kind;
    if (copy_kind != ErrorKind::not_found && copy_kind != ErrorKind::damaged)
        return fail(std::move(copy).error());
    if (kind == ErrorKind::not_found && copy_kind == ErrorKind::not_found)
        return fail(ErrorKind::not_found, "no repository in " + store.describe(),
                    "make one with `holdfast init`, or check the address");
    // Whichever of the two says more than "missing".
    return fail(kind == ErrorKind::not_found ? std::move(copy).error()
                                             : std::move(primary).error());
}

}  // namespace holdfast
