"""What the scripts beside this share: a place of their own, the program, cases that are counted."""
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

PROGRAM = os.environ.get("HOLDFAST", "")
PASSWORD = "correct horse battery staple"
BEGAN = time.monotonic()


class Done:
    """What a run of the program left: exit code (negative: the signal), standard output and error."""

    def __init__(self, result):
        self.code = result.returncode
        self.out = result.stdout.decode(errors="backslashreplace")
        self.err = result.stderr.decode(errors="backslashreplace")
        self.text = self.out + self.err

    def events(self, name=None):
        """The JSON documents of standard output; a line cut off by a kill is left out."""
        found = []
        for line in self.out.splitlines():
            try:
                one = json.loads(line)
            except ValueError:
                continue
            if name is None or one.get("event") == name:
                found.append(one)
        return found

    def points(self):
        """Ids of the points that were acknowledged."""
        return [event["id"] for event in self.events("point")]

    def __str__(self):
        return f"exit code {self.code}\n{self.out[-1500:]}{self.err[-1500:]}"


class Place:
    """A temporary directory with a repository, state and cache of its own; removed at the end."""

    def __init__(self, name):
        if not PROGRAM:
            sys.exit("HOLDFAST must name the program")
        self.path = pathlib.Path(tempfile.mkdtemp(prefix=f"holdfast-{name}-"))
        self.path.chmod(0o755)  # other users reach what is made for them
        self.repository = self.path / "repository"
        self.environment = {name: value for name, value in os.environ.items()
                            if not name.startswith(("HOLDFAST", "PG"))}
        self.environment.update(HOLDFAST_STATE=str(self.path / "state"), HOLDFAST_CACHE=str(self.path / "cache"),
                                HOLDFAST_REPOSITORY=str(self.repository), HOLDFAST_PASSWORD=PASSWORD,
                                HOME=str(self.path), LC_ALL="C.UTF-8")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)

    def run(self, *arguments, before=(), environment=None, timeout=120, **options):
        """Runs the program to its end. `environment` overrides; a value of None removes."""
        merged = dict(self.environment)
        for name, value in (environment or {}).items():
            merged.pop(name, None)
            if value is not None:
                merged[name] = str(value)
        command = [*map(str, before), PROGRAM, *map(str, arguments)]
        return Done(subprocess.run(command, env=merged, stdin=subprocess.DEVNULL, capture_output=True,
                                   timeout=timeout, check=False, cwd=self.path, **options))

    def must(self, *arguments, **options):
        """The same; anything but success ends the test."""
        done = self.run(*arguments, **options)
        if done.code != 0:
            sys.exit(f"FAILED holdfast {' '.join(map(str, arguments))}: {done}")
        return done


class Cases:
    """Prints a line for each case and remembers whether any failed."""

    def __init__(self):
        self.failed = 0
        self.count = 0

    def check(self, holds, what, detail=""):
        self.count += 1
        if holds:
            print(f"ok      {what}", flush=True)
        else:
            self.failed += 1
            print(f"FAILED  {what}\n{detail}", flush=True)
        return holds

    def expect(self, done, code, what, *texts):
        """The exit code, and that each text (or one of a tuple) is in what was printed."""
        missing = [text for text in texts
                   if not any(one.lower() in done.text.lower()
                              for one in (text if isinstance(text, tuple) else (text,)))]
        return self.check(done.code == code and not missing, f"{what}: {code}",
                          f"wanted {code} and {missing!r}, got {done}")

    def end(self):
        print(f"{self.count} cases, {self.failed} failed, in {time.monotonic() - BEGAN:.1f} s")
        sys.exit(1 if self.failed else 0)


def tree(top, times=True):
    """Path → what is there, with digests: two equal trees have equal dictionaries."""
    top = pathlib.Path(top)
    found = {}
    for path in sorted([top, *top.rglob("*")]):
        status = path.lstat()
        one = [status.st_mode, status.st_uid, status.st_gid]
        if path.is_symlink():
            one.append(os.readlink(path))
        elif path.is_file():
            one.append(hashlib.sha256(path.read_bytes()).hexdigest())
        if times:
            one.append(status.st_mtime_ns)
        found[str(path.relative_to(top))] = one
    return found


def names(top):
    """All names below a directory: to show that nothing was written."""
    return {str(path) for path in pathlib.Path(top).rglob("*")}
