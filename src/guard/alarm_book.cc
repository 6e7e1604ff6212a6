#include "guard/alarm_book.h"

#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"
#include "os/file.h"

namespace holdfast::guard {
namespace {

constexpr std::string_view kHeader = "holdfast alarms 1\n";
constexpr std::size_t kFileBytesMax = 4 << 20;
constexpr Duration kToldAgainAfter = std::chrono::hours(24);

std::string shown(std::optional<Time> time) { return time ? to_rfc3339(*time) : "-"; }

Result<std::optional<Time>> parse_shown(std::string const& text) {
    if (text == "-") return std::optional<Time>();
    return std::optional<Time>(TRY(parse_rfc3339(text)));
}

}  // namespace

Result<std::unique_ptr<AlarmBook>> AlarmBook::open(std::filesystem::path file, Clock& clock) {
    std::error_code error;
    std::filesystem::create_directories(file.parent_path(), error);
    if (error) return fail(errno_error(fmt::format("make '{}'", printable(file.parent_path().native())), error.value()));
    std::unique_ptr<AlarmBook> book(new AlarmBook(std::move(file), clock));
    auto read = book->read();
    if (!read && read.error().kind == ErrorKind::damaged) {
        book->alarms_.clear();
        TRY(book->raise("alarms", read.error().message + ": what had been raised before was forgotten"));
        return book;
    }
    TRY(std::move(read));
    return book;
}

// A line for each alarm: id, since, told, ended, text, separated by tabs; printable() hides both tabs and line feeds.
Result<void> AlarmBook::read() {
    auto bytes = read_file(file_, kFileBytesMax);
    if (!bytes && bytes.error().kind == ErrorKind::not_found) return {};
    if (!bytes) return fail(std::move(bytes.error()));
    auto damaged = [&] { return fail(ErrorKind::damaged, fmt::format("'{}' is damaged", printable(file_.native()))); };
    auto text = as_text(*bytes);
    if (!text.starts_with(kHeader) || !text.ends_with('\n')) return damaged();
    text.remove_prefix(kHeader.size());
    for (auto const& line : split(text, '\n')) {
        if (line.empty()) continue;
        auto fields = split(line, '\t');
        if (fields.size() != 5) return damaged();
        auto id = from_printable(fields[0]), what = from_printable(fields[4]);
        auto since = parse_rfc3339(fields[1]);
        auto told = parse_shown(std::string(fields[2])), ended = parse_shown(std::string(fields[3]));
        if (!id || !what || !since || !told || !ended) return damaged();
        alarms_[*id] = {*what, *since, *told, *ended};
    }
    return {};
}

Result<void> AlarmBook::write() const {
    std::string text(kHeader);
    for (auto const& [id, alarm] : alarms_) {
        text += fmt::format("{}\t{}\t{}\t{}\t{}\n", printable(id), to_rfc3339(alarm.since), shown(alarm.told),
                            shown(alarm.ended), printable(alarm.text));
    }
    return write_file_durably(file_, as_bytes(text), 0600);
}

Result<void> AlarmBook::raise(std::string const& id, std::string const& text) {
    std::lock_guard lock(mutex_);
    auto [at, added] = alarms_.try_emplace(id, Alarm{text, clock_.now(), {}, {}});
    if (!added && !at->second.ended && at->second.text == text) return {};
    // Back before anybody heard that it had ended: it never did.
    at->second.ended.reset();
    at->second.text = text;
    return write();
}

Result<void> AlarmBook::clear(std::string const& id) {
    std::lock_guard lock(mutex_);
    auto at = alarms_.find(id);
    if (at == alarms_.end() || at->second.ended) return {};
    // Nobody was told that it began.
    if (at->second.told) at->second.ended = clock_.now();
    else alarms_.erase(at);
    return write();
}

std::size_t AlarmBook::raised() const {
    std::lock_guard lock(mutex_);
    std::size_t count = 0;
    for (auto const& [id, alarm] : alarms_) count += alarm.ended ? 0 : 1;
    return count;
}

Result<void> AlarmBook::deliver(std::string const& cause, Tell const& tell) {
    std::string begun, still, over;
    std::map<std::string, Alarm> told;
    std::size_t wrong = 0;
    auto now = clock_.now();
    {
        std::lock_guard lock(mutex_);
        for (auto const& [id, alarm] : alarms_) {
            auto line = fmt::format("- {}: {}\n", id, alarm.text);
            if (alarm.ended) {
                over += fmt::format("- {}: lasted {}\n", id, format_duration(*alarm.ended - alarm.since));
            } else {
                ++wrong;
                if (!alarm.told) begun += line;
                else if (now - *alarm.told >= kToldAgainAfter || *alarm.told > now)
                    still += fmt::format("- {} (since {}): {}\n", id, to_rfc3339(alarm.since), alarm.text);
                else continue;
            }
            told.emplace(id, alarm);
        }
    }
    if (told.empty()) return {};
    std::string text;
    if (!begun.empty()) text += "What is wrong now:\n" + begun + "\n";
    if (!still.empty()) text += "What is still wrong:\n" + still + "\n";
    if (!over.empty()) text += "What is over:\n" + over + "\n";
    text += "`holdfast status` shows how the objectives stand.\n";
    auto subject = wrong > 0 ? fmt::format("[holdfast] {}: {} alarm{}", cause, wrong, wrong == 1 ? "" : "s")
                             : fmt::format("[holdfast] {}: all is well again", cause);
    TRY(tell({subject, text}));
    std::lock_guard lock(mutex_);
    for (auto const& [id, before] : told) {
        // What changed while the message was on its way is told by the next one.
        auto at = alarms_.find(id);
        if (before.ended) {
            if (at != alarms_.end() && at->second.ended) alarms_.erase(at);
        } else if (at != alarms_.end()) {
            at->second.told = now;
        } else {
            alarms_[id] = {before.text, before.since, now, clock_.now()};
        }
    }
    return write();
}

}  // namespace holdfast::guard
