#pragma once

#include <functional>
#include <string>

#include "base/result.h"

namespace holdfast {

// Where a repository lies in an object store, from its URL:
//
//   s3://BUCKET[/PREFIX][?NAME=VALUE[&…]]
//   region=NAME      else AWS_REGION, AWS_DEFAULT_REGION, us-east-1
//   endpoint=URL     http(s)://host[:port] of a server that is not AWS
//   style=path|virtual   how the bucket is named; without it, path with an endpoint, else virtual
//   ca=/FILE         authorities to trust instead of the system's (PEM); else AWS_CA_BUNDLE
//   profile=NAME     of the shared credentials file
//
// Values may be percent-encoded. Credentials never stand here.
struct S3Address {
    std::string bucket;
    std::string prefix;  // "" or ends with a slash
    std::string region;
    std::string scheme;  // http or https
    std::string host;  // with the port when it is not the scheme's own, and the bucket when virtual
    bool path_style = false;
    bool aws = false;  // Amazon's own, not another server
    std::string ca_file;
    std::string profile;

    // "s3://bucket/prefix"
    std::string describe() const;
    // The encoded path of a key (below the prefix) or, empty, of the bucket.
    std::string path_of(std::string_view key) const;
};

// usage with a hint on anything that is no such URL.
Result<S3Address> parse_s3_url(std::string_view url,
                               std::function<std::string(char const*)> const& environment);

}  // namespace holdfast
