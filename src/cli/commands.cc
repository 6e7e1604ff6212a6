#include "cli/commands.h"

namespace holdfast::cli {

std::vector<Command> const& commands() {
    static std::vector<Command> const all = {
        init_command(),         key_list_command(),     key_add_command(),    key_export_command(),
        key_remove_command(),   key_rotate_command(),   key_pair_command(),   key_grant_command(),
        key_rewrap_command(),   key_escrow_command(),   key_recover_command(),
        approvals_list_command(), approvals_set_command(), approve_command(),
        plan_check_command(),   plan_show_command(),
        plan_schema_command(),  plan_example_command(), backup_command(),     points_command(),
        ls_command(),           cat_command(),          diff_command(),       restore_command(),
        mount_command(),        bisect_command(),
        scrub_command(),
        repair_command(),
        verify_command(),       forget_command(),       hold_add_command(),   hold_list_command(),
        hold_remove_command(),  prune_command(),        recover_command(),      resume_command(),     drill_command(),
        report_command(),       status_command(),       rescue_command(),     replicate_command(),
        guard_command(),        models_inspect_command(), models_diff_command(), models_scan_command(),
        wal_receive_command(),  wal_list_command(),     generate_command(),
    };
    return all;
}

std::vector<OptionSpec> const& global_options() {
    static std::vector<OptionSpec> const all = {
        {.flag = "-p,--plan", .value = "FILE",
         .help = "the plan (default: ./holdfast.yaml, then /etc/holdfast/holdfast.yaml)"},
        {.flag = "-r,--repo", .value = "URL",
         .help = "a repository, without any plan (or HOLDFAST_REPOSITORY)"},
        {.flag = "--key", .value = "FILE", .help = "a key file, as key export makes it"},
        {.flag = "--password-file", .value = "FILE", .help = "the repository's password"},
        {.flag = "--password-command", .value = "CMD",
         .help = "a shell command that prints the password (or set HOLDFAST_PASSWORD)"},
        {.flag = "--state", .value = "DIR",
         .help = "Holdfast's own memory (default: $XDG_STATE_HOME/holdfast)"},
        {.flag = "--accept-rollback",
         .help = "go on with a repository that is older than what was seen of it before"},
        {.flag = "--json", .help = "print JSON for machines"},
        {.flag = "-q,--quiet", .help = "print results and errors only"},
        {.flag = "-v,--verbose", .help = "print more of what is done"},
        {.flag = "--no-progress", .help = "no progress on standard error"},
    };
    return all;
}

}  // namespace holdfast::cli
