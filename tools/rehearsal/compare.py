"""Compares what came back with what was lost, independently of Holdfast."""

import subprocess


def copy(trees, golden):
    """An exact copy of each tree, made when its point was made."""
    golden.mkdir(mode=0o700)
    for name, tree in trees.items():
        subprocess.run(["cp", "-a", "--sparse=always", tree, golden / name], check=True)
    return golden


def compare(golden, trees):
    """Differences in content, owner, mode, ACL, xattr, links, times: lines of rsync's."""
    differences = []
    for name, tree in trees.items():
        result = subprocess.run(
            ["rsync", "-aHAXS", "--checksum", "--dry-run", "--itemize-changes", "--delete",
             f"{golden / name}/", f"{tree}/"], capture_output=True, text=True, errors="replace")
        if result.returncode != 0:
            differences.append(f"{name}: {result.stderr.strip()}")
        differences += [f"{name}: {line}" for line in result.stdout.splitlines() if line.strip()]
    return differences


def count(golden):
    """How many names a comparison looks at."""
    return sum(1 for _ in golden.rglob("*"))


def rows(database, acknowledged, must_have, outage):
    """Which acknowledged rows came back: all up to the point's consistency position must have."""
    present = set(map(int, database.query("select id from training_runs where payload like 'live %'").split()))
    missing = [row for row in must_have if row not in present]
    lost = [(row, moment) for row, _, moment in acknowledged if row not in present]
    back = [moment for row, _, moment in acknowledged if row in present]
    counts = database.query("select count(*) from models; select count(*) from users; "
                            "select count(*) from sessions; select count(*) from payloads;").split()
    return {"acknowledged": len(acknowledged), "promised": len(must_have), "missing": missing, "lost": len(lost),
            "loss_seconds": outage - max(back) if back else None,
            "static_ok": counts == ["500", "250000", "0", "500"], "counts": counts}
