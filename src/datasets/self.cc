#include "datasets/self.h"

#include <fmt/format.h>

#include "base/text.h"
#include "os/file.h"
#include "repo/emergency_kit.h"
#include "repo/self_documents.h"

namespace holdfast {
namespace {

constexpr char kPlan[] = "plan", kContacts[] = "contacts", kCatalog[] = "catalog";
constexpr std::size_t kMarkBytesMax = 4096;

// Remembers what was stored last, so that an unchanged plan is not stored again.
std::filesystem::path mark_file(Workspace const& workspace, Repository const& repository) {
    return workspace.state() / repository.id().hex() / "self-plan.sha256";
}

std::string person_line(Plan const& plan, std::string const& name) {
    auto const* person = plan.people.find(name);
    if (person == nullptr) return "  " + name + "\n";
    return fmt::format("  {:<28} {:<18} {:<32}{}\n",
                       person->full_name.empty() ? person->name : person->full_name, person->phone,
                       person->mail, person->delegate.empty() ? "" : "delegate: " + person->delegate);
}

// Everybody who has to be reached, to print.
std::string contacts(Plan const& plan) {
    std::string text = "CONTACTS of " + plan.name + "\n\nPeople\n";
    for (auto const& person : plan.people) text += person_line(plan, person.name);
    if (!plan.teams.empty()) text += "\nTeams\n";
    for (auto const& team : plan.teams) {
        text += fmt::format("  {:<28} lead: {:<24} {}\n", team.name, team.lead, team.phone);
        for (auto const& duty : team.does) text += "      - " + duty + "\n";
        for (auto const& member : team.members) text += "    " + person_line(plan, member);
    }
    if (!plan.vendors.empty()) text += "\nVendors\n";
    for (auto const& vendor : plan.vendors) {
        text += fmt::format("  {:<28} {:<18} {:<32}{}\n",
                            vendor.full_name.empty() ? vendor.name : vendor.full_name, vendor.phone,
                            vendor.mail, vendor.contract.empty() ? "" : "contract: " + vendor.contract);
    }
    return text;
}

// Writes `bytes` to `path`: a file that is there already stays, and must be the same.
Result<void> place(std::filesystem::path const& path, ByteView bytes) {
    std::error_code ignored;
    if (std::filesystem::exists(path, ignored)) {
        // One that can't be read, or is longer, is another one as well.
        auto present = read_file(path, bytes.size());
        if (present && as_text(*present) == as_text(bytes)) return {};
        return fail(ErrorKind::unsafe, fmt::format("'{}' exists and is another one", printable(path.native())),
                    "choose an empty directory with --to DIR");
    }
    return write_file_durably(path, bytes, 0600);
}

}  // namespace

Result<void> store_self(Workspace& workspace, std::string_view name, std::stop_token stop) {
    auto* repository = TRY(workspace.repository(name, Role::writer, stop));
    if (workspace.has_plan()) {
        auto const* plan = TRY(workspace.plan());
        auto digest = to_hex(sha256(as_bytes(workspace.plan_text())));
        auto mark = mark_file(workspace, *repository);
        auto stored = read_file(mark, kMarkBytesMax);
        if (!stored || as_text(*stored) != digest) {
            TRY(self_put(*repository, kPlan, as_bytes(workspace.plan_text()), stop));
            TRY(self_put(*repository, kContacts, as_bytes(contacts(*plan)), stop));
            std::error_code ignored;
            std::filesystem::create_directories(mark.parent_path(), ignored);
            TRY(write_file_durably(mark, as_bytes(digest), 0600));
        }
    }
    auto* catalog = TRY(workspace.catalog());
    auto snapshot = TRY(catalog->snapshot());
    return self_put(*repository, kCatalog, snapshot, stop);
}

Result<Rescued> rescue(Workspace& workspace, std::string_view name,
                       std::filesystem::path const& directory, std::stop_token stop) {
    auto* repository = TRY(workspace.repository(name, Role::reader, stop));
    Rescued rescued;
    rescued.repository_id = repository->id().hex();
    rescued.admin_fingerprint = fingerprint(repository->keys().admin_public);
    auto latest = self_latest(*repository, kPlan, stop);
    if (!latest && latest.error().kind == ErrorKind::not_found) {
        return fail(ErrorKind::not_found, "rescue: the repository holds no plan: nobody backed up by one",
                    fmt::format("compare its id {} and admin key {} with the emergency kit; then `holdfast --repo {} "
                                "points` lists what can be restored",
                                rescued.repository_id, rescued.admin_fingerprint, printable(name)));
    }
    auto plan = TRY(std::move(latest).within("rescue"));
    std::error_code error;
    std::filesystem::create_directories(directory, error);
    if (error) {
        return fail(ErrorKind::io, fmt::format("make '{}': {}", printable(directory.native()), error.message()));
    }
    rescued.plan_file = directory / "holdfast.yaml";
    TRY(place(rescued.plan_file, plan.bytes));
    rescued.plan_signer = fmt::format("{} ({})", plan.signer.label, plan.signer.id.brief());
    rescued.plan_time = plan.time;
    rescued.files.push_back(rescued.plan_file);
    rescued.notices = plan.notices;

    if (auto found = self_latest(*repository, kContacts, stop)) {
        rescued.contacts_file = directory / "contacts.txt";
        TRY(place(rescued.contacts_file, found->bytes));
        rescued.files.push_back(rescued.contacts_file);
    } else if (found.error().kind != ErrorKind::not_found) {
        rescued.notices.push_back("contacts: " + found.error().message);
    }
    // The catalog is a memory, not a condition: recovery goes on without it.
    auto target = workspace.state() / kCatalogFile;
    if (std::filesystem::exists(target, error)) {
        rescued.notices.push_back("this machine has a catalog already: it stays as it is");
    } else if (auto found = self_latest(*repository, kCatalog, stop); !found) {
        rescued.notices.push_back("catalog: " + found.error().message);
    } else if (auto put = Catalog::install(target, found->bytes, workspace.clock()); !put) {
        rescued.notices.push_back("catalog: " + put.error().message);
    } else {
        rescued.catalog_file = target;
        rescued.files.push_back(target);
    }
    return rescued;
}

}  // namespace holdfast
