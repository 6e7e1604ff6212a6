"""The table at the end, and whether everything is proven."""

import json
import pathlib
import shutil
import sys

BOLD, GREEN, RED, END = ("\033[1m", "\033[32m", "\033[31m", "\033[0m") if sys.stdout.isatty() else ("",) * 4


def span(milliseconds):
    if milliseconds is None:
        return "-"
    seconds = milliseconds / 1000
    if seconds < 120:
        return f"{seconds:.1f} s"
    if seconds < 2 * 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"


def table(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def show(outcome, kept, say):
    """Prints the table; returns the exit code."""
    ended = next((event for event in outcome["events"] if event.get("event") == "recovered"), None)
    faults = []
    if ended is None:
        errors = [event["message"] for event in outcome["events"] if event.get("event") == "error"]
        raise RuntimeError("recover did not end: " + ("; ".join(errors) or "no message"))
    file = json.loads(pathlib.Path(ended["evidence"]).read_text())
    evidence = file["evidence"]
    if evidence["result"] != "proven":
        faults += [reason["text"] for reason in evidence["reasons"]]
    faults += [f"differs: {line}" for line in outcome["differences"]]
    rows = outcome["rows"]
    if rows["missing"]:
        faults.append(f"{len(rows['missing'])} rows that the point promised did not come back")
    if not rows["static_ok"]:
        faults.append(f"tables differ: {rows['counts']}")
    if not rows["digest_ok"]:
        faults.append("rows came back with other values")
    if rows["promised"] == 0:
        faults.append("no live row was promised by the point: the rehearsal proves nothing")
    if not outcome["mails"]:
        faults.append("the mail that the runbook sends did not arrive")

    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir()
    for name in ("evidence", "report"):
        shutil.copy(ended[name], kept / pathlib.Path(ended[name]).name)

    services = evidence["services"]
    objective = min((s["rto_objective_ms"] for s in services if s["rto_objective_ms"] is not None), default=None)
    from_outage = max((s["rto_from_outage_ms"] for s in services if s["rto_from_outage_ms"] is not None), default=None)
    declared = max((s["rto_from_declaration_ms"] for s in services if s["rto_from_declaration_ms"] is not None),
                   default=None)
    print()
    lines = [("dataset", "points", "RPO objective", "achieved", "RTO objective", "from outage", "from declaration",
              "verified")]
    for dataset in evidence["datasets"]:
        count = outcome["point_counts"].get(dataset["dataset"], 0)
        lines.append((dataset["dataset"], str(count), span(dataset["rpo_objective_ms"]),
                      span(dataset["rpo_achieved_ms"]), span(objective), span(from_outage), span(declared),
                      "yes" if dataset["verified"] else "NO"))
    table(lines)
    print()
    say(f"rows: {rows['acknowledged']} acknowledged while it ran, {rows['promised']} of them by the point's "
        f"consistency position, {rows['promised'] - len(rows['missing'])} of these came back; "
        f"{rows['lost']} later ones are the loss ({rows['loss_seconds']:.1f} s)")
    say(f"files: {outcome['compared']} compared with their originals, {len(outcome['differences'])} differences")
    say(f"report: {kept / 'report.html'}")
    if faults:
        for fault in faults[:20]:
            print(f"{RED}not proven: {fault}{END}", file=sys.stderr)
        return 1
    print(f"{GREEN}{BOLD}proven{END}: everything that was promised came back")
    return 0
