#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>

#include "net/sigv4.h"
#include "os/clock.h"

namespace holdfast {

struct AwsCredentialOptions {
    // The text of credentials that a plan names: like the shared file, or the JSON of a
    // `credential_process`. Asked again when they run out.
    std::function<Result<Secret>(std::stop_token)> given = {};
    // Of the shared file; empty: AWS_PROFILE, else "default". Named: comes before the environment.
    std::string profile = {};
    // Looks up a variable; empty when it is not set.
    std::function<std::string(char const*)> environment = {};
    Clock& clock = system_clock();
};

// Finds credentials as AWS's own tools do and keeps them fresh. The first that is there:
//   1. what the plan gives;
//   2. the profile of the shared file, when one is named;
//   3. AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN;
//   4. the shared file (AWS_SHARED_CREDENTIALS_FILE, ~/.aws/credentials), profile "default";
//   5. the instance's metadata service (IMDSv2), unless AWS_EC2_METADATA_DISABLED is "true".
// Secrets never stand in errors. Thread-safe.
class AwsCredentialSource {
  public:
    explicit AwsCredentialSource(AwsCredentialOptions options);

    // Renews what runs out within five minutes; while a renewal fails, what is still valid serves.
    // usage when there are none, unreachable when they could not be fetched.
    Result<std::shared_ptr<AwsCredentials const>> get(std::stop_token stop);
    // The server says that these have expired: the next get() looks for others.
    void expired(AwsCredentials const& used);

  private:
    Result<AwsCredentials> find(std::stop_token stop);
    Result<AwsCredentials> from_text(std::string_view text, std::string const& profile,
                                     std::string source);
    Result<AwsCredentials> from_file(std::string const& path, std::string const& profile);
    Result<AwsCredentials> from_metadata(std::stop_token stop);

    AwsCredentialOptions options_;
    std::mutex mutex_;
    // Shared with the requests that are being signed with them.
    std::shared_ptr<AwsCredentials const> current_;
    bool stale_ = false;
};

}  // namespace holdfast
