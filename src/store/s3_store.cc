#include "store/s3_store.h"

#include <cassert>

#include "base/text.h"
#include "store/errors.h"
#include "store/s3_parts.h"

namespace holdfast {

using s3::failed;
using s3::is_missing;
using store_errors::check;

namespace {

constexpr int kPutAttempts = 5;
constexpr std::uint64_t kProbeBytesMax = 64 << 10;
constexpr std::uint64_t kCompareStepBytes = 8 << 20;

bool is_taken(S3Failure const& failure) {
    return failure.status == 412 || failure.status == 304;
}

// "bytes 5-9/100": first, last, whole size.
struct ContentRange {
    std::uint64_t first, last, size;
};
std::optional<ContentRange> parse_content_range(std::string_view text) {
    if (!text.starts_with("bytes "))
        return std::nullopt;
    text.remove_prefix(6);
    auto dash = text.find('-'), slash = text.find('/');
    if (dash == std::string_view::npos || slash == std::string_view::npos || slash < dash)
        return std::nullopt;
    auto first = s3::parse_number(text.substr(0, dash));
    auto last = s3::parse_number(text.substr(dash + 1, slash - dash - 1));
    auto size = s3::parse_number(text.substr(slash + 1));
    if (!first || !last || !size || *first > *last || *last >= *size)
        return std::nullopt;
    return ContentRange{*first, *last, *size};
}

Error no_object(ObjectKey const& key, std::string_view why) {
    return {ErrorKind::unreachable,
            fmt::format("object '{}': the server's answer is no object: {}", key.text(), why),
            {}};
}

// Whether an answer to GET is the whole object that was put.
std::optional<Error> fault_of_object(ObjectKey const& key, HttpAnswer const& answer) {
    if (answer.status != 200 || answer.header("etag").empty())
        return no_object(key, "it has no ETag");
    auto wanted = answer.header(s3::kHashHeader);
    if (!wanted.empty() && wanted != to_hex(sha256(answer.body))) {
        return Error{
            ErrorKind::damaged,
            fmt::format("object '{}': its bytes are not those that were put (SHA-256)", key.text()),
            {}};
    }
    return std::nullopt;
}

}  // namespace

S3Store::S3Store(S3StoreOptions options) : options_(std::move(options)), client_(options_.client) {
    constexpr std::uint64_t kPartBytesMin = 5 << 20;
    assert(options_.part_bytes >= kPartBytesMin && options_.parts_at_once > 0);
    assert(options_.page_keys >= 1 && options_.page_keys <= 1000);
}

Result<std::unique_ptr<S3Store>> S3Store::open(S3StoreOptions options, std::stop_token stop) {
    std::unique_ptr<S3Store> store(new S3Store(std::move(options)));
    auto context = fmt::format("open store '{}'", store->describe());
    TRY(store->find_bucket(stop).within(context));
    TRY(store->find_lock(stop).within(context));
    return store;
}

Result<void> S3Store::find_bucket(std::stop_token const& stop) {
    auto patience = options_.client.patience;
    patience.give_up_after = std::min(patience.give_up_after, options_.open_within);
    auto const& address = client_.address();
    S3Request look{.method = "GET",
                   .query = {{"list-type", "2"}, {"max-keys", "1"}, {"prefix", address.prefix}},
                   .fault = [](HttpAnswer const& answer) {
                       return s3::error_in_success(answer, "ListBucketResult");
                   }};
    auto found = client_.send(look, stop, patience);
    if (found)
        return {};
    if (found.error().code != "NoSuchBucket" || !options_.create)
        return failed(std::move(found.error()));

    std::string body;
    if (address.aws && address.region != "us-east-1") {
        body = fmt::format(
            "<CreateBucketConfiguration "
            "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><LocationConstraint>{}"
            "</LocationConstraint></CreateBucketConfiguration>",
            address.region);
    }
    ByteView const bytes = as_bytes(body);
    S3Request make{.method = "PUT", .body = {&bytes, 1}};
    if (options_.lock)
        make.headers.emplace_back("x-amz-bucket-object-lock-enabled", "true");
    auto made = client_.send(make, stop, patience);
    if (!made && made.error().code != "BucketAlreadyOwnedByYou")
        return failed(std::move(made.error()));
    return {};
}

Result<void> S3Store::put(ObjectKey const& key, std::span<ByteView const> parts,
                          std::stop_token stop) {
    return put_object(key, parts, stop);
}

Result<void> S3Store::put_object(ObjectKey const& key, std::span<ByteView const> parts,
                                 std::stop_token const& stop) {
    TRY(check(stop));
    if (!swept_.exchange(true))
        sweep_uploads(stop);
    auto size = total_size(parts);
    auto sha256 = s3::hex_sha256(parts);
    bool in_parts = size > options_.multipart_above;
    // Some servers (Ceph's 16 is one) take no lock with an upload in parts.
    auto finish = [&]() -> Result<void> {
        if (!in_parts || !options_.lock || !first_counts(key))
            return {};
        return lock_until(key, options_.client.clock.now() + *options_.lock, stop);
    };
    for (int attempt = 1; attempt <= kPutAttempts; ++attempt) {
        // A condition looks at the newest version, and what counts may lie below a delete marker.
        if (in_parts || conditional_ != Conditional::kept || first_counts(key)) {
            auto found = TRY(compare(key, parts, size, stop));
            if (found == Found::same)
                return finish();
            if (found == Found::other)
                return store_errors::taken(key);
        }
        bool const stored = TRY(in_parts ? put_in_parts(key, parts, size, sha256, stop)
                                         : put_whole(key, parts, size, sha256, stop));
        bool alone = stored;
        if (stored && first_counts(key)) {
            // Not every server keeps to the condition where keys have versions: the list tells who was first.
            auto versions = TRY(versions_of(key, stop));
            std::erase_if(versions, [](Version const& version) { return version.marker; });
            alone = versions.size() == 1;
        }
        if (alone)
            return finish();
        // Somebody has put it, and that may have been ourselves: an answer got lost.
        auto found = TRY(compare(key, parts, size, stop));
        if (found == Found::same)
            return finish();
        if (found == Found::other)
            return store_errors::taken(key);
    }
    return fail(ErrorKind::unreachable,
                fmt::format("put object '{}': it comes and goes in the store", key.text()));
}

Result<bool> S3Store::put_whole(ObjectKey const& key, std::span<ByteView const> parts,
                                std::uint64_t size, std::string const& sha256,
                                std::stop_token const& stop) {
    auto hash = TRY(from_hex(sha256));
    S3Request request{
        .method = "PUT",
        .key = key.text(),
        .headers = {{s3::kHashHeader, sha256}, {"x-amz-checksum-sha256", s3::base64(hash)}},
        .body = parts,
        .body_sha256 = sha256,
        .fault = [](HttpAnswer const& answer) { return s3::error_in_success(answer, ""); }};
    add_lock(request, key);
    auto plain = request;
    if (conditional_ != Conditional::ignored)
        request.headers.emplace_back("If-None-Match", "*");
    auto done = client_.send(request, stop);
    if (!done && done.error().status == 501 && conditional_ != Conditional::ignored) {
        conditional_ = Conditional::ignored;
        done = client_.send(plain, stop);
    }
    if (!done && is_taken(done.error()))
        return false;
    if (!done)
        return failed(std::move(done.error()));
    if (conditional_ == Conditional::unknown && size <= kProbeBytesMax) {
        // Harmless: the same bytes again.
        auto again = client_.send(request, stop);
        if (again)
            conditional_ = Conditional::ignored;
        else if (is_taken(again.error()))
            conditional_ = Conditional::kept;
    }
    return true;
}

// In one piece, whatever its size: parts would be put together under the condition that put() needs.
Result<void> S3Store::replace(ObjectKey const& key, ByteView bytes, std::stop_token stop) {
    TRY(check(stop));
    auto sha256 = s3::hex_sha256({&bytes, 1});
    auto hash = TRY(from_hex(sha256));
    S3Request request{
        .method = "PUT",
        .key = key.text(),
        .headers = {{s3::kHashHeader, sha256}, {"x-amz-checksum-sha256", s3::base64(hash)}},
        .body = {&bytes, 1},
        .body_sha256 = sha256,
        .fault = [](HttpAnswer const& answer) { return s3::error_in_success(answer, ""); }};
    add_lock(request, key);
    std::vector<Version> before;
    if (first_counts(key)) {
        before = TRY(versions_of(key, stop));
        TRY(check_unlocked(key, before, stop));
    }
    auto done = client_.send(request, stop);
    if (!done)
        return failed(std::move(done.error()));
    // Until they are gone the first of them counts.
    return delete_versions(key, before, stop);
}

// Byte by byte: what stands in an object's metadata was written by whoever put it.
Result<S3Store::Found> S3Store::compare(ObjectKey const& key, std::span<ByteView const> parts,
                                        std::uint64_t size, std::stop_token const& stop) {
    auto query = version_query(key, stop);
    if (!query && query.error().kind == ErrorKind::not_found)
        return Found::nothing;
    if (!query)
        return fail(std::move(query).error());
    auto answer = client_.send({.method = "HEAD", .key = key.text(), .query = std::move(*query)}, stop);
    if (!answer && answer.error().status == 404) {
        (void)missing_version(key);
        return Found::nothing;
    }
    if (!answer)
        return failed(std::move(answer.error()));
    if (s3::parse_number(answer->header("content-length")) != size)
        return Found::other;
    for (std::uint64_t at = 0; at < size; at += kCompareStepBytes) {
        auto length = std::min(kCompareStepBytes, size - at);
        auto got = read_range(key, at, length, stop);
        if (!got && got.error().kind == ErrorKind::not_found)
            return Found::nothing;
        if (!got)
            return fail(std::move(got.error()));
        ByteView rest = *got;
        for (auto piece : s3::slice(parts, at, length)) {
            if (!std::ranges::equal(piece, rest.first(piece.size())))
                return Found::other;
            rest = rest.subspan(piece.size());
        }
    }
    return Found::same;
}

Result<Bytes> S3Store::get(ObjectKey const& key, std::stop_token stop) {
    TRY(check(stop));
    auto query = TRY(version_query(key, stop));
    auto answer = client_.send(
        {.method = "GET",
         .key = key.text(),
         .query = query,
         .answer_bytes_max = s3::kObjectBytesMax,
         .fault = [&key](HttpAnswer const& answer) { return fault_of_object(key, answer); }},
        stop);
    if (!answer && is_missing(answer.error()))
        return missing_version(key);
    if (!answer)
        return failed(std::move(answer.error()));
    return std::move(answer->body);
}

Result<Bytes> S3Store::get_range(ObjectKey const& key, std::uint64_t offset, std::uint64_t length,
                                 std::stop_token stop) {
    TRY(check(stop));
    return read_range(key, offset, length, stop);
}

Result<Bytes> S3Store::read_range(ObjectKey const& key, std::uint64_t offset, std::uint64_t length,
                                  std::stop_token const& stop) {
    // No server can be asked for nothing, or beyond 2^63.
    bool odd = length == 0 || length > s3::kObjectBytesMax || offset > ~std::uint64_t{0} / 4;
    if (odd) {
        auto info = TRY(head_object(key, stop));
        if (!store_errors::in_range(info.size, offset, length))
            return store_errors::too_short(key, info.size, offset, length);
        if (length == 0)
            return Bytes();
        return fail(ErrorKind::damaged,
                    fmt::format("object '{}': {} bytes are more than any has", key.text(), length));
    }
    auto query = TRY(version_query(key, stop));
    // An object that ends earlier gives less, and says so.
    auto fault = [&](HttpAnswer const& answer) -> std::optional<Error> {
        auto range = parse_content_range(answer.header("content-range"));
        if (answer.status != 206 || !range)
            return no_object(key, "the range was not kept to");
        auto last = std::min(offset + length, range->size) - 1;
        if (range->first != offset || range->last != last ||
            answer.body.size() != last - offset + 1)
            return no_object(key, "it is another range");
        return std::nullopt;
    };
    auto answer = client_.send(
        {.method = "GET",
         .key = key.text(),
         .query = query,
         .headers = {{"Range", fmt::format("bytes={}-{}", offset, offset + length - 1)}},
         .answer_bytes_max = std::max<std::uint64_t>(length, 64 << 10),
         .fault = fault},
        stop);
    if (!answer && is_missing(answer.error()))
        return missing_version(key);
    if (!answer && answer.error().status == 416) {
        auto info = TRY(head_object(key, stop));
        if (!store_errors::in_range(info.size, offset, length))
            return store_errors::too_short(key, info.size, offset, length);
    }
    if (!answer)
        return failed(std::move(answer.error()));
    if (answer->body.size() < length) {
        auto size = parse_content_range(answer->header("content-range"))->size;
        return store_errors::too_short(key, size, offset, length);
    }
    return std::move(answer->body);
}

Result<ObjectInfo> S3Store::head(ObjectKey const& key, std::stop_token stop) {
    TRY(check(stop));
    return head_object(key, stop);
}

Result<ObjectInfo> S3Store::head_object(ObjectKey const& key, std::stop_token const& stop) {
    auto fault = [&](HttpAnswer const& answer) -> std::optional<Error> {
        if (!s3::parse_number(answer.header("content-length")) ||
            !parse_http_date(answer.header("last-modified")))
            return no_object(key, "it has no size or no time");
        return std::nullopt;
    };
    auto query = TRY(version_query(key, stop));
    auto answer = client_.send({.method = "HEAD", .key = key.text(), .query = query, .fault = fault}, stop);
    if (answer) {
        auto size = *s3::parse_number(answer->header("content-length"));
        auto modified = *parse_http_date(answer->header("last-modified"));
        return ObjectInfo{key, size, modified};
    }
    if (answer.error().status != 404)
        return failed(std::move(answer.error()));
    // It has no body that tells a missing object from a missing bucket; this has.
    auto why = client_.send(
        {.method = "GET", .key = key.text(), .query = query, .headers = {{"Range", "bytes=0-0"}}}, stop);
    if (!why && !is_missing(why.error()) && why.error().status != 416)
        return failed(std::move(why.error()));
    return missing_version(key);
}

Result<void> S3Store::remove(ObjectKey const& key, std::stop_token stop) {
    TRY(check(stop));
    if (first_counts(key)) {
        auto versions = TRY(versions_of(key, stop));
        return delete_versions(key, versions, stop);
    }
    auto done = client_.send({.method = "DELETE", .key = key.text()}, stop);
    if (!done && !is_missing(done.error()))
        return failed(std::move(done.error()));
    return {};
}

}  // namespace holdfast
