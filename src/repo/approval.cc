#include "repo/approval.h"

#include <algorithm>
#include <fmt/format.h>

#include "base/text.h"
#include "repo/json_object.h"
#include "repo/key_changes.h"

namespace holdfast {
namespace {

constexpr Deletion kDeletions[] = {Deletion::points, Deletion::packs, Deletion::hold, Deletion::key, Deletion::setting};
constexpr std::string_view kRequestName = "request", kUsedName = "used", kByName = "by-";
// How far the clock of who asks may be ahead.
constexpr Duration kClockSlack = std::chrono::hours(1);

// approvals/<expires>-<id>/ and what lies there.
struct ApprovalName {
    Time expires;
    Hash32 id{};
    std::string part;
};
std::string approval_folder(Time expires, Hash32 const& id) {
    return fmt::format("{}{}-{}/", kApprovalsPrefix, to_key_time(expires), to_hex(id));
}
std::optional<ApprovalName> parse_approval_name(std::string_view key) {
    auto parts = split(key, '/');
    if (parts.size() != 3 || parts[0] != "approvals" || parts[1].size() != kKeyTimeSize + 1 + 64) return {};
    auto expires = parse_key_time(parts[1].substr(0, kKeyTimeSize));
    auto id = from_hex(parts[1].substr(kKeyTimeSize + 1));
    if (!expires || !id || id->size() != sizeof(Hash32)) return {};
    ApprovalName name{*expires, {}, std::string(parts[2])};
    std::ranges::copy(*id, name.id.begin());
    auto known = name.part == kRequestName || name.part == kUsedName || name.part.starts_with(kByName);
    if (!known || approval_folder(name.expires, name.id) + name.part != key) return {};
    return name;
}

Result<DeletionRequest> open_request(Repository& repository, ApprovalName const& name, ByteView object,
                                     std::stop_token stop) {
    auto document = TRY(repository.open(kRequestDocument, object, std::move(stop)));
    auto json = TRY(JsonObject::parse(as_text(document.plain)));
    DeletionRequest request;
    request.id = sha256(object);
    auto what = json.text("what");
    auto subjects = json.text("subjects");
    request.time = json.time("time");
    request.expires = json.time("expires");
    request.by = document.signer.id;
    auto kind = std::ranges::find(kDeletions, what, [](Deletion one) { return holdfast::name(one); });
    if (!json.ok() || kind == std::end(kDeletions)) return fail(ErrorKind::damaged, "request is malformed");
    request.what = *kind;
    for (auto const& subject : split(subjects, ' ')) request.subjects.emplace(subject);
    if (request.id != name.id || request.expires != name.expires)
        return fail(ErrorKind::damaged, "is stored under the name of another one");
    return request;
}

// A signature under a request, or the note that it was used: who it is of.
Result<BundleId> open_mark(Repository& repository, DocumentKind kind, ApprovalName const& name, ByteView object,
                           std::stop_token stop) {
    auto document = TRY(repository.open(kind, object, std::move(stop)));
    auto json = TRY(JsonObject::parse(as_text(document.plain)));
    auto request = json.array<Hash32>("request");
    (void)json.time("time");
    if (!json.ok()) return fail(ErrorKind::damaged, "is malformed");
    auto own = kind == kUseDocument || name.part == std::string(kByName) + document.signer.id.hex();
    if (request != name.id || !own) return fail(ErrorKind::damaged, "is stored under the name of another one");
    return document.signer.id;
}

Bytes seal_mark(Repository& repository, DocumentKind kind, Hash32 const& request) {
    JsonObject json;
    json.set_hex("request", request);
    json.set("time", repository.world().clock.now());
    return repository.seal(kind, as_bytes(json.dump()));
}

// A put-once that another process, or an earlier run, may have done already.
Result<void> put_mark(Repository& repository, std::string const& key, Bytes const& object, std::stop_token stop) {
    auto put = repository.store().put(ObjectKey(key), object, std::move(stop));
    if (!put && put.error().kind == ErrorKind::exists) return {};
    return std::move(put).within(key);
}

bool is_damage_of_one(ErrorKind kind) { return kind == ErrorKind::damaged || kind == ErrorKind::not_found; }

}  // namespace

std::string_view name(Deletion what) {
    switch (what) {
        case Deletion::points:
            return "points";
        case Deletion::packs:
            return "packs";
        case Deletion::hold:
            return "hold";
        case Deletion::key:
            return "key";
        case Deletion::setting:
            return "setting";
    }
    return "";
}

Result<void> check_approval_object(Repository& repository, std::string_view key, ByteView object,
                                   std::stop_token stop) {
    auto name = parse_approval_name(key);
    if (!name) return fail(ErrorKind::damaged, "not the name of a request");
    if (name->part == kRequestName) {
        TRY(open_request(repository, *name, object, stop));
        return {};
    }
    TRY(open_mark(repository, name->part == kUsedName ? kUseDocument : kApprovalDocument, *name, object, stop));
    return {};
}

Result<std::vector<DeletionRequest>> list_requests(Repository& repository, std::stop_token stop) {
    auto const approvers = approval_rules(TRY(repository.ring(stop)).ring).approvers;
    std::map<Hash32, std::vector<std::pair<std::string, ApprovalName>>> found;
    auto visit = [&](ObjectInfo const& info) -> Result<void> {
        if (auto name = parse_approval_name(info.key.text())) found[name->id].emplace_back(info.key.text(), *name);
        return {};
    };
    TRY(repository.store().list(kApprovalsPrefix, visit, stop));
    std::vector<DeletionRequest> requests;
    for (auto const& [id, parts] : found) {
        std::optional<DeletionRequest> request;
        std::set<BundleId> signers;
        bool used = false;
        for (auto const& [key, name] : parts) {
            // Also where it does not open: whoever can't tell does not delete by it once more.
            used = used || name.part == kUsedName;
            if (name.part == kUsedName) continue;
            auto object = repository.store().get(ObjectKey(key), stop);
            if (!object && is_damage_of_one(object.error().kind)) continue;
            if (!object) return fail(std::move(object).error().within(key));
            if (name.part == kRequestName) {
                auto opened = open_request(repository, name, *object, stop);
                if (!opened && !is_damage_of_one(opened.error().kind)) return fail(std::move(opened).error().within(key));
                if (opened) request = std::move(*opened);
            } else {
                auto signer = open_mark(repository, kApprovalDocument, name, *object, stop);
                if (!signer && !is_damage_of_one(signer.error().kind)) return fail(std::move(signer).error().within(key));
                if (signer && approvers.contains(*signer) && !repository.removed(*signer)) signers.insert(*signer);
            }
        }
        if (!request) continue;
        signers.erase(request->by);
        request->approved_by = std::move(signers);
        request->used = used;
        requests.push_back(std::move(*request));
    }
    std::ranges::sort(requests, {}, [](DeletionRequest const& one) { return std::tie(one.time, one.id); });
    return requests;
}

Result<DeletionRequest> request_deletion(Repository& repository, Deletion what, std::set<std::string> subjects,
                                         std::stop_token stop) {
    auto const& keys = repository.keys();
    if (!keys.has(Role::admin))
        return fail(ErrorKind::key_refused, "a " + to_text(keys.roles) + "'s key deletes nothing",
                    "use an admin's key or the password");
    DeletionRequest request;
    request.what = what;
    request.subjects = std::move(subjects);
    request.time = repository.world().clock.now();
    request.expires = request.time + kRequestLife;
    request.by = keys.id;
    JsonObject json;
    json.set("what", name(what));
    json.set("subjects", join(std::vector(request.subjects.begin(), request.subjects.end()), " "));
    json.set("time", request.time);
    json.set("expires", request.expires);
    auto object = repository.seal(kRequestDocument, as_bytes(json.dump()));
    request.id = sha256(object);
    auto key = approval_folder(request.expires, request.id) + std::string(kRequestName);
    TRY(repository.store().put(ObjectKey(key), object, std::move(stop)).within(key));
    return request;
}

Result<DeletionRequest> approve_deletion(Repository& repository, std::string_view prefix, std::stop_token stop) {
    auto const& keys = repository.keys();
    if (!approval_rules(TRY(repository.ring(stop)).ring).approvers.contains(keys.id))
        return fail(ErrorKind::key_refused, "key " + keys.id.brief() + " is not an approver's",
                    "holdfast approvals list shows whose approval counts");
    auto requests = TRY(list_requests(repository, stop));
    std::erase_if(requests, [&](DeletionRequest const& one) { return !one.hex().starts_with(prefix); });
    if (requests.empty())
        return fail(ErrorKind::not_found, fmt::format("no request begins with '{}'", printable(prefix)),
                    "holdfast approvals list shows them");
    if (requests.size() > 1)
        return fail(ErrorKind::usage, fmt::format("'{}' begins the ids of {} requests", printable(prefix), requests.size()),
                    "write more digits of the id");
    auto request = std::move(requests.front());
    auto refuse = [&](char const* why) {
        return fail(ErrorKind::unsafe, fmt::format("request {} {}", request.hex().substr(0, 8), why));
    };
    if (request.by == keys.id) return refuse("is this key's own: somebody else has to approve it");
    if (request.used) return refuse("was used already");
    if (request.expires <= repository.world().clock.now()) return refuse("has expired");
    auto key = approval_folder(request.expires, request.id) + std::string(kByName) + keys.id.hex();
    TRY(put_mark(repository, key, seal_mark(repository, kApprovalDocument, request.id), std::move(stop)));
    request.approved_by.insert(keys.id);
    return request;
}

Result<Permission> Permission::load(Repository& repository, Deletion what, std::stop_token stop) {
    Permission permission(repository, what);
    permission.needed_ = approval_rules(TRY(repository.ring(stop)).ring).others;
    if (!permission.is_needed()) return permission;
    auto now = repository.world().clock.now();
    for (auto& request : TRY(list_requests(repository, stop))) {
        // One that is dated far ahead lives longer than it may.
        auto is_open = !request.used && request.expires > now && request.time <= now + kClockSlack &&
                       request.expires - request.time <= kRequestLife;
        if (request.what != what || !is_open || repository.removed(request.by)) continue;
        auto agreed = request.approved_by.size() >= permission.needed_;
        for (auto const& subject : request.subjects)
            (agreed ? permission.granted_ : permission.asked_)[subject].insert(request.hex());
        permission.requests_.emplace(request.hex(), std::move(request));
    }
    return permission;
}

std::string Permission::waiting(std::string const& subject) const {
    auto found = asked_.find(subject);
    return found == asked_.end() ? "" : *found->second.begin();
}

Result<std::set<std::string>> Permission::ask(std::set<std::string> const& subjects, std::stop_token stop) const {
    std::set<std::string> ids, fresh;
    for (auto const& subject : subjects) {
        if (allows(subject)) continue;
        auto open = waiting(subject);
        if (open.empty())
            fresh.insert(subject);
        else
            ids.insert(open);
    }
    if (!fresh.empty()) {
        auto request = TRY(request_deletion(*repository_, what_, std::move(fresh), std::move(stop)));
        ids.insert(request.hex());
    }
    return ids;
}

Result<void> Permission::require(std::set<std::string> const& subjects, std::stop_token stop) const {
    auto ids = TRY(ask(subjects, std::move(stop)));
    if (ids.empty()) return {};
    std::string list;
    for (auto const& id : ids) list += (list.empty() ? "" : ", ") + id.substr(0, 8);
    return fail(ErrorKind::unsafe,
                fmt::format("{} other {} to approve this: request {}", needed_,
                            needed_ == 1 ? "person has" : "people have", list),
                fmt::format("holdfast approve {}, with another key; then repeat the command", list));
}

Result<void> Permission::note_used(std::set<std::string> const& subjects, std::stop_token stop) const {
    std::set<std::string> used;
    for (auto const& subject : subjects)
        if (auto found = granted_.find(subject); found != granted_.end())
            used.insert(found->second.begin(), found->second.end());
    for (auto const& id : used) {
        auto const& request = requests_.at(id);
        auto key = approval_folder(request.expires, request.id) + std::string(kUsedName);
        TRY(put_mark(*repository_, key, seal_mark(*repository_, kUseDocument, request.id), stop));
    }
    return {};
}

ApprovalRules approval_rules(KeyRing const& ring) {
    ApprovalRules rules;
    for (auto const& [name, value] : ring.settings) {
        if (name == kApprovalsSetting) rules.others = value;
        if (!name.starts_with(kApproverSetting) || value != 1) continue;
        auto id = BundleId::from_hex(name.substr(std::string_view(kApproverSetting).size()));
        if (id) rules.approvers.insert(*id);
    }
    return rules;
}

Result<void> set_approvals(Repository& repository, ApprovalRules const& rules, std::stop_token stop) {
    auto before = approval_rules(TRY(repository.ring(stop)).ring);
    if (before == rules) return {};
    for (auto const& id : rules.approvers) {
        auto certificate = repository.certificate(id, stop);
        if (!certificate) return fail(ErrorKind::not_found, "there is no key " + id.brief());
        if ((certificate->roles & roles_that_sign(kApprovalDocument)) == 0 || certificate->removed)
            return fail(ErrorKind::usage, fmt::format("key {} can't approve: it is {}", id.brief(),
                                                      certificate->removed ? "removed" : "a machine's"),
                        "approvers have a reader's or an admin's key each");
    }
    // Whoever asks may be an approver, too, and does not count for his own request.
    if (rules.others > 0 && rules.approvers.size() < rules.others + 1)
        return fail(ErrorKind::usage, fmt::format("{} others can't agree among {} approvers", rules.others,
                                                  rules.approvers.size()),
                    "name more: one of them may be who asks, or be away");
    std::string subject = fmt::format("{}={}:", kApprovalsSetting, rules.others);
    for (auto const& id : rules.approvers) subject += (subject.ends_with(':') ? "" : "+") + id.hex();
    auto permission = TRY(Permission::load(repository, Deletion::setting, stop));
    TRY(permission.require({subject}, stop));
    std::map<std::string, std::uint64_t> settings{{kApprovalsSetting, rules.others}};
    for (auto const& id : before.approvers) settings[kApproverSetting + id.hex()] = 0;
    for (auto const& id : rules.approvers) settings[kApproverSetting + id.hex()] = 1;
    TRY(change_settings(repository, settings, stop));
    return permission.note_used({subject}, stop);
}

}  // namespace holdfast
