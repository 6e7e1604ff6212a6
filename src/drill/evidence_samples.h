#pragma once

// Evidence as drills leave it, for tests.

#include "drill/evidence.h"

namespace holdfast::drill {

inline Time sample_time(std::string_view text) { return *parse_rfc3339(text); }

inline Evidence sample_evidence() {
    using namespace std::chrono_literals;
    Evidence e;
    e.kind = EvidenceKind::drill;
    e.name = "database-restore";
    e.run = "20261122T103107.000000000Z-5f0c";
    e.runbooks = {"restore-database"};
    e.parameters = {{"to", "latest"}};
    e.isolated = true;
    e.place = "/var/lib/holdfast/scratch/drill-20261122T103107-5f0c";
    e.plan_name = "spikeformer";
    e.plan_file = "/etc/holdfast/holdfast.yaml";
    e.plan_sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    e.tool_version = "0.1.0";
    e.host = "ncl-01";
    e.system = "Linux 6.1.0-28 x86_64";
    e.postgres_version = "15.9 (Debian 15.9-0+deb12u1)";
    e.outage = sample_time("2026-11-22T10:30:40Z");
    e.declared = sample_time("2026-11-22T10:31:02Z");
    e.started = sample_time("2026-11-22T10:31:07Z");
    e.ended = sample_time("2026-11-22T10:31:49.750Z");
    e.datasets = {
        {.dataset = "database", .kind = "postgres", .tier = "critical", .repository = "primary",
         .point = "3f2a9c1e77d0b6a4c5e8f10293847566aabbccddeeff00112233445566778899",
         .point_time = sample_time("2026-11-22T10:29:58.114Z"), .lsn = "0/5A0000D8", .timeline = "1",
         .rpo_objective = 1h, .newest = sample_time("2026-11-22T10:29:57.902Z"),
         .newest_from = "newest row of training_runs.created_at", .files = 1288, .bytes = 231735296,
         .rows_compared = 412903, .verified = true},
        {.dataset = "models", .kind = "models", .tier = "critical", .repository = "primary",
         .point = "b1946ac92492d2347c6235b4d2611184b1946ac92492d2347c6235b4d2611184",
         .point_time = sample_time("2026-11-22T10:12:30Z"), .rpo_objective = 1h, .files = 12,
         .bytes = 536870912, .files_compared = 12, .verified = true},
        {.dataset = "system-config", .kind = "files", .tier = "critical", .repository = "primary",
         .point = "591785b794601e212b260e25925636fd591785b794601e212b260e25925636fd",
         .point_time = sample_time("2026-11-22T10:12:41Z"), .rpo_objective = 1h, .files = 1873,
         .bytes = 4194304, .files_compared = 1873, .verified = true},
    };
    e.services = {
        {.service = "api", .tier = "critical", .rto_objective = 4h, .missing = {"cluster"}},
        {.service = "model-registry", .tier = "standard", .rto_objective = 24h},
    };
    auto const at = [&](Duration after) { return e.started + after; };
    e.steps = {
        {.runbook = "restore-database", .name = "fence", .kind = "kubernetes.scale",
         .outcome = StepOutcome::skipped, .detail = "left out: an isolated run touches nothing outside its place"},
        {.runbook = "restore-database", .name = "restore", .kind = "postgres.restore", .started = at(180ms),
         .ended = at(21s + 300ms), .outcome = StepOutcome::done, .attempts = 1,
         .detail = "1,288 files, 221 MiB; consistent at 0/5A0000D8"},
        {.runbook = "restore-database", .name = "models", .kind = "models.restore", .started = at(210ms),
         .ended = at(14s), .outcome = StepOutcome::done, .attempts = 1, .detail = "12 files, 512 MiB"},
        {.runbook = "restore-database", .name = "configuration", .kind = "files.restore", .started = at(230ms),
         .ended = at(3s + 100ms), .outcome = StepOutcome::done, .attempts = 2, .detail = "1,873 files, 4 MiB"},
        {.runbook = "restore-database", .name = "validate", .kind = "sql.check", .started = at(21s + 310ms),
         .ended = at(21s + 420ms), .outcome = StepOutcome::done, .attempts = 1, .detail = "5000, expected > 0"},
        {.runbook = "restore-database", .name = "prove", .kind = "verify", .started = at(21s + 430ms),
         .ended = at(42s + 700ms), .outcome = StepOutcome::done, .attempts = 1,
         .detail = "page checksums, pg_amcheck, tree comparison"},
    };
    e.checks = {
        {"database", "select count(*) from models", "> 0", "5000", CheckVerdict::passed},
        {"database", "select max(created_at) from training_runs", "at most 1h before the outage",
         "42.1 s before (2026-11-22T10:29:57.902Z)", CheckVerdict::passed},
        {"database", "page checksums", "every page as its checksum says", "28,160 pages, none damaged",
         CheckVerdict::passed},
        {"database", "pg_amcheck", "no finding", "no finding", CheckVerdict::passed},
        {"models", "formats", "every known format valid", "9 verified, 3 not verified", CheckVerdict::passed},
        {"models", "tree comparison", "no difference to the point", "no difference", CheckVerdict::passed},
        {"system-config", "tree comparison", "no difference to the point", "no difference",
         CheckVerdict::passed},
    };
    e.clean_up = {
        {"nothing is left of the isolated place", true, ""},
        {"no process runs from it", true, "1 server was stopped"},
    };
    e.notes = {"The step 'fence' reaches outside an isolated place and was left out."};
    e.sequence = 7;
    e.previous = "a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f90";
    e.signer = "0d8e6c5a4b3f2e1d0d8e6c5a4b3f2e1d";
    e.signer_label = "init on ncl-01";
    conclude(e);
    return e;
}

}  // namespace holdfast::drill
