// How S3Store works with Object Lock: what is locked, which version of a key is the object, when locks end.

#include "base/text.h"
#include "store/errors.h"
#include "store/percent.h"
#include "store/s3_parts.h"
#include "store/s3_store.h"
#include "store/s3_xml.h"

namespace holdfast {
namespace {

// What is remembered of keys that were looked up; then it begins anew.
constexpr std::size_t kVersionsMax = 100'000;

// RFC 3339 in whole seconds, the later one: servers refuse fractions.
std::string lock_date(Time time) {
    return to_rfc3339(std::chrono::ceil<std::chrono::seconds>(time));
}

}  // namespace

Result<void> S3Store::find_lock(std::stop_token const& stop) {
    auto patience = options_.client.patience;
    patience.give_up_after = std::min(patience.give_up_after, options_.open_within);
    auto answer = client_.send({.method = "GET", .query = {{"object-lock", ""}}}, stop, patience);
    // Many servers know no such question: then there is none.
    if (!answer && (answer.error().status == 0 || answer.error().status == 500 || answer.error().status == 503))
        return s3::failed(std::move(answer.error()));
    if (answer) {
        auto root = parse_xml(as_text(answer->body));
        locks_ = root && root->text_of("ObjectLockEnabled") == "Enabled";
    }
    if (locks_ || !options_.lock)
        return {};
    if (!answer && answer.error().status == 403)
        return fail(ErrorKind::usage,
                    "whether the bucket has Object Lock may not be asked: " + answer.error().error.message,
                    "allow s3:GetBucketObjectLockConfiguration, or take `lock` out of the plan");
    return fail(ErrorKind::usage, "the bucket has no Object Lock: nothing in it can be locked",
                "only a new bucket can have it: let `holdfast init` make one, or take `lock` out of the plan");
}

bool S3Store::first_counts(ObjectKey const& key) const {
    return locks_ && (!options_.for_good || options_.for_good(key));
}

void S3Store::add_lock(S3Request& request, ObjectKey const& key) const {
    if (!options_.lock || !first_counts(key))
        return;
    auto until = options_.client.clock.now() + *options_.lock;
    request.headers.emplace_back("x-amz-object-lock-mode", "COMPLIANCE");
    request.headers.emplace_back("x-amz-object-lock-retain-until-date", lock_date(until));
    // Amazon wants to hear of the checksum that comes along, or of an MD5, before it locks a body.
    if (request.method == "PUT")
        request.headers.emplace_back("x-amz-sdk-checksum-algorithm", "SHA256");
}

// Calls visit for each version and delete marker of the keys that begin so: by key, the newest first. It ends when
// visit returns false. Pages go on from the last entry that was seen, whoever's it is: what a server names as the
// next one is encoded by some and not by others.
Result<void> S3Store::each_version(std::string const& prefix,
                                   std::function<Result<bool>(Version const&)> const& visit,
                                   std::stop_token const& stop) {
    auto const& ours = client_.address().prefix;
    std::string last_key, last_id;
    auto bad = [&](std::string_view why) {
        return fail(ErrorKind::unreachable, fmt::format("the list of versions that the server gives {}", why),
                    "check that the endpoint is an S3 server");
    };
    while (true) {
        TRY(store_errors::check(stop));
        S3Request request{.method = "GET",
                          .query = {{"versions", ""},
                                    {"prefix", ours + prefix},
                                    {"max-keys", std::to_string(options_.page_keys)},
                                    {"encoding-type", "url"}},
                          .fault = [](HttpAnswer const& answer) {
                              return s3::error_in_success(answer, "ListVersionsResult");
                          }};
        if (!last_key.empty()) {
            request.query.emplace_back("key-marker", last_key);
            request.query.emplace_back("version-id-marker", last_id);
        }
        auto answer = client_.send(request, stop);
        if (!answer)
            return s3::failed(std::move(answer.error()));
        auto root = TRY(parse_xml(as_text(answer->body)));
        bool encoded = root.text_of("EncodingType") == "url";
        bool fresh = false;
        for (auto const& item : root.children) {
            bool marker = item.name == "DeleteMarker";
            if (!marker && item.name != "Version")
                continue;
            auto key = std::string(item.text_of("Key"));
            auto id = std::string(item.text_of("VersionId"));
            auto size = marker ? 0 : s3::parse_number(item.text_of("Size"));
            auto modified = parse_rfc3339(item.text_of("LastModified"));
            if (encoded) {
                auto decoded = decode_percent(key);
                if (!decoded)
                    return bad("holds a key that is badly encoded");
                key = std::move(*decoded);
            }
            if (key.empty() || id.empty() || !size || !modified)
                return bad("holds an entry without key, id, size or time");
            if (key < last_key)
                return bad("is not in the order of keys");
            if (key == last_key && id == last_id)
                continue;
            fresh = true;
            last_key = key;
            last_id = id;
            // What others keep there is none of ours.
            if (!key.starts_with(ours + prefix) || !is_object_key(key.substr(ours.size())))
                continue;
            Version const version{.key = key.substr(ours.size()),
                                  .id = std::move(id),
                                  .size = *size,
                                  .modified = *modified,
                                  .marker = marker,
                                  .latest = item.text_of("IsLatest") == "true"};
            bool const more = TRY(visit(version));
            if (!more)
                return {};
        }
        if (root.text_of("IsTruncated") != "true")
            return {};
        if (!fresh)
            return bad("repeats its pages");
    }
}

Result<std::vector<S3Store::Version>> S3Store::versions_of(ObjectKey const& key, std::stop_token const& stop) {
    std::vector<Version> found;
    TRY(each_version(key.text(),
                     [&](Version const& version) -> Result<bool> {
                         if (version.key == key.text())
                             found.push_back(version);
                         return version.key == key.text();
                     },
                     stop));
    return found;
}

void S3Store::remember_version(std::string const& key, std::string id) {
    std::lock_guard const lock(versions_mutex_);
    if (versions_.size() >= kVersionsMax)
        versions_.clear();
    versions_[key] = std::move(id);
}

std::unexpected<Error> S3Store::missing_version(ObjectKey const& key) {
    std::lock_guard const lock(versions_mutex_);
    versions_.erase(key.text());
    return store_errors::missing(key);
}

Result<S3Store::Query> S3Store::version_query(ObjectKey const& key, std::stop_token const& stop) {
    if (!first_counts(key))
        return Query{};
    {
        std::lock_guard const lock(versions_mutex_);
        if (auto known = versions_.find(key.text()); known != versions_.end())
            return Query{{"versionId", known->second}};
    }
    auto versions = TRY(versions_of(key, stop));
    std::erase_if(versions, [](Version const& version) { return version.marker; });
    if (versions.empty())
        return store_errors::missing(key);
    remember_version(key.text(), versions.back().id);
    return Query{{"versionId", versions.back().id}};
}

Result<void> S3Store::list_first_versions(std::string_view prefix,
                                          std::function<Result<void>(ObjectInfo const&)> const& visit,
                                          std::stop_token const& stop) {
    std::optional<Version> object;  // of the key at hand, as far as its versions were seen
    auto hand_over = [&]() -> Result<void> {
        if (!object)
            return {};
        auto found = *std::exchange(object, std::nullopt);
        ObjectKey const key(found.key);
        if (first_counts(key))
            remember_version(found.key, found.id);
        TRY(store_errors::check(stop));
        return visit({key, found.size, found.modified});
    };
    TRY(each_version(std::string(prefix),
                     [&](Version const& version) -> Result<bool> {
                         if (object && object->key != version.key)
                             TRY(hand_over());
                         // The oldest comes last.
                         bool counts = first_counts(ObjectKey(version.key)) ? !version.marker
                                                                            : version.latest && !version.marker;
                         if (counts)
                             object = version;
                         return true;
                     },
                     stop));
    return hand_over();
}

Result<void> S3Store::check_unlocked(ObjectKey const& key, std::vector<Version> const& versions,
                                     std::stop_token const& stop) {
    for (auto const& version : versions) {
        if (version.marker)
            continue;
        auto until = TRY(lock_of_version(key, version.id, stop));
        if (until && *until > options_.client.clock.now())
            return fail(ErrorKind::unsafe,
                        fmt::format("object '{}': it is locked until {}, and can't be replaced before", key.text(),
                                    lock_date(*until)));
    }
    return {};
}

Result<void> S3Store::delete_versions(ObjectKey const& key, std::vector<Version> const& versions,
                                      std::stop_token const& stop) {
    {
        std::lock_guard const lock(versions_mutex_);
        versions_.erase(key.text());
    }
    for (auto const& version : versions) {
        auto done = client_.send({.method = "DELETE", .key = key.text(), .query = {{"versionId", version.id}}}, stop);
        if (done || s3::is_missing(done.error()))
            continue;
        // What is locked goes when its lock has ended. Anything else that is refused is an error.
        if (done.error().status == 403 && !version.marker) {
            auto until = TRY(lock_of_version(key, version.id, stop));
            if (until && *until > options_.client.clock.now())
                continue;
        }
        return s3::failed(std::move(done.error()));
    }
    return {};
}

Result<std::optional<Time>> S3Store::lock_of_version(ObjectKey const& key, std::string const& id,
                                                     std::stop_token const& stop) {
    auto answer =
        client_.send({.method = "GET", .key = key.text(), .query = {{"retention", ""}, {"versionId", id}}}, stop);
    if (!answer && answer.error().status == 404) {
        if (s3::is_missing(answer.error()))
            return store_errors::missing(key);
        return std::optional<Time>{};  // NoSuchObjectLockConfiguration: it has none
    }
    if (!answer)
        return s3::failed(std::move(answer.error()));
    auto root = TRY(parse_xml(as_text(answer->body)));
    auto until = parse_rfc3339(root.text_of("RetainUntilDate"));
    if (root.text_of("Mode") != "COMPLIANCE" || !until)
        return std::optional<Time>{};
    return std::optional<Time>(*until);
}

Result<std::optional<Time>> S3Store::locked_until(ObjectKey const& key, std::stop_token stop) {
    TRY(store_errors::check(stop));
    if (!locks_)
        return std::optional<Time>{};
    auto query = TRY(version_query(key, stop));
    if (query.empty()) {
        auto versions = TRY(versions_of(key, stop));
        if (versions.empty() || versions.front().marker)
            return store_errors::missing(key);
        return lock_of_version(key, versions.front().id, stop);
    }
    return lock_of_version(key, query.front().second, stop);
}

Result<void> S3Store::lock_until(ObjectKey const& key, Time until, std::stop_token stop) {
    TRY(store_errors::check(stop));
    if (!locks_)
        return Store::lock_until(key, until, stop);
    auto query = TRY(version_query(key, stop));
    auto body = fmt::format("<Retention><Mode>COMPLIANCE</Mode><RetainUntilDate>{}</RetainUntilDate></Retention>",
                            lock_date(until));
    ByteView const bytes = as_bytes(body);
    query.emplace_back("retention", "");
    auto done = client_.send({.method = "PUT",
                              .key = key.text(),
                              .query = query,
                              .headers = {{"x-amz-sdk-checksum-algorithm", "SHA256"},
                                          {"x-amz-checksum-sha256", s3::base64(sha256(bytes))}},
                              .body = {&bytes, 1}},
                             stop);
    if (done)
        return {};
    if (s3::is_missing(done.error()))
        return missing_version(key);
    // A lock that ends later already can't be shortened, and need not be.
    auto now = locked_until(key, stop);
    if (now && *now && **now >= until)
        return {};
    return s3::failed(std::move(done.error()));
}

}  // namespace holdfast
