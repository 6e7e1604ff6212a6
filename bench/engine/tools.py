"""The programs that are compared. Each keeps its repository, caches and secrets in a directory of its own."""

import os
import subprocess
from pathlib import Path


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

    def __init__(self, home, binary):
        super().__init__(home)
        self.environment["HOLDFAST_PASSWORD"] = "benchmark"
        self.command = [binary, "--quiet", "--repo", str(self.repository)]
        self.once(*self.command, "init", "--kit", str(self.home / "kit.txt"))

    def back_up(self, tree):
        return [*self.command, "backup", "--name", "tree", f"files:{tree}"], tree

    def restore(self, to):
        return [*self.command, "restore", "tree@latest", str(to)], to

    def verify(self):
        return [*self.command, "verify", "--data"], self.home


class Restic(Tool):
    name = "restic"

    def __init__(self, home):
        super().__init__(home)
        self.environment["RESTIC_PASSWORD"] = "benchmark"
        self.command = ["restic", "-q", "-r", str(self.repository)]
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
