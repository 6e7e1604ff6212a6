#pragma once

#include <map>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "repo/repository.h"

namespace holdfast {

// Several people for what cannot be undone. Where the key ring says so, points are dropped, packs deleted, holds
// lifted and keys removed only when a request names exactly these and others than its author have signed it. All
// of it stays in the store. It keeps one person, or one stolen session, from deleting with these commands; whoever
// holds an admin's key and the store's credentials can always delete without them.

enum class Deletion {
    points,   // point ids
    packs,    // pack ids, of what no point needs
    hold,     // the hold's id
    key,      // the id of a key that is removed
    setting,  // "approvals=1:<id>+<id>": who has to agree from now on
};
std::string_view name(Deletion what);

// Kinds of document (docs/repository-format.md, "Approvals").
inline constexpr auto kRequestDocument = static_cast<DocumentKind>(18);
inline constexpr auto kApprovalDocument = static_cast<DocumentKind>(19);
inline constexpr auto kUseDocument = static_cast<DocumentKind>(20);
inline constexpr std::string_view kApprovalsPrefix = "approvals/";
// Settings of the key ring: how many others have to agree (0: nobody), and "approver:<bundle id>" = 1 for each who
// may. A key that an admin makes later is not among them, so he cannot agree with himself.
inline constexpr char kApprovalsSetting[] = "approvals";
inline constexpr char kApproverSetting[] = "approver:";
inline constexpr Duration kRequestLife = std::chrono::days(7);

struct DeletionRequest {
    Hash32 id{};  // SHA-256 of its object
    Deletion what = Deletion::points;
    std::set<std::string> subjects;  // all that may go by it, ids in hexadecimal
    Time time, expires;
    BundleId by;
    std::set<BundleId> approved_by;  // approvers that stand, without its author
    bool used = false;

    std::string hex() const { return to_hex(id); }
};

// Every request that opens, oldest first. Any key will do. What does not open counts for nothing; verify names it.
Result<std::vector<DeletionRequest>> list_requests(Repository& repository, std::stop_token stop);

// Asks others to agree. key_refused unless an admin asks.
Result<DeletionRequest> request_deletion(Repository& repository, Deletion what, std::set<std::string> subjects,
                                         std::stop_token stop);

// Signs the request whose id begins with `prefix`. key_refused unless this key is an approver; `unsafe` when it is
// one's own, has expired or was used; not_found and usage as everywhere. May be repeated.
Result<DeletionRequest> approve_deletion(Repository& repository, std::string_view prefix, std::stop_token stop);

// What the repository lets go now.
class Permission {
  public:
    static Result<Permission> load(Repository& repository, Deletion what, std::stop_token stop);

    // Whether anybody has to be asked at all.
    bool is_needed() const { return needed_ > 0; }
    bool allows(std::string const& subject) const { return !is_needed() || granted_.contains(subject); }
    // The open request that names it and waits for others; empty: none.
    std::string waiting(std::string const& subject) const;
    // `unsafe` unless all of them may go: what nobody has asked for yet is asked for, and the error says which
    // request others have to approve.
    Result<void> require(std::set<std::string> const& subjects, std::stop_token stop) const;
    // Asks for those of `subjects` that may not go and that no open request names. Ids of all requests that they
    // wait for.
    Result<std::set<std::string>> ask(std::set<std::string> const& subjects, std::stop_token stop) const;
    // Writes down that what these let go is gone: a request is used once.
    Result<void> note_used(std::set<std::string> const& subjects, std::stop_token stop) const;

  private:
    explicit Permission(Repository& repository, Deletion what) : repository_(&repository), what_(what) {}

    Repository* repository_;
    Deletion what_;
    std::uint64_t needed_ = 0;
    std::map<std::string, DeletionRequest> requests_;           // open ones, by id
    std::map<std::string, std::set<std::string>> granted_, asked_;  // subject → ids of requests
};

struct ApprovalRules {
    std::uint64_t others = 0;
    std::set<BundleId> approvers = {};
    bool operator==(ApprovalRules const&) const = default;
};
ApprovalRules approval_rules(KeyRing const& ring);
// How many others have to agree from now on, and who may. usage when these are too few to agree to each other's
// requests, or not keys of readers or admins. Where somebody has to agree already, it takes their approval, as any
// deletion does.
Result<void> set_approvals(Repository& repository, ApprovalRules const& rules, std::stop_token stop);

// Opens an object found under approvals/. `damaged` when it is not what was written there.
Result<void> check_approval_object(Repository& repository, std::string_view key, ByteView object, std::stop_token stop);

}  // namespace holdfast
