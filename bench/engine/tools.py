"""The programs that are compared. Each keeps its repository, caches and secrets in a directory of its own."""

import os
import subprocess
import sys
from pathlib import Path

RADOSGW = Path(__file__).parents[2] / "tests" / "fixtures" / "s3" / "radosgw_server.py"


class S3Server:
    """Ceph's radosgw, which keeps its objects in memory: what is measured is the clients."""

    def __init__(self, directory):
        self.process = subprocess.Popen([sys.executable, "-B", RADOSGW, directory], stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line.startswith("port "):
            sys.exit(f"no S3 server: {line}")
        self.endpoint = f"http://localhost:{line.split()[1]}"
        os.environ.update({"AWS_ACCESS_KEY_ID": "holdfast-test", "AWS_SECRET_ACCESS_KEY": "holdfast-secret",
                           "AWS_EC2_METADATA_DISABLED": "true"})

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Tool:
    def __init__(self, home):
        self.home = Path(home)
        self.home.mkdir()
        self.repository = self.home / "repository"
        self.environment = dict(os.environ, HOME=str(self.home), XDG_CACHE_HOME=str(self.home / "cache"),
                                XDG_STATE_HOME=str(self.home / "state"))

    def once(self, *command):
        subprocess.run(command, check=True, env=self.environment, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)


class Holdfast(Tool):
    name = "holdfast"

    def __init__(self, home, binary, server=None, parity=None):
        super().__init__(home)
        self.parity = ["--parity", parity] if parity else []
        self.environment["HOLDFAST_PASSWORD"] = "benchmark"
        repository = f"s3://bench/holdfast?endpoint={server.endpoint}" if server else self.repository
        self.command = [binary, "--quiet", "--repo", str(repository)]
        self.once(*self.command, "init", "--kit", str(self.home / "kit.txt"))

    def back_up(self, tree):
        return [*self.command, "backup", *self.parity, "--name", "tree", f"files:{tree}"], tree

    def restore(self, to):
        return [*self.command, "restore", "--special-bits", "tree@latest", str(to)], to

    def verify(self):
        return [*self.command, "verify", "--data"], self.home


class Restic(Tool):
    name = "restic"

    def __init__(self, home, server=None):
        super().__init__(home)
        self.environment["RESTIC_PASSWORD"] = "benchmark"
        repository = f"s3:{server.endpoint}/bench/restic" if server else self.repository
        self.command = ["restic", "-q", "-r", str(repository)]
        self.once(*self.command, "init")

    def back_up(self, tree):
        return [*self.command, "backup", "."], tree

    def restore(self, to):
        return [*self.command, "restore", "latest", "--target", str(to)], to

    def verify(self):
        return [*self.command, "check", "--read-data"], self.home


class Borg(Tool):
    name = "borg"

    def __init__(self, home):
        super().__init__(home)
        self.environment["BORG_PASSPHRASE"] = "benchmark"
        self.archives = 0
        self.once("borg", "init", "-e", "repokey", str(self.repository))

    def back_up(self, tree):
        self.archives += 1
        return ["borg", "create", "-C", "zstd,3", f"{self.repository}::{self.archives}", "."], tree

    def restore(self, to):
        return ["borg", "extract", f"{self.repository}::{self.archives}"], to

    def verify(self):
        return ["borg", "check", "--verify-data", str(self.repository)], self.home
