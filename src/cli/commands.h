#pragma once

#include "cli/command.h"

namespace holdfast::cli {

// One function for each file that holds a command or a group of commands.
Command init_command();
Command key_list_command();
Command key_add_command();
Command key_export_command();
Command key_remove_command();
Command key_rotate_command();
Command key_pair_command();
Command key_grant_command();
Command key_rewrap_command();
Command approvals_list_command();
Command approvals_set_command();
Command approve_command();
Command key_escrow_command();
Command key_recover_command();
Command plan_check_command();
Command plan_show_command();
Command plan_schema_command();
Command plan_example_command();
Command backup_command();
Command points_command();
Command ls_command();
Command cat_command();
Command diff_command();
Command restore_command();
Command bisect_command();
Command mount_command();
Command verify_command();
Command scrub_command();
Command repair_command();
Command forget_command();
Command prune_command();
Command hold_add_command();
Command hold_list_command();
Command hold_remove_command();
Command recover_command();
Command resume_command();
Command drill_command();
Command report_command();
Command status_command();
Command rescue_command();
Command replicate_command();
Command guard_command();
Command models_inspect_command();
Command models_diff_command();
Command models_scan_command();
Command wal_receive_command();
Command wal_list_command();
Command generate_command();

}  // namespace holdfast::cli
