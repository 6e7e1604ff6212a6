"""Trees to back up, and what becomes of them by the next day. The same bytes on every machine, but for
`small`, which is made of this machine's own /usr."""

import os
import random
import shutil
from pathlib import Path

MIB = 1 << 20


def noise(path, size, seed):
    source = random.Random(seed)
    with open(path, "wb") as file:
        for at in range(0, size, 4 * MIB):
            file.write(source.randbytes(min(4 * MIB, size - at)))


class Incompressible:
    """1 GiB that nothing makes smaller, in four files. Later: one byte before one, 1 MiB within another."""

    name = "a: 1 GiB incompressible, 4 files"

    def make(self, root):
        for i in range(4):
            noise(root / f"f{i}", 256 * MIB, i)

    def change(self, root):
        # In pieces: the memory of this process would show as that of those that it starts.
        with open(root / "f0", "rb") as old, open(root / "new", "wb") as new:
            new.write(b"x")
            shutil.copyfileobj(old, new, 4 * MIB)
        (root / "new").rename(root / "f0")
        with open(root / "f1", "r+b") as file:
            file.seek(100 * MIB)
            file.write(random.Random(9).randbytes(MIB))


class Small:
    """60,000 files of at most 100 KB from /usr. Later: 1 % appended to, 0.5 % deleted, 0.5 % new."""

    name = "b: 60,000 small files"

    def make(self, root, files=60_000):
        left = files
        for folder, folders, names in os.walk("/usr"):
            folders.sort()
            for name in sorted(names):
                path = Path(folder, name)
                if path.is_symlink() or not path.is_file() or path.stat().st_size > 100_000:
                    continue
                to = root / path.relative_to("/")
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, to)
                left -= 1
                if left == 0:
                    return

    def change(self, root):
        files = sorted(path for path in root.rglob("*") if path.is_file())
        for i, path in enumerate(files):
            if i % 100 == 7:
                with open(path, "ab") as file:
                    file.write(b"one line more\n")
            elif i % 200 == 42:
                path.unlink()
            elif i % 200 == 43:
                shutil.copyfile(path, path.with_name(path.name + ".new"))


class Sparse:
    """The image of a virtual machine: 4 GiB, of which 1 GiB is data. Later: 64 MiB of it are other ones."""

    name = "d: sparse image, 1 of 4 GiB"

    def make(self, root):
        with open(root / "disk.img", "wb") as file:
            file.truncate(4096 * MIB)
            for i in range(64):
                file.seek(i * 64 * MIB)
                file.write(random.Random(i).randbytes(16 * MIB))

    def change(self, root):
        with open(root / "disk.img", "r+b") as file:
            for i in range(64):
                file.seek(i * 64 * MIB + 5 * MIB)
                file.write(random.Random(1000 + i).randbytes(MIB))


class Tiny:
    """A million files of 1 KiB, a thousand to a directory."""

    name = "e: 1,000,000 files of 1 KiB"

    def make(self, root):
        source = random.Random(5)
        for i in range(1000):
            folder = root / f"{i:03}"
            folder.mkdir()
            for j in range(1000):
                (folder / f"{j:03}.json").write_bytes(source.randbytes(512).hex().encode())

    def change(self, root):
        pass


ALL = {"a": Incompressible, "b": Small, "d": Sparse, "e": Tiny}
