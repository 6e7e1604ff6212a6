"""From a lost company to a recovered one, with the real RPO and RTO. See ./rehearse."""

import argparse
import collections
import datetime
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import adapt
import compare
import verdict
from company import Database, Writer, make_configuration, make_models, parse_lsn
from mailbox import Mailbox

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent.parent
BOLD, GREEN, RED, FAINT, END = ("\033[1m", "\033[32m", "\033[31m", "\033[2m", "\033[0m") \
    if sys.stdout.isatty() else ("",) * 5
PASSWORD = "correct horse battery staple"
STARTED = time.monotonic()


def say(text):
    print(f"{FAINT}{time.monotonic() - STARTED:6.1f} s{END}  {text}", flush=True)


class Holdfast:
    """The program, as a user runs it: nothing of ours but its command line."""

    def __init__(self, binary, place):
        self.binary = pathlib.Path(binary).resolve()
        self.place = place
        self.plan = place / "operations" / "holdfast.yaml"
        self.state = place / "operations" / "state"
        self.password_file = place / "safe" / "password"

    def run(self, *arguments, plan=True, password=True, check=True, json_events=False):
        command = [self.binary, *(["--plan", self.plan] if plan else []), *arguments, "--state", self.state]
        if password:
            command += ["--password-file", self.password_file]
        if json_events:
            command += ["--json"]
        environment = {**os.environ, "HOLDFAST_CACHE": str(self.place / "operations" / "cache")}
        result = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment,
                                cwd=self.place)
        with open(self.place / "holdfast.log", "a") as log:
            log.write(f"$ {' '.join(map(str, command))}\n{result.stdout}{result.stderr}[exit {result.returncode}]\n")
        if check and result.returncode != 0:
            raise RuntimeError(f"holdfast {' '.join(map(str, arguments))}: exit {result.returncode}\n"
                               f"{result.stderr.strip() or result.stdout.strip()}")
        if json_events:
            return [json.loads(line) for line in result.stdout.splitlines() if line.strip()]
        return result.stdout


def iso(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).isoformat().replace("+00:00", "Z")


def rehearse(options, place):
    database = Database(place)
    models, configuration = place / "models", place / "etc-spikeformer"
    mailbox = Mailbox()
    writer = None
    try:
        say("making a company: a database, model files, configuration")
        database.create()
        make_models(models)
        make_configuration(configuration)
        size = database.query("select pg_size_pretty(pg_database_size('spikeformer'))")
        say(f"its database holds {size}; rows are being written from now on")
        writer = Writer(database)
        writer.start()

        holdfast = Holdfast(options.holdfast, place)
        (place / "safe").mkdir(mode=0o700)
        (place / "operations").mkdir(mode=0o700)
        holdfast.password_file.touch(mode=0o600)
        holdfast.password_file.write_text(PASSWORD + "\n")
        adapt.adapt(holdfast, REPOSITORY / "examples" / "spikeformer" / "holdfast.yaml",
                    {"place": place, "models": models, "configuration": configuration,
                     "database": database, "mail_port": mailbox.port})
        holdfast.run("plan", "check", password=False)
        repository_url = place / "backups"
        holdfast.run("init", "--kit", place / "safe" / "kit.txt")
        holdfast.run("key", "export", "--role", "writer", place / "operations" / "writer.key")

        say("backing up by the plan, twice, with the writer's key alone")
        holdfast.run("backup", password=False)
        time.sleep(0.5)
        points = [event for event in holdfast.run("backup", password=False, json_events=True)
                  if event.get("event") == "point"]
        for point in points:
            say(f"  {point['dataset']}: point {point['id'][:8]}, {point['files']} files, "
                f"{point['bytes'] / 1e6:.0f} MB, {point['stored'] / 1e6:.1f} MB new")
        golden = compare.copy({"models": models, "configuration": configuration}, place / "golden")
        say("reading every byte back: verify --data")
        holdfast.run("verify", "--data")
        say("rehearsing by the plan, in isolation: drill database-restore")
        drilled = holdfast.run("drill", "database-restore", "--in", place, json_events=True)[-1]
        say(f"  {'proven' if drilled['proven'] else 'NOT PROVEN'}, and nothing of it is left")

        point = next(p for p in points if p["kind"] == "postgres")
        consistent = parse_lsn(point["lsn"])
        must_have = [row for row, lsn, _ in list(writer.acknowledged) if lsn <= consistent]
        digest = database.digest(must_have[-1] if must_have else 0)

        say(f"{BOLD}disaster{END}: the server is killed, database, models and configuration are gone, "
            "and so is everything of Holdfast's own")
        outage = time.time()
        database.kill()
        writer.stop()
        acknowledged = writer.acknowledged
        for directory in (database.data, models, configuration, place / "operations"):
            shutil.rmtree(directory)

        say("recovery begins on a bare machine: repository and password, nothing else")
        declared = time.time()
        (place / "operations").mkdir(mode=0o700)
        holdfast.run("rescue", repository_url, "--to", place / "operations", plan=False)
        database.prepare()
        holdfast.run("recover", "database-failure", "--dry-run", "--outage", iso(outage), "--declared", iso(declared))
        events = holdfast.run("recover", "database-failure", "--outage", iso(outage), "--declared", iso(declared),
                              "--yes", json_events=True, check=False)

        say("comparing every byte and every acknowledged row")
        trees = {"models": models, "configuration": configuration}
        listed = holdfast.run("points", json_events=True)[0]["points"]
        rows = compare.rows(database, acknowledged, must_have, outage)
        rows["digest_ok"] = database.digest(must_have[-1] if must_have else 0) == digest
        return {"events": events, "rows": rows, "mails": mailbox.mails,
                "differences": compare.compare(golden, trees), "compared": compare.count(golden),
                "point_counts": collections.Counter(point["dataset"] for point in listed)}
    finally:
        if writer is not None:
            writer.stop()
        database.stop()
        mailbox.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--holdfast", required=True)
    parser.add_argument("--keep", action="store_true", help="leave the company's directory in place")
    parser.add_argument("--report", type=pathlib.Path, default=REPOSITORY / "rehearsal",
                        help="directory that receives evidence.json and report.html; it is replaced")
    options = parser.parse_args()
    place = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-rehearsal-"))
    place.chmod(0o755)
    try:
        outcome = rehearse(options, place)
        return verdict.show(outcome, options.report, say)
    except (RuntimeError, OSError, subprocess.SubprocessError, ValueError, StopIteration) as error:
        print(f"{RED}rehearse: {error}{END}\nrehearse: everything is left in {place} (holdfast.log has each command)",
              file=sys.stderr)
        options.keep = True
        return 1
    finally:
        if not options.keep:
            shutil.rmtree(place, ignore_errors=True)


sys.exit(main())
