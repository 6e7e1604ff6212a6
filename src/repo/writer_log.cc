#include "repo/writer_log.h"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>

#include "repo/json_object.h"
#include "repo/reserve.h"

namespace holdfast {
namespace {

constexpr std::size_t kNumberDigits = 12;
// An entry names a head per writer: some hundred bytes each.
constexpr std::uint64_t kEntryBytesMax = 16u << 20;

struct LogKey {
    BundleId writer;
    std::uint64_t n;
};

Result<LogKey> parse_log_key(std::string_view key) {
    auto wrong = [] { return fail(ErrorKind::damaged, "not the name of a log entry"); };
    if (!key.starts_with(kLogPrefix))
        return wrong();
    auto rest = key.substr(kLogPrefix.size());
    constexpr auto id_size = 2 * BundleId::kSize;
    if (rest.size() != id_size + 1 + kNumberDigits)
        return wrong();
    auto writer = BundleId::from_hex(rest.substr(0, id_size));
    auto digits = rest.substr(id_size + 1);
    std::uint64_t n = 0;
    auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), n);
    if (!writer || parsed.ptr != digits.data() + digits.size() || n == 0)
        return wrong();
    if (log_key(*writer, n) != key)
        return wrong();
    return LogKey{*writer, n};
}

std::string_view text(LogAction action) {
    return action == LogAction::made ? "made" : "dropped";
}

JsonObject to_json(LogHeads const& heads) {
    JsonObject json;
    for (auto const& [writer, head] : heads) {
        JsonObject one;
        one.set("n", head.n);
        one.set_hex("hash", head.hash);
        json.set(writer.hex(), one);
    }
    return json;
}

// Adds to `logs.damaged` what is wrong between an entry and the one before it.
void check_chain(BundleId const& writer, WriterLog const& log, std::uint64_t first, Logs& logs) {
    auto report = [&](std::uint64_t n, std::string message) {
        logs.damaged.push_back(
            {log_key(writer, n), Error{ErrorKind::damaged, std::move(message), {}}});
    };
    std::uint64_t expected = first;
    Hash32 const* before = nullptr;
    Hash32 const start{};
    if (first == 1)
        before = &start;
    for (auto const& [n, item] : log.items) {
        if (n > expected) {
            report(expected, n == expected + 1 ? std::string("log entry is missing")
                                               : fmt::format("log entries {} to {} are missing",
                                                             expected, n - 1));
            before = nullptr;
        }
        if (item.entry && before != nullptr && item.entry->previous != *before)
            report(n, "log entry does not follow the one before it");
        // What a damaged object hashes to says nothing about what was written.
        before = item.entry ? &item.hash : nullptr;
        expected = n + 1;
    }
}

}  // namespace

std::string log_prefix(BundleId const& writer) {
    return std::string(kLogPrefix) + writer.hex() + "/";
}

std::string log_key(BundleId const& writer, std::uint64_t n) {
    return fmt::format("{}{:012}", log_prefix(writer), n);
}

Bytes seal_log_entry(LogEntry const& entry, KeyBundle const& keys, Random& random) {
    JsonObject json;
    json.set("n", entry.n);
    json.set_hex("previous", entry.previous);
    json.set("action", text(entry.action));
    json.set_hex("point", entry.point.view());
    json.set_hex("dataset", entry.dataset.view());
    json.set("point_time", entry.point_time);
    json.set("time", entry.time);
    json.set("seen", to_json(entry.seen));
    return seal_document(DocumentKind::log, keys, as_bytes(json.dump()), random);
}

Result<LogEntry> open_log_entry(std::string_view key, ByteView object, KeyBundle const& keys,
                                CertificateLookup const& certificates) {
    auto name = TRY(parse_log_key(key));
    auto document = TRY(open_document(DocumentKind::log, keys, object, certificates));
    auto json = TRY(JsonObject::parse(as_text(document.plain)));
    LogEntry entry;
    entry.n = json.number("n");
    entry.previous = json.array<Hash32>("previous");
    auto action = json.text("action");
    entry.action = action == "made" ? LogAction::made : LogAction::dropped;
    entry.point = json.id<PointId>("point");
    entry.dataset = json.id<DatasetTag>("dataset");
    entry.point_time = json.time("point_time");
    entry.time = json.time("time");
    auto seen = json.object("seen");
    bool good = json.ok() && action == text(entry.action);
    for (auto const& writer : seen.names()) {
        auto one = seen.object(writer);
        auto id = BundleId::from_hex(writer);
        LogHead head{one.number("n"), one.array<Hash32>("hash")};
        good = good && id && one.ok();
        if (id)
            entry.seen[*id] = head;
    }
    if (!good)
        return fail(ErrorKind::damaged, "log entry is malformed");
    if (entry.n != name.n)
        return fail(ErrorKind::damaged, fmt::format("log entry is number {}", entry.n));
    if (document.signer.id != name.writer)
        return fail(ErrorKind::damaged,
                    "log entry is signed by another writer, " + document.signer.id.brief());
    return entry;
}

LogHeads Logs::heads() const {
    LogHeads heads;
    for (auto const& [writer, log] : writers) {
        for (auto item = log.items.rbegin(); item != log.items.rend(); ++item) {
            if (!item->second.entry) continue;
            heads[writer] = {item->first, item->second.hash};
            break;
        }
    }
    return heads;
}

std::map<LogClaim, std::string> Logs::contradictions(LogHeads const& remembered,
                                                     std::string_view witness) const {
    std::map<LogClaim, std::string> found;
    auto check = [&](BundleId const& writer, LogHead const& head, auto const& who) {
        auto log = writers.find(writer);
        auto last = log == writers.end() ? 0 : log->second.last;
        if (head.n > last) {
            found.emplace(LogClaim{writer, head},
                          fmt::format("the log of {} ends at {}, but {} saw entry {}",
                                      writer.brief(), last, who(), head.n));
            return;
        }
        // A number below the last that is not there, or that can't be read, is damage and reported
        // as such; one that is another entry is another history.
        auto item = log->second.items.find(head.n);
        if (item == log->second.items.end() || !item->second.entry)
            return;
        if (item->second.hash != head.hash)
            found.emplace(LogClaim{writer, head},
                          fmt::format("entry {} of the log of {} is not the one that {} saw",
                                      head.n, writer.brief(), who()));
    };
    for (auto const& [writer, head] : remembered)
        check(writer, head, [&] { return std::string(witness); });
    for (auto const& [witness, log] : writers) {
        auto who = [&] { return "the log of " + witness.brief(); };
        for (auto const& [n, item] : log.items) {
            if (!item.entry)
                continue;
            for (auto const& [writer, head] : item.entry->seen)
                check(writer, head, who);
        }
    }
    return found;
}

Result<Logs> read_logs(Store& store, KeyBundle const& keys, CertificateLookup const& certificates,
                       LogHeads const& since, Logs const* previous, std::stop_token stop) {
    Logs logs;
    auto first_of = [&](BundleId const& writer) -> std::uint64_t {
        auto head = since.find(writer);
        return head == since.end() ? 1 : std::max<std::uint64_t>(head->second.n, 1);
    };
    struct Wanted {
        LogKey key;
        std::string text;
    };
    std::vector<Wanted> wanted;
    auto visit = [&](ObjectInfo const& info) -> Result<void> {
        auto const& text = info.key.text();
        auto key = parse_log_key(text);
        if (!key) {
            logs.damaged.push_back({text, std::move(key).error()});
            return {};
        }
        auto& log = logs.writers[key->writer];
        log.last = std::max(log.last, key->n);
        if (info.size > kEntryBytesMax) {
            log.items[key->n];
            logs.damaged.push_back({text, {ErrorKind::damaged, "log entry is too long", {}}});
        } else if (key->n >= first_of(key->writer)) {
            wanted.push_back({*key, text});
        }
        return {};
    };
    TRY(store.list(kLogPrefix, visit, stop));

    for (auto const& [key, text] : wanted) {
        auto& log = logs.writers[key.writer];
        if (previous != nullptr) {
            auto known = previous->writers.find(key.writer);
            if (known != previous->writers.end()) {
                auto item = known->second.items.find(key.n);
                if (item != known->second.items.end() && item->second.entry) {
                    log.items[key.n] = item->second;
                    continue;
                }
            }
        }
        auto object = store.get(ObjectKey(text), stop);
        if (!object) {
            auto kind = object.error().kind;
            if (kind == ErrorKind::not_found)
                continue;  // shows as a gap, or as a shorter log
            if (kind != ErrorKind::damaged)
                return fail(std::move(object).error().within(text));
            log.items[key.n];
            logs.damaged.push_back({text, std::move(object).error()});
            continue;
        }
        auto& item = log.items[key.n];
        item.hash = sha256(*object);
        auto entry = open_log_entry(text, *object, keys, certificates);
        if (entry) {
            item.entry = std::move(*entry);
            item.roles = TRY(certificates(key.writer)).roles;
        } else if (entry.error().kind == ErrorKind::damaged) {
            logs.damaged.push_back({text, std::move(entry).error()});
        } else {
            return fail(std::move(entry).error().within(text));
        }
    }
    for (auto const& [writer, log] : logs.writers) {
        auto first = std::min(first_of(writer), log.last);
        check_chain(writer, log, first, logs);
    }
    return logs;
}

Result<LogHead> append_to_log(Store& store, KeyBundle const& keys, Random& random, Logs const& logs,
                              LogNote const& note, std::stop_token stop) {
    LogEntry entry;
    entry.seen = logs.heads();
    entry.seen.erase(keys.id);
    // Behind the last one even if it is damaged: numbers are never used twice.
    auto own = logs.writers.find(keys.id);
    if (own != logs.writers.end()) {
        entry.n = own->second.last;
        auto last = own->second.items.find(entry.n);
        if (last != own->second.items.end()) entry.previous = last->second.hash;
    }
    ++entry.n;
    entry.action = note.action;
    entry.point = note.point;
    entry.dataset = note.dataset;
    entry.point_time = note.point_time;
    entry.time = note.time;
    auto object = seal_log_entry(entry, keys, random);
    auto key = log_key(keys.id, entry.n);
    // A disk that is full can only be emptied after an entry says what is dropped.
    auto stored = note.action == LogAction::dropped ? put_from_reserve(store, ObjectKey(key), object, stop)
                                                    : store.put(ObjectKey(key), object, stop);
    TRY(std::move(stored).within(key));
    return LogHead{entry.n, sha256(object)};
}

}  // namespace holdfast
