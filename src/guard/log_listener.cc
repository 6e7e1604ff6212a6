#include "guard/log_listener.h"

namespace holdfast::guard {
namespace {

using Kind = postgres::WalEvent::Kind;

// The names of its alarms, behind the duty's own, which is for a receiver that is down.
constexpr char kLostLog[] = "lost log", kRepository[] = "repository", kSpool[] = "spool", kLag[] = "lag";

}  // namespace

void LogListener::begins(std::string const& about, std::string const& text) {
    raised_.insert(about);
    tell_({.text = {}, .concern = text, .about = about});
}

void LogListener::ends(std::string const& about, std::string const& text) {
    raised_.erase(about);
    tell_({.text = text, .concern = "", .about = about});
}

void LogListener::news(std::string const& text) { tell_({.text = text, .concern = std::nullopt}); }

void LogListener::needs_base(std::string const& text) {
    log_.want_base();
    begins(kLostLog, text + "; a new one is made now");
}

// A run before may have been killed between a gap and the base backup that was to follow.
void LogListener::look_for_gaps() {
    if (looked_) return;
    looked_ = true;
    auto cut_off = cut_off_();
    if (!cut_off) return news("whether the log has gaps could not be found out: " + cut_off.error().message);
    if (*cut_off && !log_.base_is_wanted())
        needs_base("the newest base backup does not reach the end of the log: a part between them is missing");
}

void LogListener::hear(postgres::WalEvent const& event) {
    auto passing = [&](char const* about) { event.alarm ? begins(about, event.message) : ends(about, event.message); };
    switch (event.kind) {
        case Kind::receiving:
            ends("", event.message);
            return look_for_gaps();
        case Kind::timeline:
        case Kind::slot_made: return news(event.message);
        case Kind::disconnected:
            // A server that restarts is no alarm; nor does another reason why it is away end one.
            return event.alarm ? begins("", event.message) : news(event.message);
        case Kind::slot_lost:
        case Kind::gap: return needs_base(event.message);
        case Kind::repository: return passing(kRepository);
        case Kind::spool: return passing(kSpool);
        case Kind::lag: return passing(kLag);
        case Kind::position: break;
    }
    if (event.complete) log_.complete(*event.complete);
    if (!log_.base_is_wanted()) ends(kLostLog, raised_.contains(kLostLog) ? "a base backup was made behind the lost log" : "");
    // What a run before left raised and this one does not find is over.
    for (auto const* about : {kRepository, kSpool, kLag})
        if (!raised_.contains(about)) ends(about, "");
}

}  // namespace holdfast::guard
