#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "crypto/crypto.h"
#include "os/clock.h"
#include "os/fd.h"
#include "plan/value.h"

namespace holdfast::runbook {

// The format that a run's first record names. A later one is refused.
inline constexpr std::int64_t kJournalFormat = 1;

using plan::Value;

// What a record tells. `docs/runbooks.md` has the details of each.
enum class Event {
    begun,     // the run: its runbook, parameters, points
    resumed,   // the run, in another process
    started,   // an attempt at a step
    effect,    // the step is about to have it
    failed,    // an attempt, and there will be another one
    ended,     // the step: succeeded, failed or interrupted
    skipped,   // the step
    blocked,   // the step: what it depends on failed
    waiting,   // the step asks the operator
    decided,   // what the operator said
    stuck,     // the step does not stop; the process gave it up
    finished,  // the run, for now
};

struct Record {
    std::uint64_t sequence = 0;
    Time time;
    Event event = Event::begun;
    std::string step;  // empty: the run
    Value details;     // a map
};

std::string_view to_text(Event event);

// For tests: called around each record that is written.
enum class JournalPoint { before_write, after_write, after_sync };
using JournalHook = std::function<void(JournalPoint point, std::uint64_t sequence)>;

inline constexpr std::size_t kRecordBytesMax = 1 << 20;
inline constexpr std::size_t kJournalBytesMax = 256 << 20;

// The journal of one run: `<state>/runs/<run>/journal.jsonl`. Each line is
//     {"hash":"<64 hexadecimal digits>","record":{…}}
// where the hash is SHA-256 of the hash before it and the record's bytes; the first follows SHA-256
// of "holdfast runbook journal 1:" and the run's id. Records are only ever appended.
//
// While an object of this class exists, no other process can open the run for writing.
class Journal {
  public:
    struct World {
        Clock* clock = nullptr;
        JournalHook hook = {};
    };
    // Makes the run's directory (0700) and journal with its first record; on success both survive
    // power loss. `exists` when there is such a run.
    static Result<std::unique_ptr<Journal>> create(std::filesystem::path const& state,
                                                   std::string const& run, Value first,
                                                   World world);
    // Opens the journal of a run to go on with it. A last record that was cut off while it was
    // written is taken away: nothing followed from it. `unsafe` when another process works on the
    // run, not_found when there is no such run or it never began, `damaged` when anything else is
    // wrong.
    static Result<std::unique_ptr<Journal>> open(std::filesystem::path const& state,
                                                 std::string const& run, World world);
    ~Journal();

    // Appends a record. On success it survives power loss; on failure it may be there or not, and
    // the journal takes no further records. A record that is too large is refused with `internal`,
    // and nothing happened. Returns the record. Thread-safe.
    Result<Record> append(Event event, std::string_view step, Value details);

    // Those that were there when it was opened or created.
    std::vector<Record> const& records() const { return records_; }
    std::filesystem::path const& directory() const { return directory_; }
    std::string const& run() const { return run_; }

  private:
    Journal(std::filesystem::path directory, std::string run, World world);
    Result<void> lock();

    std::filesystem::path directory_;
    std::string run_;
    World world_;
    Fd lock_;
    Fd file_;
    std::vector<Record> records_;

    std::mutex mutex_;  // guards what follows
    Hash32 hash_{};
    std::uint64_t next_ = 0;
    bool broken_ = false;
};

// The records of a run, whoever works on it; a last one that is not complete is left out.
// not_found, damaged.
Result<std::vector<Record>> read_journal(std::filesystem::path const& state,
                                         std::string const& run);

// How far a journal goes. Evidence names it, because records that are cut off at the end of a line do not show in the
// journal itself.
struct JournalEnd {
    std::uint64_t records = 0;
    Hash32 hash{};  // of the last of them
};
// Where the run's journal ends, or where its first `records` do: `damaged` when it has fewer. Errors as read_journal().
Result<JournalEnd> read_journal_end(std::filesystem::path const& state, std::string const& run,
                                    std::optional<std::uint64_t> records = {});

// Whether a process works on the run now.
bool run_is_locked(std::filesystem::path const& state, std::string const& run);

std::filesystem::path run_directory(std::filesystem::path const& state, std::string const& run);
// Letters, digits and '-': safe as a name in a directory.
bool is_run_id(std::string_view text);

}  // namespace holdfast::runbook
