// How S3Store puts large objects: in parts, several at a time.

#include <atomic>
#include <mutex>
#include <thread>

#include "base/text.h"
#include "store/errors.h"
#include "store/s3_parts.h"
#include "store/s3_store.h"
#include "store/s3_xml.h"

namespace holdfast {
namespace {

constexpr std::uint64_t kPartsMax = 10'000;  // of S3
constexpr int kSweepPagesMax = 10;

}  // namespace

Result<bool> S3Store::put_in_parts(ObjectKey const& key, std::span<ByteView const> parts,
                                   std::uint64_t size, std::string const& sha256,
                                   std::stop_token const& stop) {
    S3Request begin{.method = "POST",
                    .key = key.text(),
                    .query = {{"uploads", ""}},
                    .headers = {{s3::kHashHeader, sha256}},
                    .fault = [](HttpAnswer const& answer) {
                        return s3::error_in_success(answer, "InitiateMultipartUploadResult");
                    }};
    add_lock(begin, key);
    auto begun = client_.send(begin, stop);
    if (!begun)
        return s3::failed(std::move(begun.error()));
    auto root = TRY(parse_xml(as_text(begun->body)));
    auto upload = std::string(root.text_of("UploadId"));
    if (upload.empty())
        return fail(ErrorKind::unreachable,
                    fmt::format("put object '{}': the server names no upload", key.text()));

    auto list = upload_parts(key, parts, size, upload, stop);
    if (!list) {
        abort_upload(key.text(), upload);
        return fail(std::move(list.error()));
    }
    // Not all servers know a condition here. Looking again, now that only an instant is left, is
    // what can be done about those.
    if (auto found = compare(key, parts, size, stop); !found || *found != Found::nothing) {
        abort_upload(key.text(), upload);
        if (!found)
            return fail(std::move(found.error()));
        return false;
    }
    ByteView const body = as_bytes(*list);
    S3Request complete{.method = "POST",
                       .key = key.text(),
                       .query = {{"uploadId", upload}},
                       .body = {&body, 1},
                       .fault = [](HttpAnswer const& answer) {
                           return s3::error_in_success(answer, "CompleteMultipartUploadResult");
                       }};
    if (conditional_ != Conditional::ignored)
        complete.headers.emplace_back("If-None-Match", "*");
    auto done = client_.send(complete, stop);
    if (!done && done.error().status == 501) {
        complete.headers.clear();
        done = client_.send(complete, stop);
    }
    if (done)
        return true;
    // An attempt before may have done it, and its answer got lost: the upload is gone then.
    bool gone = done.error().code == "NoSuchUpload" || done.error().status == 404;
    if (!gone)
        abort_upload(key.text(), upload);
    if (gone || done.error().status == 412) {
        auto found = TRY(compare(key, parts, size, stop));
        if (found != Found::nothing)
            return found == Found::same;
    }
    return s3::failed(std::move(done.error()));
}

// Uploads all parts; returns the list of them that completes the upload.
Result<std::string> S3Store::upload_parts(ObjectKey const& key, std::span<ByteView const> parts,
                                          std::uint64_t size, std::string const& upload,
                                          std::stop_token const& stop) {
    auto part_bytes = std::max(options_.part_bytes, (size + kPartsMax - 1) / kPartsMax);
    auto count = (size + part_bytes - 1) / part_bytes;
    std::vector<std::string> tags(count);
    std::atomic<std::uint64_t> next = 0;
    std::mutex mutex;
    std::optional<Error> failure;
    // The first failure stops the other parts, as our caller does.
    std::stop_source end;
    std::stop_callback const pass_on(stop, [&end] { end.request_stop(); });
    auto work = [&] {
        for (auto part = next++; part < count; part = next++) {
            auto offset = part * part_bytes;
            auto bytes = s3::slice(parts, offset, std::min(part_bytes, size - offset));
            auto done = client_.send(
                {.method = "PUT",
                 .key = key.text(),
                 .query = {{"partNumber", std::to_string(part + 1)}, {"uploadId", upload}},
                 .body = bytes,
                 .fault = [](HttpAnswer const& answer) -> std::optional<Error> {
                     if (auto error = s3::error_in_success(answer, ""))
                         return error;
                     if (answer.header("etag").empty())
                         return Error{ErrorKind::unreachable, "the server gives no ETag", {}};
                     return std::nullopt;
                 }},
                end.get_token());
            if (done) {
                tags[part] = done->header("etag");
                continue;
            }
            std::lock_guard const lock(mutex);
            if (!failure)
                failure = std::move(done.error().error);
            end.request_stop();
            return;
        }
    };
    {
        std::vector<std::jthread> threads;
        for (std::uint64_t i = 1; i < std::min<std::uint64_t>(options_.parts_at_once, count); ++i)
            threads.emplace_back(work);
        work();
    }
    if (failure)
        return fail(std::move(*failure));
    std::string list = "<CompleteMultipartUpload>";
    for (std::uint64_t part = 0; part < count; ++part) {
        list += fmt::format("<Part><PartNumber>{}</PartNumber><ETag>{}</ETag></Part>", part + 1,
                            escape_xml(tags[part]));
    }
    return list + "</CompleteMultipartUpload>";
}

// Also when our caller was stopped, but not for long: what stays is swept by a later run.
void S3Store::abort_upload(std::string const& key, std::string const& upload) {
    auto patience = options_.client.patience;
    patience.give_up_after = std::min<Duration>(patience.give_up_after, std::chrono::seconds(5));
    (void)client_.send({.method = "DELETE", .key = key, .query = {{"uploadId", upload}}}, {},
                       patience);
}

// Aborts what dead processes left behind. Nothing depends on it: failures do not matter.
void S3Store::sweep_uploads(std::stop_token const& stop) {
    S3Patience const patience{.give_up_after = std::chrono::seconds(5)};
    auto const& ours = client_.address().prefix;
    std::string key_marker, upload_marker;
    for (int page = 0; page < kSweepPagesMax; ++page) {
        S3Request request{.method = "GET", .query = {{"uploads", ""}, {"prefix", ours}}};
        if (!key_marker.empty()) {
            request.query.emplace_back("key-marker", key_marker);
            request.query.emplace_back("upload-id-marker", upload_marker);
        }
        auto answer = client_.send(request, stop, patience);
        if (!answer)
            return;
        auto root = parse_xml(as_text(answer->body));
        if (!root)
            return;
        // By the server's clock, which has dated them, too.
        auto now = parse_http_date(answer->header("date"));
        for (auto const& item : root->children) {
            auto key = std::string(item.text_of("Key"));
            auto begun = parse_rfc3339(item.text_of("Initiated"));
            bool old = now && begun && *now - *begun > options_.upload_abandoned_after;
            if (item.name != "Upload" || !old || !key.starts_with(ours) ||
                !is_object_key(key.substr(ours.size())))
                continue;
            abort_upload(key.substr(ours.size()), std::string(item.text_of("UploadId")));
        }
        key_marker = std::string(root->text_of("NextKeyMarker"));
        upload_marker = std::string(root->text_of("NextUploadIdMarker"));
        if (root->text_of("IsTruncated") != "true" || key_marker.empty())
            return;
    }
}

}  // namespace holdfast
