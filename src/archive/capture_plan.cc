#include "archive/capture_plan.h"

#include <cerrno>
#include <sys/stat.h>

#include "base/text.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

// One of the paths that were asked for, as it is.
struct Found {
    std::string named;  // without repeated and trailing '/'
    std::string real;   // no symlink, no "."
    bool directory = false;
};

Result<Found> resolve(std::string const& path) {
    if (!path.starts_with('/') || path.find('\0') != std::string::npos) {
        return fail(ErrorKind::usage, "the path '" + printable(path) + "' is not absolute");
    }
    Found found;
    bool dots = false;
    for (auto const& part : split(path, '/')) {
        if (part.empty()) continue;
        dots = dots || part == "." || part == "..";
        found.named += '/';
        found.named += part;
    }
    if (found.named.empty()) found.named = "/";
    struct stat status;
    if (::stat(path.c_str(), &status) != 0) {
        auto error = errno_error("'" + printable(path) + "'", errno);
        if (errno == ENOENT || errno == ENOTDIR) {
            return fail(ErrorKind::not_found, "'" + printable(path) + "' does not exist",
                        "check the path, and that its file system is mounted");
        }
        return fail(std::move(error));
    }
    std::error_code code;
    found.real = fs::canonical(path, code).string();
    if (code) return fail(errno_error("'" + printable(path) + "'", code.value()));
    if (dots) found.named = found.real;
    found.directory = S_ISDIR(status.st_mode);
    return found;
}

// `path` is `top` or lies below it.
bool within(std::string_view path, std::string_view top) {
    if (top == "/") return true;
    return path.starts_with(top) && (path.size() == top.size() || path[top.size()] == '/');
}

// Whether the walk from `found` passes over `path`, because it or a directory above it is excluded.
bool passes_over(PathFilter const& filter, Found const& found, std::string_view path) {
    auto top = found.real == "/" ? std::size_t{0} : found.real.size();
    auto named = found.named == "/" ? std::string() : found.named;
    for (auto at = top + 1; at <= path.size(); ++at) {
        if (at < path.size() && path[at] != '/') continue;
        auto below = path.substr(top, at - top);
        if (filter.excludes(path.substr(0, at)) || filter.excludes(named + std::string(below))) return true;
    }
    return false;
}

Result<void> check_forbidden(std::vector<Found> const& found, std::vector<std::string> const& forbidden,
                             PathFilter const& filter) {
    for (auto const& path : forbidden) {
        std::error_code code;
        auto real = fs::weakly_canonical(path, code).string();
        if (code) real = path;
        while (real.size() > 1 && real.ends_with('/')) real.pop_back();
        for (auto const& source : found) {
            if (within(source.real, real)) {
                return fail(ErrorKind::unsafe, "'" + printable(source.named) + "' lies inside '" +
                                                   printable(path) + "', which must not be backed up",
                            "name another path");
            }
            if (within(real, source.real) && !passes_over(filter, source, real)) {
                return fail(ErrorKind::unsafe,
                            "'" + printable(path) + "' lies inside '" + printable(source.named) +
                                "': a backup would contain itself",
                            "move it elsewhere, or exclude it: --exclude '" + printable(real) + "'");
            }
        }
    }
    return {};
}

void want(CaptureNode& top, Found const& found, std::string_view below) {
    auto* node = &top;
    for (auto const& part : split(below, '/')) {
        if (!part.empty()) node = &node->children[part];
    }
    node->wanted = true;
    node->named = found.named;
}

}  // namespace

Result<CapturePlan> plan_capture(BackUpOptions const& options, PathFilter const& filter) {
    if (options.paths.empty()) return fail(ErrorKind::usage, "no path to back up");
    CapturePlan plan;
    std::vector<Found> found;
    std::optional<Error> first;
    for (auto const& path : options.paths) {
        auto one = resolve(path);
        if (!one && one.error().kind == ErrorKind::usage) return fail(std::move(one.error()));
        if (one) {
            found.push_back(std::move(*one));
            continue;
        }
        plan.missing.push_back({path, one.error().message});
        // What exists and can't be reached says more than what does not exist.
        if (!first || first->kind == ErrorKind::not_found) first = std::move(one.error());
    }
    if (found.empty()) return fail(std::move(*first));
    TRY(check_forbidden(found, options.forbidden, filter));
    if (options.paths.size() > 1) {
        plan.base = "/";
        for (auto const& one : found) want(plan.top, one, one.real);
    } else if (found[0].directory) {
        plan.base = found[0].named;
        plan.top.wanted = true;
        plan.top.named = found[0].named;
    } else {
        fs::path real = found[0].real;
        plan.base = real.parent_path().string();
        want(plan.top, found[0], real.filename().string());
    }
    return plan;
}

}  // namespace holdfast
