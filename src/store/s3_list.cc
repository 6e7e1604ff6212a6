// How S3Store lists: page by page, and without belief that pages follow each other as they should.

#include <cassert>

#include "base/text.h"
#include "store/errors.h"
#include "store/percent.h"
#include "store/s3_parts.h"
#include "store/s3_store.h"
#include "store/s3_xml.h"

namespace holdfast {
namespace {

constexpr int kBarrenPagesMax = 50;

Error bad_page(std::string_view why) {
    return {ErrorKind::unreachable, fmt::format("the list that the server gives {}", why),
            "check that the endpoint is an S3 server"};
}

}  // namespace

struct S3Store::Page {
    std::vector<ObjectInfo> objects;  // in the order of keys, each once
    std::string next;
    bool truncated = false;
    bool full = false;
};

Result<S3Store::Page> S3Store::list_page(std::string_view prefix, std::string const& token,
                                         std::string const& after, std::stop_token const& stop) {
    auto const& ours = client_.address().prefix;
    S3Request request{.method = "GET",
                      .query = {{"list-type", "2"},
                                {"prefix", ours + std::string(prefix)},
                                {"max-keys", std::to_string(options_.page_keys)},
                                {"encoding-type", "url"}}};
    if (!token.empty())
        request.query.emplace_back("continuation-token", token);
    else if (!after.empty())
        request.query.emplace_back("start-after", ours + after);

    Page page;
    auto read = [&](HttpAnswer const& answer) -> std::optional<Error> {
        page = {};
        if (auto error = s3::error_in_success(answer, "ListBucketResult"))
            return error;
        auto root = parse_xml(as_text(answer.body));
        bool encoded = root->text_of("EncodingType") == "url";
        std::uint64_t count = 0;
        for (auto const& item : root->children) {
            if (item.name != "Contents")
                continue;
            ++count;
            auto key = std::string(item.text_of("Key"));
            auto size = s3::parse_number(item.text_of("Size"));
            auto modified = parse_rfc3339(item.text_of("LastModified"));
            if (encoded) {
                auto decoded = decode_percent(key);
                if (!decoded)
                    return bad_page("holds a key that is badly encoded");
                key = std::move(*decoded);
            }
            if (key.empty() || !size || !modified)
                return bad_page("holds an entry without key, size or time");
            // What others keep there is none of ours.
            if (!key.starts_with(ours) || !is_object_key(key.substr(ours.size())))
                continue;
            key.erase(0, ours.size());
            if (key.starts_with(prefix))
                page.objects.push_back({ObjectKey(std::move(key)), *size, *modified});
        }
        auto told = s3::parse_number(root->text_of("KeyCount"));
        if (told && *told != count)
            return bad_page("lacks some of the keys that it counts");
        page.truncated = root->text_of("IsTruncated") == "true";
        page.next = std::string(root->text_of("NextContinuationToken"));
        page.full = count >= options_.page_keys;
        return std::nullopt;
    };
    request.fault = read;
    auto answer = client_.send(request, stop);
    if (!answer)
        return s3::failed(std::move(answer.error()));
    auto by_key = [](ObjectInfo const& a, ObjectInfo const& b) { return a.key < b.key; };
    std::ranges::stable_sort(page.objects, by_key);
    auto same = [](ObjectInfo const& a, ObjectInfo const& b) { return a.key == b.key; };
    page.objects.erase(std::unique(page.objects.begin(), page.objects.end(), same),
                       page.objects.end());
    return page;
}

Result<void> S3Store::list(std::string_view prefix,
                           std::function<Result<void>(ObjectInfo const&)> const& visit,
                           std::stop_token stop) {
    assert(is_object_key(std::string(prefix) + "x"));
    if (locks_)
        return list_first_versions(prefix, visit, stop);
    std::string last;  // visited last; keys up to it are repetitions
    std::string token;
    std::vector<std::string> seen;  // in the page before, in order
    int barren = 0;
    for (bool from_last = true;;) {
        TRY(store_errors::check(stop));
        auto page = TRY(list_page(prefix, token, from_last ? last : "", stop));
        bool fresh = false;
        std::vector<std::string> keys;
        for (auto const& object : page.objects) {
            TRY(store_errors::check(stop));
            auto const& key = object.key.text();
            keys.push_back(key);
            if (!last.empty() && key <= last) {
                // Not a repetition: one that the order of keys left behind. Never dropped silently.
                if (key != last && !std::ranges::binary_search(seen, key))
                    return fail(
                        bad_page("is not in the order of keys").within("list " + describe()));
                continue;
            }
            fresh = true;
            last = key;
            TRY(visit(object));
        }
        if (fresh) {
            seen = std::move(keys);
            barren = 0;
        } else if (++barren > kBarrenPagesMax) {
            return fail(bad_page("repeats its pages").within("list " + describe()));
        }
        if (!page.truncated) {
            // A full page that says it is the last: look.
            if (!page.full || !fresh)
                return {};
            token.clear();
            from_last = true;
            continue;
        }
        // A page that brings nothing new and leads nowhere else: go on from the last key instead.
        bool leads = !page.next.empty() && page.next != token;
        if (!leads && !fresh && token.empty() && from_last)
            return fail(bad_page("repeats its pages").within("list " + describe()));
        token = leads ? page.next : "";
        from_last = !leads;
    }
}

}  // namespace holdfast
