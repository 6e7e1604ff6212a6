#include "runbook/journal.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "os/file.h"
#include "runbook/journal_format.h"

namespace holdfast::runbook {
namespace {

namespace fs = std::filesystem;

constexpr char const* kFileName = "journal.jsonl";

Result<void> make_directory(fs::path const& directory) {
    if (::mkdir(directory.c_str(), 0700) == 0 || errno == EEXIST)
        return {};
    if (errno != ENOENT || !directory.has_parent_path() || directory.parent_path() == directory) {
        return fail(errno_error(fmt::format("make directory '{}'", directory.string()), errno));
    }
    TRY(make_directory(directory.parent_path()));
    return make_directory(directory);
}

Error no_such_run(fs::path const& state, std::string const& run) {
    return {ErrorKind::not_found, fmt::format("no run '{}' in '{}'", run, state.string()),
            "`holdfast resume` without a run lists them"};
}

Result<DecodedJournal> read(fs::path const& state, std::string const& run) {
    if (!is_run_id(run))
        return fail(no_such_run(state, run));
    auto bytes = read_file((run_directory(state, run) / kFileName).string(), kJournalBytesMax);
    if (!bytes.has_value()) {
        if (bytes.error().kind == ErrorKind::not_found)
            return fail(no_such_run(state, run));
        return fail(std::move(bytes).error());
    }
    auto journal =
        TRY(decode(as_text(*bytes), run).within(fmt::format("journal of run '{}'", run)));
    if (journal.records.empty()) {
        return fail(ErrorKind::not_found,
                    fmt::format("run '{}' never began: nothing of it was done", run),
                    "start it anew");
    }
    return journal;
}

}  // namespace

Journal::Journal(fs::path directory, std::string run, World world)
    : directory_(std::move(directory)), run_(std::move(run)), world_(std::move(world)) {
    hash_ = first_hash(run_);
}

Journal::~Journal() = default;

Result<void> Journal::lock() {
    lock_ = TRY(open_file(directory_.string(), O_RDONLY | O_DIRECTORY));
    if (::flock(lock_.get(), LOCK_EX | LOCK_NB) == 0)
        return {};
    if (errno != EWOULDBLOCK) {
        return fail(errno_error(fmt::format("lock '{}'", directory_.string()), errno));
    }
    return fail(ErrorKind::unsafe, fmt::format("run '{}': another process works on it", run_),
                "wait until it ends, or stop it first");
}

Result<std::unique_ptr<Journal>> Journal::create(fs::path const& state, std::string const& run,
                                                 Value first, World world) {
    auto directory = run_directory(state, run);
    auto runs = directory.parent_path();
    TRY(make_directory(runs));
    if (::mkdir(directory.c_str(), 0700) != 0) {
        return fail(errno_error(fmt::format("make directory '{}'", directory.string()), errno));
    }
    std::unique_ptr<Journal> journal(new Journal(directory, run, std::move(world)));
    TRY(journal->lock());
    journal->file_ =
        TRY(open_file((directory / kFileName).string(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND));
    TRY(journal->append(Event::begun, "", std::move(first)));
    for (auto const& each : {directory, runs, state})
        TRY(fsync_directory(each.string()));
    auto written = TRY(read(state, run));
    journal->records_ = std::move(written.records);
    return journal;
}

Result<std::unique_ptr<Journal>> Journal::open(fs::path const& state, std::string const& run,
                                               World world) {
    if (!is_run_id(run))
        return fail(no_such_run(state, run));
    auto directory = run_directory(state, run);
    struct stat status {};
    if (::stat(directory.c_str(), &status) != 0)
        return fail(no_such_run(state, run));
    std::unique_ptr<Journal> journal(new Journal(directory, run, std::move(world)));
    TRY(journal->lock());
    auto found = TRY(read(state, run));
    auto path = (directory / kFileName).string();
    journal->file_ = TRY(open_file(path, O_WRONLY | O_APPEND));
    if (::ftruncate(journal->file_.get(), static_cast<off_t>(found.good_bytes)) != 0) {
        return fail(errno_error(fmt::format("truncate '{}'", path), errno));
    }
    if (found.newline_missing)
        TRY(write_full(journal->file_, as_bytes("\n")));
    TRY(fsync_file(journal->file_, path));
    journal->hash_ = found.hash;
    journal->next_ = found.records.size();
    journal->records_ = std::move(found.records);
    return journal;
}

Result<Record> Journal::append(Event event, std::string_view step, Value details) {
    std::lock_guard lock(mutex_);
    auto what = fmt::format("journal of run '{}'", run_);
    if (broken_) {
        return fail(ErrorKind::io, what + ": it could not be written before",
                    "free space or mend the disk, then resume the run");
    }
    Record record{next_, world_.clock->now(), event, std::string(step), std::move(details)};
    auto hash = hash_;
    auto line = encode(record, hash);
    if (line.size() > kRecordBytesMax) {
        return fail(ErrorKind::internal, fmt::format("{}: a record of {} bytes, {} at most", what,
                                                     line.size(), kRecordBytesMax));
    }
    auto pass = [&](JournalPoint point) {
        if (world_.hook)
            world_.hook(point, record.sequence);
    };
    pass(JournalPoint::before_write);
    auto written = write_full(file_, as_bytes(line));
    if (written.has_value()) {
        pass(JournalPoint::after_write);
        // After a failed sync nothing is known about what is on disk, and repeating it proves
        // nothing.
        written = fsync_file(file_, (directory_ / kFileName).string());
    }
    if (!written.has_value()) {
        broken_ = true;
        return fail(std::move(written).error().within(what));
    }
    hash_ = hash;
    ++next_;
    pass(JournalPoint::after_sync);
    return record;
}

Result<std::vector<Record>> read_journal(fs::path const& state, std::string const& run) {
    auto journal = TRY(read(state, run));
    return std::move(journal.records);
}

Result<JournalEnd> read_journal_end(fs::path const& state, std::string const& run,
                                    std::optional<std::uint64_t> records) {
    auto journal = TRY(read(state, run));
    auto const wanted = records.value_or(journal.records.size());
    if (wanted == 0 || wanted > journal.hashes.size()) {
        return fail(ErrorKind::damaged, fmt::format("journal of run '{}': it has {} records and had {}", run,
                                                    journal.hashes.size(), wanted));
    }
    return JournalEnd{wanted, journal.hashes[wanted - 1]};
}

bool run_is_locked(fs::path const& state, std::string const& run) {
    auto directory = open_file(run_directory(state, run).string(), O_RDONLY | O_DIRECTORY);
    if (!directory.has_value())
        return false;
    return ::flock(directory->get(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

fs::path run_directory(fs::path const& state, std::string const& run) {
    return state / "runs" / run;
}

bool is_run_id(std::string_view text) {
    auto good = [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               c == '-';
    };
    return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), good);
}

}  // namespace holdfast::runbook
