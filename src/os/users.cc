#include "os/users.h"

#include <cerrno>
#include <fmt/format.h>
#include <grp.h>
#include <map>
#include <mutex>
#include <pwd.h>
#include <unistd.h>
#include <vector>

namespace holdfast {
namespace {

// Calls a getpw*_r or getgr*_r, with a buffer that grows until the entry fits. Groups with
// thousands of members exist, and so do broken name services: the buffer is bounded.
template <typename Entry, typename Call>
Result<std::optional<Entry>> look_up(std::string const& what, std::vector<char>& buffer,
                                     Call call) {
    constexpr std::size_t kBufferBytesMax = 16 << 20;
    buffer.resize(4096);
    while (true) {
        Entry entry{};
        Entry* found = nullptr;
        int error = call(&entry, buffer.data(), buffer.size(), &found);
        if (found)
            return std::optional(entry);
        switch (error) {
            case EINTR:
                continue;
            case ERANGE:
                if (buffer.size() >= kBufferBytesMax)
                    return fail(errno_error(what, error));
                buffer.resize(buffer.size() * 4);
                continue;
            // All of these mean "no such entry" with one name service or another: getpwnam(3).
            case 0:
            case ENOENT:
            case ESRCH:
            case EBADF:
            case EPERM:
                return std::optional<Entry>();
            default:
                return fail(errno_error(what, error));
        }
    }
}

Result<UserId> to_user(std::string const& what, Result<std::optional<passwd>> const& found) {
    if (!found)
        return fail(found.error());
    if (!*found)
        return fail(ErrorKind::not_found, what + ": no such user on this machine");
    auto const& entry = **found;
    return UserId{entry.pw_uid, entry.pw_gid, entry.pw_name, entry.pw_dir ? entry.pw_dir : ""};
}

Result<std::optional<group>> look_up_group(std::vector<char>& buffer, gid_t gid) {
    return look_up<group>(fmt::format("group {}", gid), buffer,
                          [&](auto... arguments) { return getgrgid_r(gid, arguments...); });
}

Result<std::optional<group>> look_up_group(std::vector<char>& buffer, std::string const& name) {
    return look_up<group>(fmt::format("group '{}'", name), buffer, [&](auto... arguments) {
        return getgrnam_r(name.c_str(), arguments...);
    });
}

// Remembers answers. The lookup runs outside of the lock: it may go to a slow directory server.
template <typename Key, typename Value>
class Memory {
  public:
    template <typename LookUp>
    std::optional<Value> find(Key const& key, LookUp look_up) {
        {
            std::lock_guard lock(mutex_);
            if (auto at = known_.find(key); at != known_.end())
                return at->second;
        }
        std::optional<Value> value = look_up();
        std::lock_guard lock(mutex_);
        return known_.emplace(key, std::move(value)).first->second;
    }

  private:
    std::mutex mutex_;
    std::map<Key, std::optional<Value>> known_;
};

}  // namespace

Result<UserId> lookup_user(std::string_view name) {
    std::vector<char> buffer;
    std::string text(name);
    auto what = fmt::format("user '{}'", name);
    return to_user(what, look_up<passwd>(what, buffer, [&](auto... arguments) {
                       return getpwnam_r(text.c_str(), arguments...);
                   }));
}

Result<UserId> lookup_user(uid_t uid) {
    std::vector<char> buffer;
    auto what = fmt::format("user {}", uid);
    return to_user(what, look_up<passwd>(what, buffer, [&](auto... arguments) {
                       return getpwuid_r(uid, arguments...);
                   }));
}

std::optional<std::string> user_name(uid_t uid) {
    static Memory<uid_t, std::string> memory;
    return memory.find(uid, [&]() -> std::optional<std::string> {
        auto user = lookup_user(uid);
        if (!user)
            return std::nullopt;
        return user->name;
    });
}

std::optional<uid_t> user_by_name(std::string_view name) {
    static Memory<std::string, uid_t> memory;
    return memory.find(std::string(name), [&]() -> std::optional<uid_t> {
        auto user = lookup_user(name);
        if (!user)
            return std::nullopt;
        return user->uid;
    });
}

std::optional<std::string> group_name(gid_t gid) {
    static Memory<gid_t, std::string> memory;
    return memory.find(gid, [&]() -> std::optional<std::string> {
        std::vector<char> buffer;
        auto found = look_up_group(buffer, gid);
        if (!found || !*found)
            return std::nullopt;
        return std::string((*found)->gr_name);
    });
}

std::optional<gid_t> group_by_name(std::string_view name) {
    static Memory<std::string, gid_t> memory;
    return memory.find(std::string(name), [&]() -> std::optional<gid_t> {
        std::vector<char> buffer;
        auto found = look_up_group(buffer, std::string(name));
        if (!found || !*found)
            return std::nullopt;
        return (*found)->gr_gid;
    });
}

}  // namespace holdfast
