#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "catalog/catalog.h"
#include "drill/evidence_json.h"

namespace holdfast::drill {

// Evidence lies in <state>/evidence/<time>-<name>/ as evidence.json (signed) and report.html. Each file names
// the SHA-256 of the one before it, so that none can be changed or taken out of the middle unseen; the newest
// is named by <state>/evidence/head and by the catalog, so that none can be cut off the end unseen.

struct SaveEvidenceOptions {
    std::filesystem::path state;
    SignKey const& key;       // of the repository's key bundle
    std::string bundle;       // its id
    std::string label = {};   // "init on ncl-01"
    Catalog* catalog = nullptr;  // none: the chain is kept by the files alone
    // Hears what does not spoil the evidence, e.g. a catalog that could not be written.
    std::function<void(std::string const&)> warn = {};
};

struct SavedEvidence {
    std::filesystem::path evidence_file;
    std::filesystem::path report_file;
    std::string sha256;  // of evidence.json
    std::uint64_t sequence = 0;
};

// Signs the evidence, appends it to the chain and writes it with its report. When it returns, both survive power
// loss; a crash before leaves no half evidence. Sets the evidence's place in the chain. Several processes may
// save at the same time.
Result<SavedEvidence> save_evidence(Evidence& evidence, SaveEvidenceOptions const& options);

// How a file stands in the chain of the files beside it.
enum class ChainLink {
    first,     // begins the chain
    linked,    // names the file before it, which is there
    detached,  // the file before it is not there (another machine made it, or it was removed)
};

struct VerifiedEvidence {
    std::filesystem::path file;
    Evidence evidence;
    EvidenceSignature signature;
    std::string sha256;  // of the file
    ChainLink link = ChainLink::first;
};

// Reads one file, checks that it is exactly as it was written and that its signature fits, and finds the file
// before it. With `trusted`, the key must be one of them. Errors: `damaged` (changed, or the signature does not
// fit), key_refused (a key that is not trusted), not_found, usage (newer format).
Result<VerifiedEvidence> verify_evidence(std::filesystem::path const& file,
                                         std::vector<SignPublicKey> const& trusted = {});

struct ChainReport {
    std::vector<VerifiedEvidence> evidence;  // in the order of the chain, oldest first
    std::vector<std::string> faults;         // what is wrong with files, links or the head; empty: sound
    std::vector<std::string> notes;          // what cannot be seen from here: the chain began elsewhere
};

// Verifies every evidence of a state directory and that they form one chain up to its head, and, given what the
// catalog takes for the head, that this is it; and that the journal of every recovery still holds what it held then.
// Fails only when the directory cannot be read.
Result<ChainReport> verify_evidence_chain(std::filesystem::path const& state,
                                          std::optional<std::string> const& catalog_head = {},
                                          std::vector<SignPublicKey> const& trusted = {});

}  // namespace holdfast::drill
