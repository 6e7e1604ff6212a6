#pragma once

// For tests: a real S3 server (Ceph's radosgw) on a free port of this machine, one for a whole test
// program.

#include <fmt/format.h>
#include <iostream>
#include <memory>

#include "os/child_process.h"
#include "store/test_directory.h"

namespace holdfast {

class Radosgw {
  public:
    // nullptr, with the reason in `why`, where it is not installed or does not start.
    static std::unique_ptr<Radosgw> start(std::string& why) {
        auto server = std::unique_ptr<Radosgw>(new Radosgw);
        auto child = ChildProcess::start(
            {.argv = {"/usr/bin/python3", "-B", HOLDFAST_FIXTURES "/s3/radosgw_server.py",
                      server->directory_.path() + "/cluster"}});
        if (!child) {
            why = child.error().message;
            return nullptr;
        }
        server->child_ = std::move(*child);
        for (int i = 0; i < 1800; ++i) {
            auto said = server->child_->output_tail();
            if (said.starts_with("port ") && said.ends_with('\n')) {
                server->port_ = std::stoi(said.substr(5));
                return server;
            }
            if (server->child_->wait(std::chrono::milliseconds(100)))
                break;
        }
        why = server->child_->output_tail();
        return nullptr;
    }
    // Of a bucket: an URL and what stands in the environment for it.
    std::string url(std::string const& place) const {
        return fmt::format("s3://{}?endpoint=http://127.0.0.1:{}", place, port_);
    }
    int port() const { return port_; }
    static constexpr char kAccessKey[] = "holdfast-test";
    static constexpr char kSecretKey[] = "holdfast-secret";

  private:
    Radosgw() = default;

    TestDirectory directory_;
    std::unique_ptr<ChildProcess> child_;
    int port_ = 0;
};

}  // namespace holdfast
