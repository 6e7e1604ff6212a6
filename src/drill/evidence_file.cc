#include "drill/evidence_file.h"

#include <algorithm>
#include <iterator>
#include <map>

#include <fmt/format.h>

#include "base/text.h"
#include "drill/report.h"
#include "os/file.h"
#include "os/file_lock.h"
#include "runbook/journal.h"

namespace holdfast::drill {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kEvidenceBytesMax = 64 << 20;
constexpr std::string_view kFileName = "evidence.json";
constexpr std::string_view kReportName = "report.html";

std::string sha256_hex(std::string_view text) { return to_hex(sha256(as_bytes(text))); }

// The newest evidence of a chain.
struct Head {
    std::uint64_t sequence = 0;
    std::string sha256;  // empty: there is none yet
};

fs::path directory_of(fs::path const& state) { return state / "evidence"; }

// "7 3f2a…\n"
std::string head_text(Head const& head) { return fmt::format("{} {}\n", head.sequence, head.sha256); }

Result<Head> read_head(fs::path const& directory) {
    auto const path = directory / "head";
    auto bytes = read_file(path.string(), 4096);
    if (!bytes && bytes.error().kind == ErrorKind::not_found) return Head();
    if (!bytes) return fail(std::move(bytes).error());
    std::string const text(as_text(*bytes));
    auto const space = text.find(' ');
    Head head;
    if (space != std::string::npos && space > 0 && space < 19 &&
        std::ranges::all_of(text.substr(0, space), [](char c) { return c >= '0' && c <= '9'; })) {
        head.sequence = std::stoull(text.substr(0, space));
        head.sha256 = text.substr(space + 1, 64);
    }
    if (head.sequence == 0 || !from_hex(head.sha256) || head_text(head) != text) {
        return fail(ErrorKind::damaged, "'" + path.string() + "' is not the head of a chain of evidence",
                    "holdfast report says which evidence is sound");
    }
    return head;
}

Result<void> make_directory(fs::path const& path) {
    std::error_code failed;
    if (!fs::create_directories(path, failed) && failed) {
        return fail(errno_error("make '" + path.string() + "'", failed.value()));
    }
    fs::permissions(path, fs::perms::owner_all, failed);
    TRY(fsync_directory(path.parent_path().string()));
    return {};
}

// Directories with an evidence file, in the order of their names; half-made ones start with a dot.
Result<std::vector<fs::path>> evidence_files(fs::path const& directory) {
    std::vector<fs::path> files;
    std::error_code failed;
    fs::directory_iterator entries(directory, failed);
    if (failed == std::errc::no_such_file_or_directory) return files;
    for (; !failed && entries != fs::directory_iterator(); entries.increment(failed)) {
        if (entries->path().filename().string().starts_with('.')) continue;
        auto const file = entries->path() / kFileName;
        std::error_code ignored;
        if (fs::exists(file, ignored)) files.push_back(file);
    }
    if (failed) return fail(errno_error("read '" + directory.string() + "'", failed.value()));
    std::ranges::sort(files);
    return files;
}

// The name as part of a directory's name.
std::string file_name_of(std::string_view name) {
    std::string safe;
    for (char c : name.substr(0, 60)) {
        auto const plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                           c == '-' || c == '_' || (c == '.' && !safe.empty());
        safe += plain ? c : '_';
    }
    return safe.empty() ? "evidence" : safe;
}

class Saver {
  public:
    Saver(Evidence& evidence, SaveEvidenceOptions const& options)
        : evidence_(evidence), options_(options), directory_(directory_of(options.state)) {}

    Result<SavedEvidence> save() {
        TRY(make_directory(directory_));
        auto const lock = TRY(lock_file((directory_ / "lock").string()));
        auto const head = TRY(newest());
        evidence_.sequence = head.sequence + 1;
        evidence_.previous = head.sha256;
        evidence_.signer = options_.bundle;
        evidence_.signer_label = options_.label;

        EvidenceSignature signature;
        signature.key = options_.key.public_key;
        signature.value = options_.key.sign(as_bytes(canonical_json(evidence_)));
        auto const text = evidence_file_text(evidence_, signature);
        // What cannot be verified here would be no evidence later.
        if (!parse_evidence_file(text)) return fail(ErrorKind::internal, "evidence does not read back");
        auto const hash = sha256_hex(text);

        auto const target = TRY(publish(text, render_report(evidence_, signature, hash)));
        // Order: the evidence is durable before the head names it. A head that lags is caught up with by
        // newest(); a head of evidence that is not there would be a hole in the chain.
        TRY(write_file_durably((directory_ / "head").string(),
                               as_bytes(head_text({evidence_.sequence, hash})), 0600));
        note_in_catalog(target / kFileName, hash);
        return SavedEvidence{target / kFileName, target / kReportName, hash, evidence_.sequence};
    }

  private:
    void warn(std::string const& text) const {
        if (options_.warn) options_.warn(text);
    }

    // The end of the chain: what the head says and what a crash left behind it; on a new machine with a catalog
    // that was brought back, what that catalog says.
    Result<Head> newest() {
        auto head = TRY(read_head(directory_));
        std::map<std::string, Head> following;  // by the hash that they name
        auto const files = TRY(evidence_files(directory_));
        for (auto const& file : files) {
            auto verified = verify_evidence(file);
            if (!verified) {
                warn(verified.error().message);
                continue;
            }
            following[verified->evidence.previous] = {verified->evidence.sequence, verified->sha256};
        }
        if (head.sha256.empty() && following.empty()) return catalog_head();
        // Each step names a hash of its own content, so this cannot go round in circles.
        for (auto next = following.find(head.sha256); next != following.end();
             next = following.find(head.sha256)) {
            head = next->second;
        }
        return head;
    }

    Head catalog_head() {
        if (!options_.catalog) return {};
        auto const hash = options_.catalog->evidence_head();
        auto const known = options_.catalog->evidence();
        if (!hash || !known) {
            warn("the catalog does not say which evidence came last: a new chain begins");
            return {};
        }
        return {known->size(), *hash};
    }

    // Writes both files into a directory that gets its name when they are durable.
    Result<fs::path> publish(std::string const& text, std::string const& report) {
        auto const name = to_key_time(evidence_.started) + "-" + file_name_of(evidence_.name);
        auto const draft = directory_ / (".draft-" + name);
        std::error_code failed;
        fs::remove_all(draft, failed);
        TRY(make_directory(draft));
        auto const written = write(draft, text, report);
        if (!written) {
            fs::remove_all(draft, failed);
            return fail(written.error());
        }
        auto target = directory_ / name;
        for (int n = 2; fs::exists(target, failed); ++n) target = directory_ / fmt::format("{}-{}", name, n);
        fs::rename(draft, target, failed);
        if (failed) return fail(errno_error("rename '" + draft.string() + "'", failed.value()));
        TRY(fsync_directory(directory_.string()));
        return target;
    }
    static Result<void> write(fs::path const& draft, std::string const& text, std::string const& report) {
        TRY(write_file_durably((draft / kFileName).string(), as_bytes(text), 0600));
        TRY(write_file_durably((draft / kReportName).string(), as_bytes(report), 0600));
        return {};
    }

    void note_in_catalog(fs::path const& file, std::string const& hash) {
        if (!options_.catalog) return;
        auto head = options_.catalog->evidence_head();
        auto noted = head ? append(*head, file, hash) : Result<void>(fail(head.error()));
        if (!noted) warn("the evidence is not in the catalog: " + noted.error().message);
    }

    // A crash may have kept earlier evidence out of the catalog: it goes in first.
    Result<void> append(std::string const& catalog_head, fs::path const& file, std::string const& hash) {
        if (catalog_head == evidence_.previous) {
            return options_.catalog->append_evidence({.run = evidence_.run,
                                                      .path = file.string(),
                                                      .sha256 = hash,
                                                      .previous = evidence_.previous,
                                                      .time = evidence_.ended});
        }
        std::map<std::string, VerifiedEvidence> following;
        auto const files = TRY(evidence_files(directory_));
        for (auto const& path : files) {
            if (auto verified = verify_evidence(path)) {
                auto const previous = verified->evidence.previous;
                following[previous] = std::move(*verified);
            }
        }
        for (auto next = following.find(catalog_head); next != following.end();
             next = following.find(next->second.sha256)) {
            auto const& verified = next->second;
            TRY(options_.catalog->append_evidence({.run = verified.evidence.run,
                                                   .path = verified.file.string(),
                                                   .sha256 = verified.sha256,
                                                   .previous = verified.evidence.previous,
                                                   .time = verified.evidence.ended}));
        }
        return {};
    }

    Evidence& evidence_;
    SaveEvidenceOptions const& options_;
    fs::path directory_;
};

// What is wrong with the journals that the evidence names; those of drills are gone with their places.
std::vector<std::string> journal_faults(fs::path const& state, VerifiedEvidence const& verified) {
    std::vector<std::string> faults;
    if (verified.evidence.kind != EvidenceKind::recovery) return faults;
    for (auto const& journal : verified.evidence.journals) {
        auto const end = runbook::read_journal_end(state, journal.run, journal.records);
        if (end && to_hex(end->hash) == journal.sha256) continue;
        auto const why = end ? fmt::format("journal of run '{}': it is not the one that this was made from", journal.run)
                             : end.error().message;
        faults.push_back(fmt::format("evidence {} ('{}'): {}", verified.evidence.sequence, verified.file.string(), why));
    }
    return faults;
}

Error changed(fs::path const& file, std::string_view why) {
    return Error{ErrorKind::damaged, fmt::format("evidence '{}': {}", file.string(), why),
                 "it was changed after it was written, or damaged; do not rely on it"};
}

}  // namespace

Result<SavedEvidence> save_evidence(Evidence& evidence, SaveEvidenceOptions const& options) {
    return Saver(evidence, options).save().within("save evidence");
}

Result<VerifiedEvidence> verify_evidence(fs::path const& file, std::vector<SignPublicKey> const& trusted) {
    auto const bytes = TRY(read_file(file.string(), kEvidenceBytesMax));
    auto parsed = parse_evidence_file(as_text(bytes));
    if (!parsed && parsed.error().kind == ErrorKind::damaged) return fail(changed(file, parsed.error().message));
    if (!parsed) return fail(std::move(parsed.error()).within("evidence '" + file.string() + "'"));
    if (!signature_fits(parsed->signature.key, as_bytes(parsed->signed_bytes), parsed->signature.value)) {
        return fail(changed(file, "the signature does not fit"));
    }
    if (!trusted.empty() && std::ranges::find(trusted, parsed->signature.key) == trusted.end()) {
        return fail(ErrorKind::key_refused,
                    fmt::format("evidence '{}': signed with key {}, which the repository does not know",
                                file.string(), to_hex(parsed->signature.key)));
    }
    VerifiedEvidence verified{file, std::move(parsed->evidence), parsed->signature,
                              sha256_hex(as_text(bytes)), ChainLink::first};
    if (verified.evidence.previous.empty()) {
        if (verified.evidence.sequence != 1) return fail(changed(file, "it is not the first, but names none before it"));
        return verified;
    }
    verified.link = ChainLink::detached;
    auto const others = TRY(evidence_files(file.parent_path().parent_path()));
    for (auto const& other : others) {
        auto const content = read_file(other.string(), kEvidenceBytesMax);
        if (content && sha256_hex(as_text(*content)) == verified.evidence.previous) {
            verified.link = ChainLink::linked;
        }
    }
    return verified;
}

Result<ChainReport> verify_evidence_chain(fs::path const& state, std::optional<std::string> const& catalog_head,
                                          std::vector<SignPublicKey> const& trusted) {
    ChainReport report;
    auto const directory = directory_of(state);
    auto const files = TRY(evidence_files(directory));
    for (auto const& file : files) {
        auto verified = verify_evidence(file, trusted);
        if (verified) {
            report.evidence.push_back(std::move(*verified));
        } else {
            report.faults.push_back(verified.error().message);
        }
    }
    std::ranges::stable_sort(report.evidence, {}, [](VerifiedEvidence const& verified) {
        return verified.evidence.sequence;
    });
    VerifiedEvidence const* before = nullptr;
    for (auto const& verified : report.evidence) {
        auto const& evidence = verified.evidence;
        auto const follows = before && evidence.previous == before->sha256 &&
                             evidence.sequence == before->evidence.sequence + 1;
        if (!before && !evidence.previous.empty()) {
            report.notes.push_back(fmt::format("the chain is here from evidence {} on; what came before was made "
                                               "on another machine or is missing",
                                               evidence.sequence));
        }
        if (before && !follows) {
            report.faults.push_back(
                fmt::format("evidence {} ('{}') does not follow evidence {}: something is missing or was "
                            "exchanged between them",
                            evidence.sequence, verified.file.string(), before->evidence.sequence));
        }
        auto journals = journal_faults(state, verified);
        std::ranges::move(journals, std::back_inserter(report.faults));
        before = &verified;
    }
    auto const newest = before ? before->sha256 : std::string();
    auto const head = read_head(directory);
    if (!head) {
        report.faults.push_back(head.error().message);
    } else if (head->sha256 != newest) {
        report.faults.push_back(fmt::format("the newest evidence should be {} ({}), which is not the last of what "
                                            "is here",
                                            head->sequence, head->sha256));
    }
    if (catalog_head && *catalog_head != newest) {
        report.faults.push_back(fmt::format("the catalog's newest evidence is {}, which is not the last of what "
                                            "is here",
                                            catalog_head->empty() ? "none" : *catalog_head));
    }
    return report;
}

}  // namespace holdfast::drill
