#include "repo/stored_repository.h"

#include <algorithm>

namespace holdfast {
namespace {

constexpr int kReadAttemptsMax = 3;

}  // namespace

Result<Logs> StoredRepository::read_logs_checked(Scope scope, std::stop_token stop) {
    // Before the store is read: what another process remembers meanwhile may be newer than that.
    auto remembered = heads_.load();
    if (!remembered) {
        if (!options_.accept_rollback || remembered.error().kind != ErrorKind::damaged)
            return fail(std::move(remembered).error());
        remembered = RememberedHeads{};
    }
    auto since = scope == Scope::all || options_.accept_rollback ? LogHeads{} : remembered->heads;
    for (int attempt = 1;; ++attempt) {
        Logs known;
        {
            std::lock_guard lock(mutex_);
            known = logs_;
        }
        auto logs = TRY(read_logs(store_, keys_, lookup(stop), since, &known, stop));
        {
            std::lock_guard lock(mutex_);
            for (auto const& [writer, log] : logs.writers)
                for (auto const& [n, item] : log.items)
                    if (item.entry)
                        logs_.writers[writer].items.insert_or_assign(n, item);
        }
        auto contradictions = logs.contradictions(remembered->heads);
        // How far the log of a removed key went stands in the ring.
        LogHeads removed;
        for (auto const& [writer, key] : known_ring().removed) {
            if (!key.removal.closing && key.removal.last_entry > 0)
                removed[writer] = {key.removal.last_entry, key.removal.last_hash};
        }
        contradictions.merge(logs.contradictions(removed, "the admin who removed its key"));
        std::erase_if(contradictions, [&](auto const& one) {
            return remembered->accepted.contains(one.first) || is_beyond_removal(one.first);
        });
        if (contradictions.empty())
            return logs;
        // An entry that was put while the logs were listed may have been seen by one that was
        // listed later. Another look tells.
        if (attempt < kReadAttemptsMax) {
            if (!world_.clock.sleep(std::chrono::milliseconds(100), stop))
                return fail(ErrorKind::cancelled, "stopped");
            continue;
        }
        if (!options_.accept_rollback)
            return fail(
                ErrorKind::damaged,
                "repository " + id().brief() + " in " + store_.describe() +
                    " went back in time: " + contradictions.begin()->second,
                "find out who put an older state in its place; --accept-rollback takes what "
                "it shows");
        for (auto const& [claim, sentence] : contradictions)
            notice("accepted although it went back in time: " + sentence);
        TRY(heads_.update(
            [&](RememberedHeads& mine) {
                mine.heads = logs.heads();
                for (auto const& [claim, sentence] : contradictions)
                    mine.accepted.insert(claim);
            },
            {.replace_damaged = true}));
        return logs;
    }
}

void StoredRepository::remember(LogHeads const& heads) {
    auto kept = heads_.update([&](RememberedHeads& mine) { mine.advance(heads); },
                              {.replace_damaged = options_.accept_rollback});
    // What was read or published stands without it; only the next rollback may go unnoticed.
    if (!kept)
        notice("where the logs end could not be remembered: " + kept.error().message);
}

Result<LogHead> StoredRepository::note_in_log(LogNote const& note, std::stop_token stop) {
    for (int attempt = 1;; ++attempt) {
        auto logs = TRY(read_logs_checked(Scope::ends, stop));
        auto head = append_to_log(store_, keys_, world_.random, logs, note, stop);
        if (!head && head.error().kind == ErrorKind::exists && attempt < kAppendAttemptsMax)
            continue;
        if (!head)
            return head;
        // State last: it must never tell of what the store does not have.
        auto heads = logs.heads();
        heads[keys_.id] = *head;
        remember(heads);
        return head;
    }
}

// What a removed key wrote too late is swept away one day, and nobody shall miss it.
LogHeads StoredRepository::lasting_heads(Logs const& logs, KeyRing const& ring) {
    auto heads = logs.heads();
    for (auto const& [writer, key] : ring.removed) {
        auto head = heads.find(writer);
        if (head != heads.end() && !key.counts(head->second.n))
            heads.erase(head);
    }
    return heads;
}

bool StoredRepository::is_beyond_removal(LogClaim const& claim) const {
    std::lock_guard lock(mutex_);
    auto key = ring_.ring.removed.find(claim.writer);
    return key != ring_.ring.removed.end() && !key->second.counts(claim.head.n);
}

// Whether this machine's clock is before a time at which an admin's clock has been. Receipts by such a
// clock would make young points old.
bool StoredRepository::clock_is_behind(Time known) {
    if (world_.clock.now() + std::chrono::hours(24) >= known)
        return false;
    notice("this machine's clock is behind: it says " + to_rfc3339(world_.clock.now()) +
           ", and it was " + to_rfc3339(known) + " already. No receipts are given until it is set");
    return true;
}

// When this bundle last wrote to its log, as far as was read; long ago when it never did.
Time StoredRepository::last_own_entry() const {
    std::lock_guard lock(mutex_);
    auto own = logs_.writers.find(keys_.id);
    if (own == logs_.writers.end())
        return {};
    for (auto item = own->second.items.rbegin(); item != own->second.items.rend(); ++item)
        if (item->second.entry)
            return item->second.entry->time;
    return {};
}

}  // namespace holdfast
