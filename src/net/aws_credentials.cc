#include "net/aws_credentials.h"

#include <algorithm>
#include <cstdlib>
#include <fmt/format.h>
#include <map>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "net/http.h"
#include "os/file.h"

namespace holdfast {
namespace {

constexpr std::size_t kFileBytesMax = 1 << 20;
constexpr auto kRenewBefore = std::chrono::minutes(5);
constexpr char kMetadata[] = "http://169.254.169.254";

std::string_view trimmed(std::string_view text) {
    auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
    while (!text.empty() && blank(text.front()))
        text.remove_prefix(1);
    while (!text.empty() && blank(text.back()))
        text.remove_suffix(1);
    return text;
}

// Texts that may be secret; wiped.
struct Fields : std::map<std::string, std::string> {
    Fields() = default;
    Fields(Fields&&) = default;
    ~Fields() {
        for (auto& [name, value] : *this)
            wipe(value);
    }
};

// The settings of one profile. Unknown lines are skipped, as AWS's tools do.
Fields read_profile(std::string_view text, std::string_view profile) {
    Fields fields;
    bool ours = false;
    while (!text.empty()) {
        auto end = text.find('\n');
        auto line = trimmed(text.substr(0, end));
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        if (line.empty() || line.front() == '#' || line.front() == ';')
            continue;
        if (line.front() == '[' && line.back() == ']') {
            auto name = trimmed(line.substr(1, line.size() - 2));
            if (name.starts_with("profile "))
                name = trimmed(name.substr(8));
            ours = name == profile;
            continue;
        }
        auto equals = line.find('=');
        if (ours && equals != std::string_view::npos) {
            fields[std::string(trimmed(line.substr(0, equals)))] =
                std::string(trimmed(line.substr(equals + 1)));
        }
    }
    return fields;
}

// The texts of a JSON object; empty when it is none.
Fields read_json(std::string_view text) {
    Fields fields;
    auto parsed = nlohmann::json::parse(text.begin(), text.end(), nullptr, false);
    if (!parsed.is_object())
        return fields;
    for (auto const& [name, value] : parsed.items()) {
        if (value.is_string())
            fields[name] = value.get<std::string>();
    }
    return fields;
}

bool is_plain(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f; });
}

// Takes what `fields` have under these names.
Result<AwsCredentials> make(Fields fields, char const* access, char const* secret,
                            std::initializer_list<char const*> tokens, std::string source) {
    AwsCredentials made;
    made.access_key = fields[access];
    made.secret_key = Secret(as_bytes(fields[secret]));
    for (auto const* token : tokens) {
        if (made.session_token.empty())
            made.session_token = fields[token];
    }
    auto bad = [&](std::string what) {
        return fail(ErrorKind::usage, fmt::format("credentials from {}: {}", source, what));
    };
    if (made.access_key.empty() || made.secret_key.empty())
        return bad("the access key or its secret is missing");
    if (!is_plain(made.access_key) || !is_plain(fields[secret]) || !is_plain(made.session_token))
        return bad("a key holds spaces or other characters that no key has");
    if (made.access_key.size() > 256 || made.access_key.find('/') != std::string::npos)
        return bad("this is no access key");
    if (auto const& text = fields["Expiration"]; !text.empty())
        made.expires = TRY(parse_rfc3339(text).within("credentials from " + source));
    made.source = std::move(source);
    return made;
}

std::string process_environment(char const* name) {
    auto const* value = std::getenv(name);
    return value ? value : "";
}

}  // namespace

AwsCredentialSource::AwsCredentialSource(AwsCredentialOptions options)
    : options_(std::move(options)) {
    if (!options_.environment)
        options_.environment = process_environment;
}

Result<std::shared_ptr<AwsCredentials const>> AwsCredentialSource::get(std::stop_token stop) {
    // Others wait: one renewal is enough for all.
    std::lock_guard const lock(mutex_);
    auto now = options_.clock.now();
    bool fresh =
        current_ && !stale_ && (!current_->expires || *current_->expires - now > kRenewBefore);
    if (fresh)
        return current_;
    auto found = find(stop);
    if (found) {
        current_ = std::make_shared<AwsCredentials const>(std::move(*found));
        stale_ = false;
        return current_;
    }
    if (current_ && !stale_ && current_->expires && *current_->expires > now)
        return current_;
    return fail(std::move(found.error()));
}

void AwsCredentialSource::expired(AwsCredentials const& used) {
    std::lock_guard const lock(mutex_);
    stale_ = stale_ || current_.get() == &used;
}

Result<AwsCredentials> AwsCredentialSource::find(std::stop_token stop) {
    auto const& environment = options_.environment;
    auto profile = options_.profile;
    if (profile.empty())
        profile = environment("AWS_PROFILE");
    if (options_.given) {
        auto text = TRY(options_.given(stop));
        return from_text(as_text(text.view()), profile.empty() ? "default" : profile, "the plan");
    }
    auto file = environment("AWS_SHARED_CREDENTIALS_FILE");
    if (auto home = environment("HOME"); file.empty() && !home.empty())
        file = home + "/.aws/credentials";
    if (!options_.profile.empty())
        return from_file(file, options_.profile);

    Fields fields;
    fields["id"] = environment("AWS_ACCESS_KEY_ID");
    fields["secret"] = environment("AWS_SECRET_ACCESS_KEY");
    fields["token"] = environment("AWS_SESSION_TOKEN");
    if (!fields["id"].empty() || !fields["secret"].empty())
        return make(std::move(fields), "id", "secret", {"token"}, "the environment");

    auto found = file.empty() ? fail(ErrorKind::not_found, "no home")
                              : from_file(file, profile.empty() ? "default" : profile);
    if (found || found.error().kind != ErrorKind::not_found || !profile.empty())
        return found;
    if (environment("AWS_EC2_METADATA_DISABLED") != "true") {
        auto fetched = from_metadata(stop);
        if (fetched || fetched.error().kind != ErrorKind::not_found)
            return fetched;
    }
    return fail(
        ErrorKind::usage, "there are no credentials for the object store",
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, write ~/.aws/credentials, or name "
        "them in the plan (repositories.NAME.credentials)");
}

Result<AwsCredentials> AwsCredentialSource::from_text(std::string_view text,
                                                      std::string const& profile,
                                                      std::string source) {
    if (trimmed(text).starts_with('{')) {
        return make(read_json(text), "AccessKeyId", "SecretAccessKey", {"SessionToken", "Token"},
                    std::move(source));
    }
    auto fields = read_profile(text, profile);
    if (fields.empty()) {
        return fail(ErrorKind::usage, fmt::format("credentials from {}: there is no profile '{}'",
                                                  source, printable(profile)));
    }
    return make(std::move(fields), "aws_access_key_id", "aws_secret_access_key",
                {"aws_session_token"}, std::move(source));
}

Result<AwsCredentials> AwsCredentialSource::from_file(std::string const& path,
                                                      std::string const& profile) {
    auto bytes = TRY(read_file(path, kFileBytesMax).within("credentials"));
    auto found = from_text(as_text(bytes), profile, fmt::format("'{}'", printable(path)));
    wipe(bytes);
    return found;
}

// IMDSv2: "Use the Instance Metadata Service to access instance metadata", Amazon EC2 User Guide.
// not_found when nobody answers: we are on no instance, or on one without a role.
Result<AwsCredentials> AwsCredentialSource::from_metadata(std::stop_token stop) {
    auto base = options_.environment("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    if (base.empty())
        base = kMetadata;
    while (base.ends_with('/'))
        base.pop_back();
    HttpClient client({.connections_max = 1,
                       .connect_timeout = std::chrono::seconds(1),
                       .stall_timeout = std::chrono::seconds(3)});
    auto ask = [&](HttpRequest request) -> Result<std::string> {
        for (int attempt = 1;; ++attempt) {
            auto answer = client.send(request, stop);
            if (!answer && answer.error().error.kind == ErrorKind::cancelled)
                return fail(answer.error().error);
            if (answer && answer->status == 200)
                return to_text(answer->body);
            bool again = !answer || answer->status >= 500;
            if (!again || attempt == 3) {
                auto kind = current_ || (answer && answer->status != 404) ? ErrorKind::unreachable
                                                                          : ErrorKind::not_found;
                return fail(kind, answer ? fmt::format("the instance's metadata service says {}",
                                                       answer->status)
                                         : "the instance's metadata service does not answer");
            }
            if (!options_.clock.sleep(std::chrono::milliseconds(100) * attempt, stop))
                return fail(ErrorKind::cancelled, "stopped");
        }
    };
    auto token = TRY(ask({.method = "PUT",
                          .url = base + "/latest/api/token",
                          .headers = {{"X-aws-ec2-metadata-token-ttl-seconds", "300"}},
                          .answer_bytes_max = 4096}));
    if (!is_plain(token))
        return fail(ErrorKind::unreachable, "the instance's metadata service gave no token");
    std::pair<std::string, std::string> const proof{"X-aws-ec2-metadata-token", token};
    auto roles = base + "/latest/meta-data/iam/security-credentials/";
    auto role = TRY(ask({.url = roles, .headers = {proof}, .answer_bytes_max = 4096}));
    role = role.substr(0, role.find('\n'));
    auto text = TRY(ask(
        {.url = roles + percent_encode(role), .headers = {proof}, .answer_bytes_max = 64 << 10}));
    auto made = make(read_json(text), "AccessKeyId", "SecretAccessKey", {"Token"},
                     "the instance's metadata service");
    wipe(text);
    return made;
}

}  // namespace holdfast
