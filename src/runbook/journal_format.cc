#include "runbook/journal_format.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <optional>

namespace holdfast::runbook {
namespace {

constexpr std::string_view kBeforeHash = R"({"hash":")";
constexpr std::string_view kBeforeRecord = R"(","record":)";
constexpr std::size_t kHashDigits = 64;
constexpr std::size_t kFrameBytes = kBeforeHash.size() + kHashDigits + kBeforeRecord.size() + 1;

constexpr std::array kEvents = {Event::begun,   Event::resumed, Event::started, Event::effect,
                                Event::failed,  Event::ended,   Event::skipped, Event::blocked,
                                Event::waiting, Event::decided, Event::stuck,   Event::finished};

Hash32 next_hash(Hash32 const& previous, std::string_view record) {
    Sha256 hash;
    hash.update(previous);
    hash.update(as_bytes(record));
    return hash.finish();
}

// The record's bytes when the line (without newline) is one that follows `hash`; else nothing.
std::optional<std::string_view> authentic(std::string_view line, Hash32 const& hash) {
    if (line.size() <= kFrameBytes || !line.starts_with(kBeforeHash) || !line.ends_with('}')) {
        return std::nullopt;
    }
    auto digits = line.substr(kBeforeHash.size(), kHashDigits);
    auto rest = line.substr(kBeforeHash.size() + kHashDigits);
    if (!rest.starts_with(kBeforeRecord))
        return std::nullopt;
    auto record = rest.substr(kBeforeRecord.size(), rest.size() - kBeforeRecord.size() - 1);
    if (to_hex(next_hash(hash, record)) != digits)
        return std::nullopt;
    return record;
}

Result<Record> parse_record(std::string_view text, std::uint64_t sequence) {
    auto value = TRY(plan::value_from_json(text));
    auto const* number = value.find("n");
    if (!number || !number->integer() ||
        static_cast<std::uint64_t>(*number->integer()) != sequence) {
        return fail(ErrorKind::damaged, "out of sequence");
    }
    Record record;
    record.sequence = sequence;
    record.time = TRY(parse_rfc3339(value.member_text("time")));
    auto event = value.member_text("event");
    auto known = std::find_if(kEvents.begin(), kEvents.end(),
                              [&](Event each) { return to_text(each) == event; });
    // The hash fits, so this was written by a program that knows more than this one.
    if (known == kEvents.end()) {
        return fail(ErrorKind::usage, fmt::format("newer: event '{}'", event),
                    "use the newer holdfast");
    }
    record.event = *known;
    record.step = value.member_text("step");
    if (auto const* details = value.find("details"))
        record.details = *details;
    return record;
}

Error damaged_at(std::uint64_t sequence, std::string_view why) {
    return {
        ErrorKind::damaged, fmt::format("record {}: {}", sequence, why),
        "its run cannot be resumed; look at journal.jsonl to see what was done, then start anew"};
}

}  // namespace

std::string_view to_text(Event event) {
    switch (event) {
        case Event::begun:
            return "begun";
        case Event::resumed:
            return "resumed";
        case Event::started:
            return "started";
        case Event::effect:
            return "effect";
        case Event::failed:
            return "failed";
        case Event::ended:
            return "ended";
        case Event::skipped:
            return "skipped";
        case Event::blocked:
            return "blocked";
        case Event::waiting:
            return "waiting";
        case Event::decided:
            return "decided";
        case Event::stuck:
            return "stuck";
        case Event::finished:
            return "finished";
    }
    return "begun";
}

Hash32 first_hash(std::string_view run) {
    return sha256(as_bytes("holdfast runbook journal 1:" + std::string(run)));
}

std::string encode(Record const& record, Hash32& hash) {
    Value value;
    value.set("n", static_cast<std::int64_t>(record.sequence));
    value.set("time", to_rfc3339(record.time));
    value.set("event", std::string(to_text(record.event)));
    if (!record.step.empty())
        value.set("step", record.step);
    if (!record.details.is_null())
        value.set("details", record.details);
    auto text = plan::to_json(value);
    hash = next_hash(hash, text);
    return fmt::format("{}{}{}{}}}\n", kBeforeHash, to_hex(hash), kBeforeRecord, text);
}

Result<DecodedJournal> decode(std::string_view bytes, std::string_view run) {
    DecodedJournal journal;
    journal.hash = first_hash(run);
    while (journal.good_bytes < bytes.size()) {
        auto rest = bytes.substr(journal.good_bytes);
        auto sequence = std::uint64_t{journal.records.size()};
        auto end = rest.find('\n');
        auto line = rest.substr(0, end);
        auto text = authentic(line, journal.hash);
        if (!text && end == std::string_view::npos) {
            // Cut off, unless all of it is there and only its newline became something else.
            bool whole = authentic(line.substr(0, line.size() - 1), journal.hash).has_value();
            if (whole)
                return fail(damaged_at(sequence, "its end was changed"));
            return journal;
        }
        if (!text)
            return fail(damaged_at(sequence, "it is not what was written"));
        auto record = parse_record(*text, sequence);
        if (!record.has_value() && record.error().kind == ErrorKind::usage &&
            record.error().message.starts_with("newer")) {
            return fail(std::move(record).error());
        }
        if (!record.has_value())
            return fail(damaged_at(sequence, record.error().message));
        journal.hash = next_hash(journal.hash, *text);
        journal.hashes.push_back(journal.hash);
        journal.records.push_back(std::move(*record));
        journal.newline_missing = end == std::string_view::npos;
        journal.good_bytes += line.size() + (journal.newline_missing ? 0 : 1);
    }
    return journal;
}

}  // namespace holdfast::runbook
