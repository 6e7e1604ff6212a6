#include <cerrno>
#include <filesystem>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/workspace_options.h"
#include "datasets/create.h"
#include "os/file.h"
#include "repo/escrow_sheet.h"

namespace holdfast::cli {
namespace {

constexpr std::size_t kShareFileBytesMax = 1 << 20;

Result<unsigned> share_number(Invocation& invocation, std::string_view option) {
    auto number = TRY(invocation.number(option));
    if (!number || *number > 255) {
        return fail(ErrorKind::usage, fmt::format("--{} takes a number from 2 to 255", option),
                    "for instance --shares 5 --threshold 3");
    }
    return static_cast<unsigned>(*number);
}

// All shares that the files hold, in their order.
Result<std::vector<EscrowShare>> read_shares(std::vector<std::string> const& files) {
    std::vector<EscrowShare> shares;
    for (auto const& file : files) {
        auto text = TRY(read_file(file == "-" ? "/dev/stdin" : file, kShareFileBytesMax));
        auto found = parse_shares(as_text(text));
        wipe(text);
        if (!found) return fail(std::move(found).error().within(fmt::format("'{}'", printable(file))));
        for (auto& share : *found) shares.push_back(std::move(share));
    }
    return shares;
}

// Reads the sheets back, as their holders will, and has as many as are needed open the key: a page that cannot
// be used is worse than none.
Result<void> try_sheets(Store& store, std::vector<std::string> const& files, Escrow const& escrow,
                        std::size_t threshold, std::stop_token stop) {
    auto read = TRY(read_shares(files));
    auto same = [](EscrowShare const& a, EscrowShare const& b) {
        return a.number == b.number && a.threshold == b.threshold && a.set == b.set && a.value.equals(b.value.view());
    };
    if (!std::ranges::equal(read, escrow.shares, same)) {
        return fail(ErrorKind::damaged, "the sheets do not hold the shares that were written");
    }
    TRY(recover_escrow(store, std::span(read).last(threshold), std::move(stop)));
    return {};
}

Result<void> write_secret_file(std::string const& file, std::string& text) {
    auto written = write_file_durably(file, as_bytes(text), 0600);
    wipe(text);
    return written;
}

Result<int> run_key_escrow(Invocation& invocation) {
    EscrowOptions options;
    options.shares = TRY(share_number(invocation, "shares"));
    options.threshold = TRY(share_number(invocation, "threshold"));
    options.roles = TRY(parse_roles(invocation.value("role").value_or(to_text(kAllRoles))).within("--role"));
    auto workspace = TRY(open_workspace(invocation));
    auto name = TRY(workspace->default_repository());
    auto* repository = TRY(workspace->repository(name, Role::admin, invocation.stop));
    std::filesystem::path directory = invocation.argument("DIRECTORY");
    if (::mkdir(directory.c_str(), 0700) != 0) {
        if (errno == EEXIST) {
            return fail(ErrorKind::unsafe, fmt::format("'{}' exists: the sheets go into a new directory",
                                                       printable(directory.native())));
        }
        return fail(errno_error("make directory '" + printable(directory.native()) + "'", errno));
    }
    auto made = make_escrow(*repository, options, invocation.stop);
    if (!made) {
        (void)::rmdir(directory.c_str());
        return fail(std::move(made).error());
    }
    auto const& escrow = *made;
    auto facts = facts_of(*workspace, name, escrow.bundle);
    std::vector<std::string> files;
    for (auto const& share : escrow.shares) {
        files.push_back(directory / fmt::format("share-{}-of-{}.html", share.number, options.shares));
        auto page = TRY(escrow_sheet(facts, share, options.shares));
        TRY(write_secret_file(files.back(), page).within("sheet"));
    }
    TRY(try_sheets(repository->store(), files, escrow, options.threshold, invocation.stop));

    auto& output = invocation.output;
    output.line(fmt::format("key {} with roles {}: any {} of the {} sheets in '{}' open it (tried: they do)",
                            escrow.bundle.id.brief(), to_text(options.roles), options.threshold, options.shares,
                            printable(directory.native())));
    output.line("print each of them, give them to different people, and delete the directory");
    auto pages = nlohmann::json::array();
    for (auto const& file : files) pages.push_back(printable(file));
    output.document(nlohmann::json{{"event", "escrow"},
                                   {"id", escrow.bundle.id.hex()},
                                   {"role", to_text(options.roles)},
                                   {"threshold", options.threshold},
                                   {"files", pages}}
                        .dump());
    return kDone;
}

Result<int> run_key_recover(Invocation& invocation) {
    auto file = invocation.argument("FILE");
    std::error_code ignored;
    if (std::filesystem::exists(file, ignored)) {
        return fail(ErrorKind::unsafe, fmt::format("'{}' exists: a key is never overwritten", printable(file)),
                    "choose another file, or remove that one");
    }
    auto shares = TRY(read_shares(invocation.arguments("SHARE")));
    auto workspace = TRY(open_workspace(invocation));
    auto name = TRY(workspace->default_repository());
    auto store = TRY(workspace->open_store_of(name, {.stop = invocation.stop}));
    auto bundle = TRY(recover_escrow(*store, shares, invocation.stop));
    auto text = to_key_file(bundle);
    TRY(write_secret_file(file, text).within("key file"));

    auto& output = invocation.output;
    output.line(fmt::format("key {} with roles {} is in '{}' (mode 0600): use it with --key, and destroy it afterwards",
                            bundle.id.brief(), to_text(bundle.roles), printable(file)));
    output.line(fmt::format("compare with the sheets:\n  Id         {}\n  Admin key  {}", bundle.repository.hex(),
                            fingerprint(bundle.admin_public)));
    output.document(nlohmann::json{{"event", "key"},
                                   {"id", bundle.id.hex()},
                                   {"role", to_text(bundle.roles)},
                                   {"repository", bundle.repository.hex()},
                                   {"admin_key", fingerprint(bundle.admin_public)},
                                   {"file", printable(file)}}
                        .dump());
    return kDone;
}

}  // namespace

Command key_escrow_command() {
    return {.name = "key escrow",
            .summary = "give a key to several people together",
            .details =
                "Makes a new key and writes a sheet for each of N holders, a page with a QR code and a text that can be "
                "typed: any K of them open the key, fewer tell nothing. The sheets are read back and tried before it "
                "says that it is done. Needs an admin's key.",
            .arguments = {{"DIRECTORY", "where the sheets go; it must not exist"}},
            .options = {{.flag = "--shares", .value = "N", .help = "how many sheets"},
                        {.flag = "--threshold", .value = "K", .help = "how many of them are needed"},
                        {.flag = "--role", .value = "ROLE", .help = "of the key (default: writer+reader+admin)"}},
            .run = run_key_escrow};
}

Command key_recover_command() {
    return {.name = "key recover",
            .summary = "get a key back from its holders' sheets",
            .details =
                "Reads shares out of files (what somebody typed or scanned, or the pages themselves) or, for -, standard "
                "input, and writes the key to FILE (mode 0600). It needs the repository and nothing else. A slip of the "
                "finger is named by its line.",
            .arguments = {{"FILE", "where the key goes; it must not exist"},
                          {"SHARE", "files with shares, one or several in each; -: standard input", false, true}},
            .options = {},
            .run = run_key_recover};
}

}  // namespace holdfast::cli
