#include "sources/postgres/recovery_log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <mutex>

#include "base/text.h"
#include "base/units.h"
#include "formats/pg_wal_decoder.h"
#include "os/fd.h"
#include "os/file.h"
#include "os/machine.h"
#include "sources/postgres/recovery_settings.h"

namespace holdfast::postgres {
namespace {

namespace fs = std::filesystem;
using Kind = RecoveryTarget::Kind;

// Units that are fetched and opened ahead of the one that is written.
constexpr std::size_t kAhead = 4;
constexpr std::uint64_t kSpareBytes = 64u << 20;

// Fetches units in parallel and hands them over in their order.
class UnitReader {
  public:
    UnitReader(Repository& repository, LogPlan const& plan, std::vector<LogUnit> units, std::stop_token stop)
        : repository_(repository), plan_(plan), units_(std::move(units)), stop_(std::move(stop)) {}
    // Tasks refer to us.
    ~UnitReader() {
        executor().wait_until([this] {
            std::lock_guard lock(mutex_);
            return running_ == 0;
        });
    }

    std::vector<LogUnit> const& units() const { return units_; }

    Result<WalStretch> take(std::size_t number) {
        for (; asked_ < units_.size() && asked_ <= number + kAhead; ++asked_) ask(asked_);
        executor().wait_until([&] {
            std::lock_guard lock(mutex_);
            return ready_.contains(number);
        });
        std::lock_guard lock(mutex_);
        return std::move(ready_.extract(number).mapped());
    }

  private:
    Executor& executor() { return repository_.world().executor; }
    void ask(std::size_t number) {
        {
            std::lock_guard lock(mutex_);
            ++running_;
        }
        executor().post([this, number] {
            auto const& unit = units_[number];
            auto read = read_wal(repository_, plan_.log, unit.timeline, unit.first.value, unit.end.value, stop_);
            std::lock_guard lock(mutex_);
            ready_.emplace(number, std::move(read));
            --running_;
        });
    }

    Repository& repository_;
    LogPlan const& plan_;
    std::vector<LogUnit> const units_;
    std::stop_token stop_;
    std::size_t asked_ = 0;
    std::mutex mutex_;
    std::map<std::size_t, Result<WalStretch>> ready_;
    std::size_t running_ = 0;
};

// Looks for the target in the records as they pass.
class Search {
  public:
    Search(LogPlan const& plan, OnCommit const& on_commit)
        : plan_(plan), on_commit_(on_commit), decoder_({plan.from.value / plan.segment_bytes * plan.segment_bytes}, plan.segment_bytes) {
        findings.end = plan.from;
    }

    Result<void> feed(ByteView bytes) {
        return decoder_.feed(bytes, [this](WalRecord const& record) { return look(record); });
    }
    Result<void> finish() {
        return decoder_.finish([this](WalRecord const& record) { return look(record); });
    }
    // Why the records ended before the log did; empty when they did not.
    std::string const& broken() const { return decoder_.end_reason(); }

    LogFindings findings;

  private:
    // False when recovery ends here.
    Result<bool> look(WalRecord const& record) {
        // What the base backup brings with it is no target.
        if (record.start < plan_.from) return true;
        auto const& target = plan_.target;
        auto end = TRY(transaction_end(record));
        if (target.kind == Kind::time && end && end->time > target.time) return !(findings.reached = true);
        findings.end = record.end;
        if (end && end->committed) {
            findings.last_commit = std::max(findings.last_commit.value_or(end->time), end->time);
            if (on_commit_) on_commit_(record, *end);
        }
        if (target.kind == Kind::lsn) findings.reached = record.start >= target.lsn;
        if (target.kind == Kind::transaction) findings.reached = end && end->transaction == target.transaction;
        if (target.kind == Kind::name) {
            auto point = TRY(restore_point(record));
            findings.reached = point && point->name == target.name;
        }
        return !findings.reached;
    }

    LogPlan const& plan_;
    OnCommit const& on_commit_;
    WalDecoder decoder_;
};

std::unexpected<Error> ends_early(LogPlan const& plan, Lsn reachable, std::string const& why) {
    return fail(ErrorKind::damaged,
                fmt::format("the log ends at {}, although there is more behind it: {}", to_text(reachable), why),
                fmt::format("as far as it goes: lsn:{}; what else is damaged: holdfast verify", to_text(reachable)) +
                    (plan.target.kind == Kind::latest ? "" : "; or choose an earlier moment"));
}

// Goes through the log, checks it, and hands on each unit, until the target is found.
using OnUnit = std::function<Result<void>(LogUnit const& unit, ByteView bytes)>;
Result<LogFindings> go_through(Repository& repository, LogPlan const& plan, OnUnit const& on_unit, OnCommit const& on_commit,
                               std::stop_token stop) {
    UnitReader reader(repository, plan, units_of(plan.course, plan.part, plan.from, plan.reach, plan.segment_bytes), stop);
    Search search(plan, on_commit);
    auto const& units = reader.units();
    for (std::size_t i = 0; i < units.size() && !search.findings.reached; ++i) {
        if (stop.stop_requested()) return fail(ErrorKind::cancelled, "stopped");
        auto stretch = TRY(reader.take(i));
        auto expected = units[i].end.value - units[i].first.value;
        TRY(search.feed(stretch.bytes));
        bool whole = stretch.bytes.size() == expected;
        if (!whole && !search.findings.reached)
            return ends_early(plan, std::max(plan.from, search.findings.end),
                              stretch.damaged.empty() ? "a part of it is missing" : stretch.damaged.front().message);
        if (whole && i + 1 == units.size()) TRY(search.finish());
        if (!search.findings.reached && !search.broken().empty())
            return ends_early(plan, search.findings.end, search.broken());
        TRY(on_unit(units[i], stretch.bytes));
    }
    return search.findings;
}

class Placement {
  public:
    Placement(Repository& repository, LogPlan const& plan, fs::path data, ProgressCallback const& progress,
              std::stop_token stop)
        : repository_(repository), plan_(plan), data_(std::move(data)), progress_(progress), stop_(std::move(stop)) {}

    Result<PlacedLog> run() {
        TRY(look_at_place());
        auto on_unit = [this](LogUnit const& unit, ByteView bytes) { return write(unit, bytes); };
        placed_.found = TRY(go_through(repository_, plan_, on_unit, {}, stop_));
        if (!placed_.found.reached && (plan_.target.kind == Kind::transaction || plan_.target.kind == Kind::name))
            return fail(ErrorKind::not_found, fmt::format("the log holds no {}", to_text(plan_.target)));
        TRY(close_segment());
        for (auto const& [timeline, content] : plan_.histories)
            TRY(write_file(data_ / "pg_wal" / timeline_history_name(timeline), content));
        auto path = data_ / "postgresql.auto.conf";
        auto before = read_file(path, 16u << 20);
        if (!before && before.error().kind != ErrorKind::not_found) return fail(std::move(before).error());
        auto settings = with_recovery_settings(before ? as_text(*before) : "", plan_, !placed_.found.reached);
        TRY(write_file(path, as_bytes(settings)));
        // Without a target only a standby stays at the end of the log.
        bool stay = plan_.then == LogPlan::Then::stay;
        TRY(write_file(data_ / (stay ? "standby.signal" : "recovery.signal"), {}));
        TRY(fsync_directory(data_ / "pg_wal"));
        return placed_;
    }

  private:
    Result<void> look_at_place() {
        if (::stat((data_ / "PG_VERSION").c_str(), &owner_) != 0)
            return fail(errno_error("the restored cluster: PG_VERSION", errno));
        auto space = TRY(space_of(data_));
        if (space.available < plan_.bytes() + kSpareBytes)
            return fail(ErrorKind::no_space,
                        fmt::format("'{}' has room for {}, and the log has up to {}", printable(data_.native()),
                                    format_bytes(space.available), format_bytes(plan_.bytes())),
                        "make room, or choose a moment nearer to a base backup");
        return {};
    }

    Result<void> own(std::string const& path) {
        bool owned = ::geteuid() != 0 || ::chown(path.c_str(), owner_.st_uid, owner_.st_gid) == 0;
        if (!owned) return fail(errno_error(fmt::format("set the owner of '{}'", printable(path)), errno));
        return {};
    }

    Result<void> write_file(fs::path const& path, ByteView bytes) {
        TRY(write_file_durably(path, bytes, 0600));
        return own(path);
    }

    Result<void> write(LogUnit const& unit, ByteView bytes) {
        auto name = wal_segment_name(unit.timeline, unit.segment, plan_.segment_bytes);
        auto path = (data_ / "pg_wal" / name).native();
        if (path != path_) {
            TRY(close_segment());
            file_ = TRY(open_file(path, O_WRONLY | O_CREAT | O_TRUNC));
            path_ = path;
            // What the log does not fill is zeros.
            if (::ftruncate(file_.get(), plan_.segment_bytes) != 0)
                return fail(errno_error(fmt::format("make '{}'", printable(path)), errno));
            TRY(own(path));
            ++placed_.segments;
        }
        TRY(pwrite_full(file_, bytes, unit.first.value - unit.segment.value));
        placed_.bytes += bytes.size();
        if (progress_)
            progress_({.what = "log", .current = name, .files = placed_.segments, .files_total = 0,
                       .bytes = placed_.bytes, .bytes_total = plan_.bytes()});
        return {};
    }

    Result<void> close_segment() {
        if (path_.empty()) return {};
        TRY(fsync_file(file_, path_));
        file_ = Fd();
        path_.clear();
        return {};
    }

    Repository& repository_;
    LogPlan const& plan_;
    fs::path const data_;
    ProgressCallback const& progress_;
    std::stop_token stop_;
    struct stat owner_{};
    std::string path_;
    Fd file_;
    PlacedLog placed_;
};

}  // namespace

std::string to_text(RecoveryTarget const& target) {
    switch (target.kind) {
        case Kind::latest: return "the end of the log";
        case Kind::time: return to_rfc3339(target.time);
        case Kind::lsn: return "lsn:" + to_text(target.lsn);
        case Kind::transaction: return fmt::format("xid:{}", target.transaction);
        case Kind::name: return "name:" + printable(target.name);
    }
    return {};
}

Result<LogFindings> search_log(Repository& repository, LogPlan const& plan, std::stop_token stop, OnCommit const& on_commit) {
    return go_through(repository, plan, [](LogUnit const&, ByteView) -> Result<void> { return {}; }, on_commit, stop);
}

std::optional<Time> last_commit(Repository& repository, LogPlan const& plan, std::stop_token stop) {
    auto units = units_of(plan.course, plan.part, plan.from, plan.reach, plan.segment_bytes);
    std::optional<Time> last;
    for (std::size_t looked = 0; looked < kAhead && looked < units.size() && !last; ++looked) {
        auto const& unit = units[units.size() - 1 - looked];
        auto stretch = read_wal(repository, plan.log, unit.timeline, unit.first.value, unit.end.value, stop);
        if (!stretch) return std::nullopt;
        WalDecoder decoder(unit.first, plan.segment_bytes);
        auto look = [&](WalRecord const& record) -> Result<bool> {
            auto end = TRY(transaction_end(record));
            if (end && end->committed) last = std::max(last.value_or(end->time), end->time);
            return true;
        };
        auto decoded = decoder.feed(stretch->bytes, look);
        if (decoded) decoded = decoder.finish(look);
        if (!decoded) return std::nullopt;
    }
    return last;
}

Result<PlacedLog> place_log(Repository& repository, LogPlan const& plan, fs::path const& data,
                            ProgressCallback const& progress, std::stop_token stop) {
    return Placement(repository, plan, data, progress, std::move(stop)).run().within("bring the log");
}

}  // namespace holdfast::postgres
