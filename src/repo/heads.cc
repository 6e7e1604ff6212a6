#include "repo/heads.h"

#include <charconv>

#include "base/text.h"
#include "os/file.h"
#include "os/file_lock.h"
#include "repo/json_object.h"

namespace holdfast {
namespace {

constexpr std::size_t kFileBytesMax = 16u << 20;

std::string claim_text(LogClaim const& claim) {
    return claim.writer.hex() + "/" + std::to_string(claim.head.n) + "/" + to_hex(claim.head.hash);
}

std::optional<LogClaim> parse_claim(std::string_view text) {
    auto parts = split(text, '/');
    if (parts.size() != 3)
        return std::nullopt;
    auto writer = BundleId::from_hex(parts[0]);
    auto hash = from_hex(parts[2]);
    LogClaim claim;
    auto const* end = parts[1].data() + parts[1].size();
    auto parsed = std::from_chars(parts[1].data(), end, claim.head.n);
    if (!writer || !hash || hash->size() != claim.head.hash.size() || parsed.ptr != end)
        return std::nullopt;
    claim.writer = *writer;
    std::copy(hash->begin(), hash->end(), claim.head.hash.begin());
    return claim;
}

// The checksum tells a damaged file, which must not look like a repository that went back.
std::string encode(RememberedHeads const& remembered, RepositoryId const& repository) {
    JsonObject heads;
    for (auto const& [writer, head] : remembered.heads) {
        JsonObject one;
        one.set("n", head.n);
        one.set_hex("hash", head.hash);
        heads.set(writer.hex(), one);
    }
    JsonObject accepted;
    for (auto const& claim : remembered.accepted)
        accepted.set(claim_text(claim), std::uint64_t{1});
    JsonObject json;
    json.set_hex("repository", repository.view());
    json.set("heads", heads);
    json.set("accepted", accepted);
    auto sum = sha256(as_bytes(json.dump()));
    json.set_hex("sha256", sum);
    return json.dump_lines();
}

std::optional<RememberedHeads> decode(std::string_view text, RepositoryId const& repository) {
    auto json = JsonObject::parse(text);
    if (!json)
        return std::nullopt;
    RememberedHeads remembered;
    auto heads = json->object("heads");
    for (auto const& name : heads.names()) {
        auto one = heads.object(name);
        auto writer = BundleId::from_hex(name);
        LogHead head{one.number("n"), one.array<Hash32>("hash")};
        if (!writer || !one.ok())
            return std::nullopt;
        remembered.heads[*writer] = head;
    }
    for (auto const& name : json->object("accepted").names()) {
        auto claim = parse_claim(name);
        if (!claim)
            return std::nullopt;
        remembered.accepted.insert(*claim);
    }
    if (encode(remembered, repository) != text)
        return std::nullopt;
    return remembered;
}

}  // namespace

void RememberedHeads::advance(LogHeads const& shown) {
    for (auto const& [writer, head] : shown) {
        auto& mine = heads[writer];
        if (head.n >= mine.n)
            mine = head;
    }
}

HeadsFile::HeadsFile(std::filesystem::path const& state, RepositoryId const& repository)
    : repository_(repository) {
    if (!state.empty())
        directory_ = state / repository.hex();
}

Result<RememberedHeads> HeadsFile::load() const {
    if (directory_.empty())
        return RememberedHeads{};
    auto path = (directory_ / "heads.json").string();
    auto text = read_file(path, kFileBytesMax);
    if (!text) {
        if (text.error().kind == ErrorKind::not_found)
            return RememberedHeads{};
        return fail(std::move(text).error());
    }
    auto remembered = decode(as_text(*text), repository_);
    if (!remembered)
        return fail(ErrorKind::damaged,
                    "'" + path + "', where this machine remembers the logs, is damaged",
                    "--accept-rollback takes the logs as the store shows them and writes it anew");
    return *remembered;
}

Result<void> HeadsFile::update(std::function<void(RememberedHeads&)> const& change,
                               UpdateOptions options) const {
    if (directory_.empty())
        return {};
    std::error_code error;
    std::filesystem::create_directories(directory_, error);
    if (error)
        return fail(errno_error("make directory '" + directory_.string() + "'", error.value()));
    auto lock = TRY(lock_file((directory_ / "heads.lock").string()));
    auto remembered = load();
    if (!remembered) {
        if (remembered.error().kind != ErrorKind::damaged || !options.replace_damaged)
            return fail(std::move(remembered).error());
        remembered = RememberedHeads{};
    }
    auto const before = *remembered;
    change(*remembered);
    if (remembered->heads == before.heads && remembered->accepted == before.accepted &&
        !options.replace_damaged)
        return {};
    auto text = encode(*remembered, repository_);
    return write_file_durably((directory_ / "heads.json").string(), as_bytes(text), 0600);
}

}  // namespace holdfast
