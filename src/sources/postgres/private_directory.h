#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "os/fd.h"
#include "os/users.h"

namespace holdfast::postgres {

// A directory (0700) for the socket, settings and log of a cluster that we start, which only the server's user can
// enter; removed with the object. As long as the object lives it holds a lock (flock) on a file in it, which
// the system releases when the process ends, however it ends: so what a killed process has left is told from what is
// used.
class PrivateDirectory {
  public:
    // Makes one below `parent`. Removes those first that killed processes have left there: ours by name, of this
    // user or of the server's, with a lock that nobody holds.
    static Result<PrivateDirectory> make(std::filesystem::path const& parent, std::optional<UserId> const& user);

    PrivateDirectory() = default;
    PrivateDirectory(PrivateDirectory&& other) noexcept;
    PrivateDirectory& operator=(PrivateDirectory&& other) noexcept;
    ~PrivateDirectory();

    std::string const& path() const { return path_; }
    // A file in it (0600) that the server's user can read.
    Result<void> write(std::string_view name, std::string_view text, std::optional<UserId> const& user) const;

  private:
    std::string path_;
    Fd lock_;
};

}  // namespace holdfast::postgres
