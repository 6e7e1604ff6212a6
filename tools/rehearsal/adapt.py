"""Adapts examples/spikeformer/holdfast.yaml to one machine: addresses that exist here, and no kinds of
dataset or step whose engine or whose hardware this machine lacks. Objectives, tiers, services, people and
checks stay as they are."""

import json

HAD_HERE = {
    "database": lambda c: {"connect": f"host={c['database'].sockets} port={c['database'].port} user=dba "
                                      "dbname=spikeformer"},
    "models": lambda c: {"paths": [str(c["models"])], "exclude": ["*.tmp", "*.lock"]},
    "system-config": lambda c: {"paths": [str(c["configuration"])]},
}
LATER = {"wal", "watch"}  # keys of datasets that another version will act on


def runbook(company):
    """What the example's `restore-database` does, with the steps that one machine can run."""
    database = company["database"]
    connect = f"host={database.sockets} port={database.port} user=dba dbname=spikeformer"
    start = ["/usr/lib/postgresql/15/bin/pg_ctl", "-D", str(database.data), "-l", str(database.log), "-w", "start",
             "-o", f"-p {database.port}"]
    if company["as_root"]:
        start = ["runuser", "-u", "postgres", "--"] + start
    return {
        "description": "Everything that was lost, from the repository alone.",
        "parameters": {"to": {"default": "latest"}},
        "steps": {
            "database": {"postgres.restore": {"dataset": "database", "to": "${to}", "into": str(database.data)}},
            "models": {"models.restore": {"dataset": "models", "to": "${to}"}},
            "configuration": {"files.restore": {"dataset": "system-config", "to": "${to}"}},
            "start": {"command": {"argv": start}, "after": "database", "timeout": "2m"},
            "validate": {"sql.check": {"connect": connect, "query": "select count(*) from models", "expect": "= 500"},
                         "after": "start", "retries": {"count": 3, "backoff": "1s"}},
            "fresh": {"sql.check": {"connect": connect, "query": "select max(created_at) from training_runs",
                                    "fresh_within": "1h"}, "after": "start"},
            "verify-models": {"verify": {"dataset": "models"}, "after": "models"},
            "tell": {"notify": {"to": ["dr-coordinator"], "subject": "Spikeformer is back",
                                "text": "Database, models and configuration are restored and checked."},
                     "after": ["validate", "fresh", "verify-models", "configuration"]},
        },
    }


def adapt(holdfast, example, company):
    import os
    company = {**company, "as_root": os.getuid() == 0}
    shown = holdfast.run("--plan", example, "plan", "show", plan=False, password=False, json_events=True)
    plan = shown[0]
    plan["repositories"] = {"primary": {"url": str(company["place"] / "backups"),
                                        "key": f"file:{company['place']}/operations/writer.key"}}
    datasets = {}
    for name, change in HAD_HERE.items():
        kept = {key: value for key, value in plan["datasets"][name].items() if key not in LATER}
        datasets[name] = {**kept, **change(company)}
        datasets[name].setdefault("every", "30m")
    datasets["database"]["every"] = "30m"
    plan["datasets"] = datasets
    services = {}
    for name, service in plan["services"].items():
        needs = [need for need in service.get("needs", []) if need in datasets]
        if needs:
            services[name] = {key: value for key, value in service.items() if key != "probe"} | {"needs": needs}
    plan["services"] = services
    plan["scenarios"] = {"database-failure": plan["scenarios"]["database-failure"] | {"runbook": "restore-database"}}
    plan["runbooks"] = {"restore-database": runbook(company)}
    plan["drills"] = {"database-restore": {**plan["drills"]["database-restore"], "run": "restore-database"}}
    plan["notify"] = {"mail": {"server": f"smtp://127.0.0.1:{company['mail_port']}", "from": "holdfast@example.com",
                               "tls": "none"}}
    holdfast.plan.write_text(json.dumps(plan, indent=1) + "\n")
