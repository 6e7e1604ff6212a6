#include "repo/locks.h"

#include <algorithm>

#include "os/file.h"
#include "os/fan_out.h"
#include "repo/certificates.h"
#include "repo/config.h"
#include "repo/index.h"
#include "repo/json_object.h"
#include "repo/key_ring.h"
#include "repo/object_check.h"
#include "repo/pack.h"
#include "repo/self_documents.h"
#include "repo/writer_log.h"

namespace holdfast {
namespace {

constexpr std::size_t kLockFileBytesMax = 1 << 20;

// Locks all of `keys`, several at a time; the first error ends it.
Result<void> lock_all(Repository& repository, std::vector<ObjectKey> const& keys, Time until, std::stop_token stop) {
    FanOut all(repository.world().executor, store_requests(repository.world().executor), stop);
    for (auto const& key : keys) {
        all.add(1, [&repository, &key, until, stop] {
            return repository.store().lock_until(key, until, stop).within("lock " + key.text());
        });
    }
    return all.finish();
}

Result<std::vector<ObjectInfo>> list_objects(Store& store, std::string_view prefix, std::stop_token stop) {
    std::vector<ObjectInfo> found;
    auto visit = [&](ObjectInfo const& info) -> Result<void> {
        found.push_back(info);
        return {};
    };
    TRY(store.list(prefix, visit, std::move(stop)));
    return found;
}

// Segments that together say of all `packs` what this bundle believes of them (what it wrote, or a reader or an
// admin has proven), the newest first: what garbage collection put in the place of others is newer than
// these. One at a time is read, for their size.
Result<std::vector<ObjectKey>> segments_naming(Repository& repository, std::set<PackId> packs, std::stop_token stop) {
    auto index = TRY(refresh_index(repository, {.check_packs = true}, stop));
    auto segments = TRY(list_objects(repository.store(), "index/", stop));
    std::ranges::stable_sort(segments, std::greater(), &ObjectInfo::modified);
    std::vector<ObjectKey> keys;
    for (auto segment = segments.begin(); segment != segments.end() && !packs.empty(); ++segment) {
        auto groups = load_segment(repository, segment->key, stop);
        if (!groups && is_local(groups.error().kind)) continue;  // no lock mends it
        if (!groups) return fail(std::move(groups).error());
        auto before = packs.size();
        for (auto const& group : *groups) {
            for (auto const& pack : group.packs)
                if (TRY(index->relies_on(pack))) packs.erase(pack.id);
        }
        if (packs.size() < before) keys.push_back(segment->key);
    }
    return keys;
}

}  // namespace

bool is_for_good(ObjectKey const& key) {
    switch (room_of(key.text())) {
        case ObjectRoom::config:
        case ObjectRoom::key:
        case ObjectRoom::ring:
        case ObjectRoom::pack:
        case ObjectRoom::index:
        case ObjectRoom::point:
        case ObjectRoom::log:
        case ObjectRoom::receipt:
        case ObjectRoom::self:
        case ObjectRoom::wal:
        case ObjectRoom::approval:
            return true;
        case ObjectRoom::lease:
        case ObjectRoom::hold:
        case ObjectRoom::proven:
        case ObjectRoom::doomed:
        case ObjectRoom::reserve:
        case ObjectRoom::unknown:
            return false;
    }
    return false;
}

Result<LockPass> lock_again(Repository& repository, std::set<PackId> const& packs, Duration period,
                            std::stop_token stop) {
    auto& store = repository.store();
    LockPass pass;
    pass.until = repository.world().clock.now() + period;
    auto keys = TRY(segments_naming(repository, packs, stop));
    for (auto const& pack : packs) keys.push_back(pack_key(pack));
    for (auto prefix : {kKeysPrefix, kRingsPrefix, kLogPrefix}) {
        auto found = TRY(list_objects(store, prefix, stop));
        for (auto const& info : found) keys.push_back(info.key);
    }
    // self/<time>-<name>, in the order of times: the last of a name is the newest.
    std::map<std::string, ObjectKey> newest;
    auto copies = TRY(list_objects(store, kSelfPrefix, stop));
    for (auto const& info : copies) {
        auto room = room_of(info.key.text());
        if (room == ObjectRoom::key || room == ObjectRoom::ring) keys.push_back(info.key);
        if (room == ObjectRoom::self)
            newest.insert_or_assign(info.key.text().substr(info.key.text().find('-')), info.key);
    }
    for (auto const& [name, key] : newest) keys.push_back(key);
    TRY(lock_all(repository, keys, pass.until, stop));
    std::vector<ObjectKey> const last{ObjectKey(std::string(kConfigCopyKey)), ObjectKey(std::string(kConfigKey))};
    TRY(lock_all(repository, last, pass.until, stop));
    pass.objects = keys.size() + last.size();
    return pass;
}

LockFile::LockFile(std::filesystem::path const& state, RepositoryId const& repository) {
    if (!state.empty()) path_ = state / repository.hex() / "locks.json";
}

std::map<DatasetTag, Time> LockFile::load() const {
    if (path_.empty()) return {};
    auto text = read_file(path_.string(), kLockFileBytesMax);
    auto json = text ? JsonObject::parse(as_text(*text)) : Result<JsonObject>(fail(std::move(text).error()));
    if (!json) return {};
    std::map<DatasetTag, Time> until;
    for (auto const& name : json->names()) {
        auto tag = DatasetTag::from_hex(name);
        if (!tag) return {};
        until[*tag] = json->time(name);
    }
    if (!json->ok()) return {};
    return until;
}

Result<void> LockFile::save(std::map<DatasetTag, Time> const& until) const {
    if (path_.empty()) return {};
    std::error_code error;
    std::filesystem::create_directories(path_.parent_path(), error);
    if (error) return fail(errno_error("make directory '" + path_.parent_path().string() + "'", error.value()));
    JsonObject json;
    for (auto const& [tag, time] : until) json.set(tag.hex(), time);
    auto text = json.dump_lines();
    return write_file_durably(path_.string(), as_bytes(text), 0600);
}

}  // namespace holdfast
