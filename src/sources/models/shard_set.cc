#include "sources/models/shard_set.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unordered_set>

#include "base/text.h"
#include "formats/shard_index.h"
#include "os/file.h"
#include "sources/models/model_access.h"
#include "sources/models/model_file.h"

namespace holdfast {
namespace {

// Why the shard is not what the index says; nothing when it is.
Result<std::optional<Finding>> fault_of(std::string const& path, std::string const& name, std::vector<std::string> const& tensors) {
    auto finding = [&](Finding::Verdict verdict, std::string_view why) {
        return std::optional(Finding{.object = {}, .verdict = verdict, .detail = fmt::format("'{}' {}", printable(name), why)});
    };
    auto file = open_file(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW);
    if (!file && file.error().kind == ErrorKind::not_found) return finding(Finding::Verdict::damaged, "is missing");
    if (!file) return finding(Finding::Verdict::not_verified, "can't be opened");
    auto access = TRY(FileAccess::open(file->get()));
    auto model = TRY(read_model(access, name));
    auto verdict = finding_of(name, model);
    if (verdict.verdict != Finding::Verdict::verified) return finding(verdict.verdict, "is " + std::string(holdfast::name(verdict.verdict)));
    std::unordered_set<std::string_view> there;
    for (auto const& tensor : model.tensors) there.insert(tensor.name);
    for (auto const& tensor : tensors) {
        if (!there.contains(tensor)) return finding(Finding::Verdict::damaged, fmt::format("does not hold '{}'", printable(tensor)));
    }
    return std::optional<Finding>();
}

}  // namespace

bool is_shard_index(std::string_view name) { return name.ends_with(".index.json"); }

Result<Finding> inspect_shard_set(std::string const& path, std::string object) {
    Finding finding{.object = std::move(object), .verdict = Finding::Verdict::verified, .detail = {}};
    auto file = TRY(open_file(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW));
    auto access = TRY(FileAccess::open(file.get()));
    auto bytes = read_run(access, 0, access.size(), kShardIndexMax);
    if (!bytes && bytes.error().kind != ErrorKind::damaged) return fail(bytes.error());
    auto index = bytes ? parse_shard_index(*bytes) : Result<ShardIndex>(fail(bytes.error()));
    if (!index) {
        finding.verdict = index.error().kind == ErrorKind::unsafe ? Finding::Verdict::suspicious : Finding::Verdict::not_verified;
        finding.detail = "as an index of shards: " + index.error().message;
        return finding;
    }
    auto directory = parent_directory(path) + "/";
    std::size_t faults = 0;
    for (auto const& [name, tensors] : index->shards) {
        auto fault = TRY(fault_of(directory + name, name, tensors));
        if (!fault) continue;
        // The worst of them speaks for all.
        auto worse = [](Finding::Verdict verdict) {
            switch (verdict) {
                case Finding::Verdict::verified: return 0;
                case Finding::Verdict::not_verified: return 1;
                case Finding::Verdict::damaged: return 2;
                case Finding::Verdict::suspicious: return 3;
            }
            return 0;
        };
        if (faults++ == 0 || worse(fault->verdict) > worse(finding.verdict)) {
            finding.verdict = fault->verdict;
            finding.detail = fault->detail;
        }
    }
    if (faults == 0) finding.detail = fmt::format("a set of {} files, {} tensors", index->shards.size(), index->tensors);
    if (faults > 1) finding.detail += fmt::format(" (and {} more)", faults - 1);
    return finding;
}

}  // namespace holdfast
