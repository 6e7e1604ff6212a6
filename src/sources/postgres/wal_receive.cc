#include "sources/postgres/wal_receive.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "base/text.h"
#include "base/units.h"
#include "os/fd.h"
#include "os/machine.h"
#include "sources/postgres/base_backup_protocol.h"
#include "sources/postgres/same_system.h"
#include "sources/postgres/wal_protocol.h"
#include "sources/postgres/wal_start.h"
#include "sources/postgres/wal_upload.h"

namespace holdfast::postgres {
namespace {

constexpr std::string_view kObjectInUse = "55006", kNotInState = "55000";
constexpr auto kConnectRetryFirst = std::chrono::milliseconds(200), kConnectRetryMax = std::chrono::milliseconds(30000);
constexpr auto kStatusEvery = std::chrono::seconds(10);
constexpr int kWaitMilliseconds = 250;
// What is on its way when we are told to stop may still arrive.
constexpr auto kFarewell = std::chrono::seconds(5);
constexpr std::uint64_t kLagFirst = 256u << 20;

// Lets other threads end a poll(2).
class Wake {
  public:
    Wake() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
    int fd() const { return fd_.get(); }
    void ring() const {
        std::uint64_t one = 1;
        (void)!::write(fd_.get(), &one, sizeof one);
    }
    void clear() const {
        std::uint64_t count;
        (void)!::read(fd_.get(), &count, sizeof count);
    }

  private:
    Fd fd_;
};

// How much log the server may keep for us, and when to say that it becomes dangerous.
class LagWatch {
  public:
    // 0: without a limit.
    void set_limit(std::uint64_t bytes) { limit_ = bytes; }
    void set_directory(std::string path) { directory_ = std::move(path); }

    struct Word {
        std::string text;
        bool alarm = false;
    };
    // A word when another step was passed on the way up, and when all is well again.
    std::optional<Word> look(std::uint64_t lag) {
        unsigned step = 0;
        std::string why;
        if (limit_ > 0) {
            step = static_cast<unsigned>(std::min<std::uint64_t>(lag * 4 / limit_, 4));
            why = fmt::format("at {} it drops it (max_slot_wal_keep_size)", format_bytes(limit_));
        } else {
            for (auto bytes = kLagFirst; lag >= bytes && step < 32; bytes *= 2) ++step;
            why = "without a limit (max_slot_wal_keep_size)";
        }
        if (auto space = directory_.empty() ? fail(ErrorKind::not_found, "") : space_of(directory_)) {
            // Kept log has its room already; what comes needs more.
            if (space->available < lag || (lag > kLagFirst / 4 && space->available < space->total / 10)) {
                step = std::max(step, 3u);
                why = fmt::format("its disk has {} left", format_bytes(space->available));
            }
        }
        bool worse = step > step_;
        step_ = step;
        if (worse) {
            alarmed_ = true;
            return Word{fmt::format("the server keeps {} of log for us; {}", format_bytes(lag), why), true};
        }
        // Well below the first step, not just below it: else each wave would begin and end an alarm.
        auto first = limit_ > 0 ? limit_ / 4 : kLagFirst;
        if (!alarmed_ || step > 0 || lag > first / 2) return std::nullopt;
        alarmed_ = false;
        return Word{fmt::format("the server keeps no more than {} of log for us again", format_bytes(lag)), false};
    }

  private:
    std::uint64_t limit_ = 0;
    std::string directory_;
    unsigned step_ = 0;
    bool alarmed_ = false;
};

class Receiver {
  public:
    Receiver(Repository& repository, WalReceiveOptions const& options, std::stop_token stop)
        : repository_(repository), options_(options), stop_(std::move(stop)), clock_(repository.world().clock),
          slot_(options.slot.empty() ? slot_name(repository.keys(), options.dataset) : options.slot),
          on_stop_(stop_, [this] { wake_.ring(); }) {}

    Result<void> run() {
        auto wait = std::chrono::duration_cast<Duration>(kConnectRetryFirst);
        for (;;) {
            progressed_ = false;
            auto ended = session();
            tell_warnings();
            if (stop_.stop_requested()) return {};
            if (ended && done_) return {};
            if (ended) continue;  // at once: another place to begin, or another timeline
            auto const& error = ended.error();
            bool passing = error.kind == ErrorKind::unreachable || error.kind == ErrorKind::io;
            if (!passing) return ended;
            if (progressed_) wait = kConnectRetryFirst;
            if (progressed_ || error.message != last_error_)
                tell(WalEvent::Kind::disconnected, error.message, false);
            last_error_ = error.message;
            tell_if_down();
            if (!clock_.sleep(wait, stop_)) return {};
            wait = std::min<Duration>(wait * 2, kConnectRetryMax);
        }
    }

  private:
    // One connection, from its beginning to its end. A success: connect again at once.
    Result<void> session();
    Result<void> prepare(Connection& connection);
    Result<std::vector<TimelineBranch>> learn_histories(Connection& connection, std::uint32_t current);
    Result<void> store_history(std::uint32_t timeline, ByteView content);
    struct Begin {
        std::uint32_t timeline = 0;
        Lsn start;
    };
    Result<Begin> choose(Connection& connection, SystemIdentity const& identity);
    Result<Begin> begin_new(Connection& connection, SystemIdentity const& identity, std::optional<Lsn> had);
    void begin_upload(std::uint32_t timeline, Lsn durable);
    Result<void> ensure_slot(Connection& connection, bool had_log);
    Result<void> follow(Connection& connection, Begin begin);
    Result<void> receive(Connection& connection);
    Result<void> take(WalMessage const& message, Connection& connection);
    Result<bool> may_end(Connection& connection);
    Result<void> finish_timeline(Connection& connection);
    Result<void> send_status(Connection& connection);
    Result<void> refused(Connection& connection, Error error);
    void collect_leftovers();
    void tell(WalEvent::Kind kind, std::string message, bool alarm);
    void tell_warnings();
    void tell_if_down();
    void note_complete();
    void watch();

    Repository& repository_;
    WalReceiveOptions const& options_;
    std::stop_token stop_;
    Clock& clock_;
    std::string const slot_;
    Wake wake_;
    std::stop_callback<std::function<void()>> on_stop_;

    std::uint32_t segment_bytes_ = 0;
    WalLog log_;                       // when this run began; what came since is known to the upload
    std::uint32_t timeline_ = 0;       // that the upload is on; 0: none yet
    Lsn began_;                        // where it began, as choose_start() says
    std::set<Lsn> removed_;            // positions from which the server can't go on
    bool from_received_ = false;       // the server has not even the block in memory any more
    std::set<std::uint32_t> told_histories_;
    Lsn acknowledged_, server_end_, goal_;
    LagWatch lag_;
    Duration status_every_ = kStatusEvery, next_status_{}, next_tell_{}, next_look_{};
    bool progressed_ = false, done_ = false;
    std::string last_error_;
    std::optional<Duration> down_since_;  // no log comes in; nullopt: it does
    bool down_told_ = false, spool_fills_ = false;
    Duration heard_{};                    // when the server last said anything
    struct Mark {
        Time time;
        Lsn end;
    };
    std::optional<Mark> mark_;            // the server's end at a moment: once that is durable, so is all before the moment
    std::optional<Time> complete_;

    std::mutex warnings_mutex_;
    std::vector<std::string> warnings_;  // of the upload's threads

    std::unique_ptr<WalUpload> upload_;  // last: its threads use what is above
};

void Receiver::tell(WalEvent::Kind kind, std::string message, bool alarm) {
    options_.tell({kind, std::move(message), alarm, timeline_, acknowledged_, server_end_, complete_});
}

void Receiver::tell_warnings() {
    std::vector<std::string> all;
    {
        std::lock_guard lock(warnings_mutex_);
        all.swap(warnings_);
    }
    for (auto& text : all) tell(WalEvent::Kind::repository, std::move(text), upload_ && upload_->away_for().has_value());
}

void Receiver::tell_if_down() {
    if (!down_since_) down_since_ = clock_.elapsed();
    auto down = clock_.elapsed() - *down_since_;
    if (down_told_ || down < options_.down_alarm_after) return;
    down_told_ = true;
    tell(WalEvent::Kind::disconnected, fmt::format("no log was received for {}: {}", format_duration(down), last_error_), true);
}

void Receiver::note_complete() {
    if (!mark_ || acknowledged_ < mark_->end) return;
    complete_ = mark_->time;
    mark_.reset();
}

Result<void> Receiver::session() {
    auto connection = TRY(Connection::connect(options_.conninfo, {.replication = true}, stop_));
    auto identity = TRY(identify_system(connection, stop_));
    TRY(check_same_system(repository_, options_.dataset, identity.system_identifier, connection.name(), stop_));
    TRY(prepare(connection));
    server_end_ = std::max(server_end_, identity.position);
    if (options_.catch_up && goal_.value == 0) goal_ = identity.position;
    if (!upload_) {
        auto stream = cluster_log(repository_.keys(), options_.dataset, identity.system_identifier);
        WalUploadOptions upload{.block_bytes = std::min<std::uint64_t>(segment_bytes_, kWalObjectRawMax),
                                .pair = options_.pair,
                                .spool = options_.spool,
                                .spool_bytes_max = options_.spool_bytes_max,
                                .wake = [this] { wake_.ring(); },
                                .warn = [this](std::string const& text) {
                                    std::lock_guard lock(warnings_mutex_);
                                    warnings_.push_back(text);
                                }};
        upload_ = std::make_unique<WalUpload>(repository_, stream, upload);
        TRY(upload_->empty_spool(stop_));
        log_ = TRY(list_wal(repository_, stream, stop_));
        collect_leftovers();
    }
    auto begin = TRY(choose(connection, identity));
    return follow(connection, begin);
}

Result<void> Receiver::prepare(Connection& connection) {
    segment_bytes_ = TRY(show_segment_bytes(connection, stop_));
    // Before 13 there is no limit. A role without rights to see a setting goes without it.
    if (auto keep = connection.query_value("SHOW max_slot_wal_keep_size", stop_)) {
        auto bytes = parse_setting_bytes(*keep);
        lag_.set_limit(bytes ? *bytes : 0);
    }
    if (connection.is_local()) {
        if (auto directory = connection.query_value("SHOW data_directory", stop_)) lag_.set_directory(*directory + "/pg_wal");
    }
    status_every_ = kStatusEvery;
    if (auto timeout = connection.query_value("SHOW wal_sender_timeout", stop_)) {
        auto parsed = parse_duration(*timeout == "0" ? "1h" : *timeout);
        if (parsed) status_every_ = std::clamp<Duration>(*parsed / 4, std::chrono::milliseconds(50), kStatusEvery);
    }
    if (stop_.stop_requested()) return fail(ErrorKind::cancelled, "stopped");
    return {};
}

Result<void> Receiver::store_history(std::uint32_t timeline, ByteView content) {
    auto own = wal_history_name(repository_.keys(), timeline, content);
    if (auto known = log_.timelines.find(timeline); known != log_.timelines.end()) {
        for (auto const& name : known->second.histories) {
            if (name.content == own.content) return {};
            return fail(ErrorKind::unsafe,
                        fmt::format("timeline {} of the server came to be in another way than the one that is stored", timeline),
                        "two clusters of one system are being written: protect this one under another dataset name");
        }
    }
    if (!told_histories_.insert(timeline).second) return {};
    auto sealed = TRY(seal_wal_history(repository_, log_.stream, timeline, content, options_.pair));
    auto put = repository_.store().put(ObjectKey(sealed.key), sealed.parts(), stop_);
    if (!put && put.error().kind != ErrorKind::exists) {
        told_histories_.erase(timeline);
        return std::move(put).within("store the history of a timeline");
    }
    return {};
}

// Stores the histories of all timelines that the server came by.
Result<std::vector<TimelineBranch>> Receiver::learn_histories(Connection& connection, std::uint32_t current) {
    if (current == 1) return std::vector<TimelineBranch>();
    auto content = TRY(fetch_timeline_history(connection, current, stop_));
    auto branches = TRY(parse_timeline_history(as_text(content), current));
    for (auto const& branch : branches) {
        if (branch.timeline == 1) continue;
        auto older = fetch_timeline_history(connection, branch.timeline, stop_);
        // The current one tells all that is needed of it.
        if (!older && older.error().kind == ErrorKind::not_found) continue;
        if (!older) return fail(std::move(older).error());
        TRY(store_history(branch.timeline, *older));
    }
    TRY(store_history(current, content));
    return branches;
}

Result<Receiver::Begin> Receiver::choose(Connection& connection, SystemIdentity const& identity) {
    auto before = TRY(learn_histories(connection, identity.timeline));
    if (timeline_ != 0) {
        TRY(ensure_slot(connection, true));
        // What is in memory is sent again and compared. After a switch the server says itself where the next begins.
        bool known = timeline_ == identity.timeline ||
                     std::ranges::any_of(before, [&](auto const& branch) {
                         return branch.timeline == timeline_ && branch.end.value >= upload_->received();
                     });
        if (known) return Begin{timeline_, Lsn{from_received_ ? upload_->received() : upload_->block_start()}};
        return fail(ErrorKind::damaged,
                    fmt::format("the server left timeline {} before {}, up to which it had sent it", timeline_,
                                to_text(Lsn{upload_->received()})),
                    "it was recovered to an earlier moment, or a standby that lagged was promoted: start again to follow it");
    }
    auto start = choose_start(log_, before, identity.timeline);
    TRY(ensure_slot(connection, !start.from.empty()));
    for (auto position : start.from) {
        if (removed_.contains(position)) continue;
        begin_upload(start.timeline, position);
        return Begin{start.timeline, Lsn{upload_->block_start()}};
    }
    std::optional<Lsn> had;
    if (!start.from.empty()) had = start.from.back();
    return begin_new(connection, identity, had);
}

// The repository has nothing, or nothing that the server can go on from.
Result<Receiver::Begin> Receiver::begin_new(Connection& connection, SystemIdentity const& identity, std::optional<Lsn> had) {
    auto slot = TRY(read_slot(connection, slot_, stop_));
    auto start = slot.restart.value_or(identity.position);
    if (!slot.restart) {
        // Before 15 the slot does not say; the log of the last base backup is kept by it when it was made first.
        auto const points = TRY(repository_.points_of(options_.dataset, stop_));
        for (auto const& info : points.points) {
            auto found = info.point.attributes.find("lsn_start");
            auto lsn = found == info.point.attributes.end() ? fail(ErrorKind::not_found, "") : parse_lsn(found->second);
            if (lsn && !removed_.contains(*lsn)) start = *lsn;
        }
    }
    if (removed_.contains(start)) start = identity.position;
    begin_upload(identity.timeline, start);
    if (had)
        tell(WalEvent::Kind::gap,
             fmt::format("the log from {} to {} is missing for good: make a new base backup of '{}' (holdfast backup)",
                         to_text(*had), to_text(start), printable(options_.dataset)),
             true);
    return Begin{identity.timeline, Lsn{upload_->block_start()}};
}

void Receiver::begin_upload(std::uint32_t timeline, Lsn durable) {
    auto block = std::min<std::uint64_t>(segment_bytes_, kWalObjectRawMax);
    auto first = durable.value / block * block;
    WalUpload::Begin begin{timeline, first, first, {}};
    if (auto found = log_.timelines.find(timeline); found != log_.timelines.end()) {
        // What lies before `durable` in its block is there, or is received once more.
        if (found->second.contiguous_from(first) >= durable.value) begin.durable = durable.value;
        for (auto const& range : found->second.ranges)
            if (range.writer == repository_.keys().id && range.first >= first && range.end <= begin.durable)
                begin.parts.push_back(range);
    }
    upload_->begin(std::move(begin));
    began_ = durable;
    timeline_ = timeline;
    acknowledged_ = std::max(acknowledged_, Lsn{upload_->durable()});
}

Result<void> Receiver::ensure_slot(Connection& connection, bool had_log) {
    auto slot = TRY(read_slot(connection, slot_, stop_));
    // A slot that keeps nothing any more was invalidated.
    if (slot.exists && (slot.restart || connection.major() < 15)) return {};
    bool lost = had_log;
    if (slot.exists) TRY(drop_slot(connection, slot_, stop_));
    TRY(create_slot(connection, slot_, stop_));
    if (lost)
        tell(WalEvent::Kind::slot_lost,
             fmt::format("the replication slot '{}' was {}: the log may have a gap, and then a new base backup is needed",
                         slot_, slot.exists ? "invalidated" : "gone"),
             true);
    else
        tell(WalEvent::Kind::slot_made, fmt::format("the server keeps its log in the replication slot '{}'", slot_), false);
    return {};
}

// Parts whose whole a run before had stored when it was killed.
void Receiver::collect_leftovers() {
    auto block = std::min<std::uint64_t>(segment_bytes_, kWalObjectRawMax);
    for (auto const& [number, timeline] : log_.timelines) {
        for (auto const& whole : timeline.ranges) {
            if (whole.end - whole.first != block || whole.writer != repository_.keys().id) continue;
            std::vector<WalRangeName> parts;
            for (auto const& range : timeline.ranges)
                if (range != whole && range.writer == whole.writer && range.first >= whole.first && range.end <= whole.end)
                    parts.push_back(range);
            if (parts.empty()) continue;
            auto key = wal_key(log_.stream, whole);
            auto object = repository_.store().get(ObjectKey(key), stop_);
            if (!object || !check_wal(repository_, key, *object, stop_)) continue;
            for (auto const& part : parts) (void)repository_.store().discard(ObjectKey(wal_key(log_.stream, part)), stop_);
        }
    }
}

// Receives timeline after timeline, until the connection ends.
Result<void> Receiver::follow(Connection& connection, Begin begin) {
    for (;;) {
        TRY(connection.send(start_replication_command(slot_, begin.start, begin.timeline)));
        auto answer = connection.next_answer(stop_);
        if (!answer) return refused(connection, std::move(answer).error());
        if (answer->kind == Connection::ResultKind::copy_both) {
            tell(WalEvent::Kind::receiving,
                 fmt::format("receiving the log of {}, timeline {}, from {}", connection.name(), begin.timeline, to_text(begin.start)),
                 false);
            down_since_.reset();
            down_told_ = false;
            auto received = receive(connection);
            if (!received) return refused(connection, std::move(received).error());
            if (done_ || stop_.stop_requested()) return {};
            answer = connection.next_answer(stop_);
            if (!answer) return refused(connection, std::move(answer).error());
        }
        if (answer->kind != Connection::ResultKind::rows)
            return fail(ErrorKind::unreachable, fmt::format("PostgreSQL at {}: the server stops", connection.name()));
        // The timeline is over: the server says which one is next, and where it begins.
        auto const& rows = answer->rows.rows;
        if (rows.size() != 1 || rows[0].size() < 2 || !rows[0][0] || !rows[0][1])
            return fail(ErrorKind::damaged, "the server does not say which timeline is next");
        auto next = static_cast<std::uint32_t>(std::strtoul(rows[0][0]->c_str(), nullptr, 10));
        auto start = TRY(parse_lsn(*rows[0][1]));
        auto rest = TRY(connection.next_answer(stop_));
        while (rest.kind != Connection::ResultKind::none) rest = TRY(connection.next_answer(stop_));
        TRY(finish_timeline(connection));
        TRY(learn_histories(connection, next));
        auto ended = timeline_;
        begin_upload(next, start);
        begin = {next, Lsn{upload_->block_start()}};
        tell(WalEvent::Kind::timeline, fmt::format("timeline {} ended at {}: following timeline {}", ended, to_text(start), next), false);
    }
}

// What START_REPLICATION was answered with, or ended in.
Result<void> Receiver::refused(Connection& connection, Error error) {
    auto const& state = connection.last_sqlstate();
    if (state == kUndefinedFile && !progressed_ && timeline_ != 0) {
        // Where we wanted to go on is gone. What is in memory can't be, so this is a beginning.
        bool first = !from_received_ && upload_->received() > upload_->block_start();
        from_received_ = first;
        if (first) return {};
        removed_.insert(began_);
        timeline_ = 0;
        upload_.reset();
        return {};
    }
    if (state == kUndefinedObject || state == kNotInState) {
        // Dropped or invalidated while we were connected, or since.
        if (upload_) {
            auto ends = clock_.elapsed() + kFarewell;
            while (!upload_->drained() && clock_.elapsed() < ends && clock_.sleep(std::chrono::milliseconds(20), stop_)) {}
        }
        timeline_ = 0;
        upload_.reset();
        error.kind = ErrorKind::unreachable;
    }
    if (state == kObjectInUse) error.hint = "another receiver of this dataset runs, or the server has not noticed that one ended";
    return fail(std::move(error));
}

Result<void> Receiver::receive(Connection& connection) {
    next_status_ = {};
    heard_ = clock_.elapsed();
    next_tell_ = clock_.elapsed() + options_.tell_every;
    for (;;) {
        if (auto failure = upload_->failure()) return fail(*failure);
        auto durable = Lsn{upload_->durable()};
        if (durable > acknowledged_ || clock_.elapsed() >= next_status_) TRY(send_status(connection));
        tell_warnings();
        watch();
        bool over = TRY(may_end(connection));
        if (over) return {};

        bool room = upload_->has_room();
        Connection::CopyMessage message;
        if (room) message = TRY(connection.poll_copy());
        if (message.kind == Connection::CopyMessage::Kind::end) {
            (void)connection.end_copy();  // fails when the server ended with an error: the next answer tells
            return {};
        }
        if (message.kind == Connection::CopyMessage::Kind::data) {
            auto parsed = TRY(parse_wal_message(message.data));
            TRY(take(parsed, connection));
            continue;
        }
        pollfd entries[] = {{wake_.fd(), POLLIN, 0}, {connection.socket(), POLLIN, 0}};
        ::poll(entries, room ? 2 : 1, kWaitMilliseconds);
        wake_.clear();
    }
}

Result<void> Receiver::take(WalMessage const& message, Connection& connection) {
    server_end_ = std::max(server_end_, message.server_end);
    heard_ = clock_.elapsed();
    if (!mark_) mark_ = {clock_.now(), server_end_};
    if (message.is_data) {
        bool all = message.start.value + message.data.size() >= message.server_end.value;
        TRY(upload_->append(message.start.value, message.data,
                            all ? std::optional(message.server_time) : std::nullopt));
        progressed_ = true;
        from_received_ = false;
    }
    if (message.answer_wanted) TRY(send_status(connection));
    return {};
}

// Whether nothing more is to be received: all is durable then, as far as there is time for it.
Result<bool> Receiver::may_end(Connection& connection) {
    if (options_.catch_up && upload_->durable() >= goal_.value && upload_->received() >= goal_.value) {
        auto ends = clock_.elapsed() + kFarewell;
        while (!upload_->settled() && clock_.elapsed() < ends && clock_.sleep(std::chrono::milliseconds(10), stop_)) {}
        TRY(send_status(connection));
        done_ = true;
        return true;
    }
    if (!stop_.stop_requested()) return false;
    auto ends = clock_.elapsed() + kFarewell;
    while (!upload_->drained() && clock_.elapsed() < ends) clock_.sleep(std::chrono::milliseconds(10), {});
    TRY(send_status(connection));
    return true;
}

// The next timeline is begun when all of this one is durable.
Result<void> Receiver::finish_timeline(Connection& connection) {
    (void)connection;  // idle meanwhile: the server expects nothing of us between two commands
    upload_->close();
    while (!upload_->drained()) {
        if (auto failure = upload_->failure()) return fail(*failure);
        tell_warnings();
        if (!clock_.sleep(std::chrono::milliseconds(10), stop_)) return fail(ErrorKind::cancelled, "stopped");
    }
    return {};
}

Result<void> Receiver::send_status(Connection& connection) {
    acknowledged_ = std::max(acknowledged_, Lsn{upload_->durable()});
    note_complete();
    next_status_ = clock_.elapsed() + status_every_;
    // One that has nothing to send says nothing unless it is asked.
    bool silent = clock_.elapsed() - heard_ >= status_every_ / 2;
    return connection.put_copy(wal_status(acknowledged_, clock_.now(), silent));
}

void Receiver::watch() {
    if (clock_.elapsed() < next_look_) return;
    next_look_ = clock_.elapsed() + std::chrono::seconds(1);
    auto lag = server_end_.value > acknowledged_.value ? server_end_.value - acknowledged_.value : 0;
    note_complete();
    if (clock_.elapsed() >= next_tell_) {
        next_tell_ = clock_.elapsed() + options_.tell_every;
        tell(WalEvent::Kind::position,
             fmt::format("durable up to {}, {} behind the server", to_text(acknowledged_), format_bytes(lag)), false);
    }
    if (auto word = lag_.look(lag)) tell(WalEvent::Kind::lag, word->text, word->alarm);
    auto spooled = upload_->spooled_bytes();
    if (bool fills = spooled > 0 && spooled >= options_.spool_bytes_max / 2; fills != spool_fills_) {
        spool_fills_ = fills;
        tell(WalEvent::Kind::spool,
             fmt::format("the spool holds {} of {}{}", format_bytes(spooled), format_bytes(options_.spool_bytes_max),
                         fills ? ": when it is full, the server alone keeps the rest" : ""),
             fills);
    }
}

}  // namespace

std::string_view name(WalEvent::Kind kind) {
    switch (kind) {
        case WalEvent::Kind::receiving: return "receiving";
        case WalEvent::Kind::timeline: return "timeline";
        case WalEvent::Kind::disconnected: return "disconnected";
        case WalEvent::Kind::slot_made: return "slot-made";
        case WalEvent::Kind::slot_lost: return "slot-lost";
        case WalEvent::Kind::gap: return "gap";
        case WalEvent::Kind::repository: return "repository";
        case WalEvent::Kind::spool: return "spool";
        case WalEvent::Kind::lag: return "lag";
        case WalEvent::Kind::position: return "position";
    }
    return "position";
}

std::string slot_name(KeyBundle const& keys, std::string_view dataset) {
    return "holdfast_wal_" + dataset_tag(keys, dataset).hex().substr(0, 16);
}

Result<void> keep_log(Connection& connection, std::string const& slot, std::stop_token stop) {
    auto there = TRY(read_slot(connection, slot, stop));
    if (there.exists && connection.major() >= 15) return {};
    return create_slot(connection, slot, stop);
}

Result<void> receive_wal(Repository& repository, WalReceiveOptions const& options, std::stop_token stop) {
    return Receiver(repository, options, stop).run().within(fmt::format("receive the log of '{}'", printable(options.dataset)));
}

}  // namespace holdfast::postgres
