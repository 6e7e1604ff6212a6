#!/usr/bin/env python3
"""Makes the ugliest legal tree, and compares two trees without any code of Holdfast.

    ugly_tree.py make DIR            DIR must not exist
    ugly_tree.py compare DIR DIR     prints what differs; exit code 1 when something does

The comparison is ours (names, types, modes, owners, times to the nanosecond, attributes, hard links,
content, holes) and that of `rsync -aHAXS --checksum --dry-run --itemize-changes --delete`, which sees
things in its own way. rsync is not asked about paths beyond PATH_MAX and about files of a TiB.
"""
import hashlib
import os
import socket
import stat
import struct
import subprocess
import sys

ROOT = os.geteuid() == 0
FLAGS = os.O_RDONLY | os.O_NOFOLLOW
DEEP = b"deep"
HUGE = b"huge"


# --- making ---------------------------------------------------------------------------------------

def write(name, content=b"", mode=0o644, at=None):
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=at)
    os.write(fd, content)
    os.fchmod(fd, mode)
    os.close(fd)


def acl(*entries):
    """The kernel's form of an ACL: version, then (tag, permissions, id)."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


NOBODY = 0xFFFFFFFF
ACL = acl((1, 6, NOBODY), (2, 7, 1234), (4, 4, NOBODY), (8, 5, 4321), (0x10, 7, NOBODY), (0x20, 0, NOBODY))
CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0)  # cap_net_raw+ep


def try_attribute(path, name, value):
    """False where the file system or the user has no right to it."""
    try:
        os.setxattr(path, name, value, follow_symlinks=False)
        return True
    except OSError:
        return False


def make_names(base):
    os.mkdir(base + b"/names")
    at = os.open(base + b"/names", FLAGS)
    for byte in range(1, 256):
        if byte not in b"/.":
            write(bytes([byte]), bytes([byte]), at=at)
    for name in (b"...", b"..hidden", b"-rf", b"new\nline", b"tab\t", b"back\\slash", b"\"quoted'", b"*?[a]",
                 b" leading", b"trailing ", b"name", b"Name", b"NAME", b"\xff\xfe not utf-8", b"\xc3\xa9",
                 b"e\xcc\x81", b"%s%n", b"$(true)", b"\x1b[31mred", b"n" * 255, b"\xff" * 255):
        write(name, name[:20], at=at)
    os.close(at)


def make_deep(base):
    """A path of some 6,000 bytes, with a file on each level."""
    at = os.open(base, FLAGS)
    name = DEEP
    for level in range(60):
        os.mkdir(name, 0o755, dir_fd=at)
        below = os.open(name, FLAGS, dir_fd=at)
        os.close(at)
        at = below
        write(b"file", b"level %d" % level, at=at)
        name = b"directory %02d " % level + b"x" * 88
    os.close(at)


def make_types(base):
    os.mkdir(base + b"/types")
    path = base + b"/types/"
    os.symlink(b"../names/name", path + b"relative")
    os.symlink(b"/etc/passwd", path + b"absolute")
    os.symlink(b"nowhere\n\xff", path + b"dangling")
    os.symlink(b"loop", path + b"loop")
    os.symlink(b"x" * 4000, path + b"long")
    os.mkfifo(path + b"fifo", 0o620)
    with socket.socket(socket.AF_UNIX) as unix:
        here = os.open(".", FLAGS)
        os.chdir(path)
        unix.bind("socket")
        os.fchdir(here)
        os.close(here)
    os.chmod(path + b"socket", 0o604)
    if ROOT:
        os.mknod(path + b"null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        os.mknod(path + b"large numbers", 0o640 | stat.S_IFCHR, os.makedev(4000, 1048575))
        os.mknod(path + b"disk", 0o660 | stat.S_IFBLK, os.makedev(7, 77))


def make_links(base):
    os.makedirs(base + b"/links/below/further")
    path = base + b"/links/"
    write(path + b"first", b"one file of four names")
    os.link(path + b"first", path + b"below/second")
    os.link(path + b"first", path + b"below/further/third")
    os.link(path + b"first", base + b"/zz fourth")
    write(path + b"empty pair")
    os.link(path + b"empty pair", path + b"a of empty pair")
    os.symlink(b"first", path + b"symlink")
    os.link(path + b"symlink", path + b"symlink too", follow_symlinks=False)
    os.mkfifo(path + b"fifo")
    os.link(path + b"fifo", path + b"fifo too")


def make_holes(base):
    os.mkdir(base + b"/holes")
    path = base + b"/holes/"

    def sparse(name, size, *runs):
        fd = os.open(path + name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        for offset, content in runs:
            os.pwrite(fd, content, offset)
        os.ftruncate(fd, size)
        os.close(fd)

    sparse(b"only a hole", 1 << 20)
    sparse(b"hole at the end", 1 << 20, (0, b"begin"))
    sparse(b"hole at the beginning", (1 << 20) + 7, (1 << 20, b"the end"))
    sparse(b"many holes", 8 << 20, *((i * 65536, b"run %d" % i) for i in range(0, 128, 2)))
    sparse(b"zeros that are no hole", 1 << 20, (0, bytes(1 << 20)))
    sparse(b"one byte", 1)
    sparse(HUGE, 1 << 40, (0, b"first"), (1 << 30, os.urandom(100000)), ((1 << 40) - 5, b"last!"))


def make_metadata(base):
    os.mkdir(base + b"/metadata")
    path = base + b"/metadata/"
    for mode in (0o000, 0o001, 0o111, 0o200, 0o400, 0o444, 0o640, 0o777, 0o1644, 0o2755, 0o4755, 0o6711):
        write(path + b"mode %04o" % mode, b"x", mode)
    for mode in (0o500, 0o700, 0o1777, 0o2775, 0o3770):
        os.mkdir(path + b"directory %04o" % mode)
        write(path + b"directory %04o/inside" % mode, b"x")
        os.chmod(path + b"directory %04o" % mode, mode)
    write(path + b"attributes", b"x")
    for i in range(10):
        try_attribute(path + b"attributes", b"user.attribute %d \xff" % i, os.urandom(i * 20))
    write(path + b"acl", b"x")
    try_attribute(path + b"acl", b"system.posix_acl_access", ACL)
    os.mkdir(path + b"default acl")
    try_attribute(path + b"default acl", b"system.posix_acl_default", ACL)
    write(path + b"default acl/inherits", b"x")
    if ROOT:
        write(path + b"owned", b"x")
        os.chown(path + b"owned", 12345, 54321)
        os.symlink(b"owned", path + b"owned link")
        os.chown(path + b"owned link", 4294967294, 4294967294, follow_symlinks=False)
        write(path + b"capable", b"x", 0o755)
        try_attribute(path + b"capable", b"security.capability", CAPABILITY)
        try_attribute(path + b"owned link", b"trusted.link", b"t")


def make_times(base):
    os.mkdir(base + b"/times")
    for i, ns in enumerate((0, 1, -1, -1_000_000_000, -(1 << 31) * 10**9, 999_999_999, (1 << 31) * 10**9,
                            (1 << 33) * 10**9 + 123_456_789, 10**18)):
        path = base + b"/times/%d" % i
        write(path, b"x")
        os.utime(path, ns=(0, ns))
    os.symlink(b"0", base + b"/times/link")
    os.utime(base + b"/times/link", ns=(0, -987_654_321), follow_symlinks=False)
    os.mkfifo(base + b"/times/fifo")
    os.utime(base + b"/times/fifo", ns=(0, 5_000_000_001))
    os.utime(base + b"/times", ns=(0, -86_400 * 10**9 + 1))


def make_content(base):
    os.mkdir(base + b"/content")
    path = base + b"/content/"
    for size in (0, 1, 4095, 4096, 4097, 65536, (1 << 20) - 1, (1 << 20) + 1, 5_000_000):
        write(path + b"%d" % size, os.urandom(size))
    write(path + b"repeats", b"0123456789abcdef" * 300_000)
    os.mkdir(path + b"empty directory")
    os.makedirs(path + b"many")
    for i in range(500):
        write(path + b"many/%d" % i, b"%d\n" % (i // 2) * 20)


def make(base):
    os.mkdir(base)
    for part in (make_names, make_deep, make_types, make_links, make_holes, make_metadata, make_content,
                 make_times):
        part(base)
    os.utime(base, ns=(0, 1_234_567_890_123_456_789))
    return 0


# --- comparing ------------------------------------------------------------------------------------

def attributes(directory, name):
    path = b"/proc/self/fd/%d/%s" % (directory, name)
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError:
        return {}
    return {key: os.getxattr(path, key, follow_symlinks=False) for key in names}


def content(directory, name, size):
    """Where data lies, and a digest of it."""
    fd = os.open(name, FLAGS | os.O_NONBLOCK, dir_fd=directory)
    runs, digest, at = [], hashlib.sha256(), 0
    while at < size:
        try:
            begin = os.lseek(fd, at, os.SEEK_DATA)
        except OSError:
            break
        at = os.lseek(fd, begin, os.SEEK_HOLE)
        runs.append((begin, at))
        while begin < at:
            bytes_read = os.pread(fd, min(at - begin, 1 << 20), begin)
            if not bytes_read:
                break
            digest.update(bytes_read)
            begin += len(bytes_read)
    os.close(fd)
    return runs, digest.hexdigest()


def describe(base):
    """Path → what is there. Directories are reached by descriptors: no path is too long."""
    found = {}
    links = {}

    def look(directory, name, path):
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        kind = stat.S_IFMT(status.st_mode)
        one = {"type": kind, "mode": oct(stat.S_IMODE(status.st_mode)), "owner": (status.st_uid, status.st_gid),
               "mtime": status.st_mtime_ns, "attributes": attributes(directory, name)}
        if kind == stat.S_IFREG:
            one["size"] = status.st_size
            one["data"], one["digest"] = content(directory, name, status.st_size)
        elif kind == stat.S_IFLNK:
            one["target"] = os.readlink(name, dir_fd=directory)
        elif kind in (stat.S_IFCHR, stat.S_IFBLK):
            one["device"] = status.st_rdev
        if kind != stat.S_IFDIR and status.st_nlink > 1:
            one["link to"] = links.setdefault((status.st_dev, status.st_ino), path)
            one["links"] = status.st_nlink
        found[path] = one
        if kind == stat.S_IFDIR:
            below = os.open(name, FLAGS | os.O_DIRECTORY, dir_fd=directory)
            for child in sorted(map(os.fsencode, os.listdir(below))):
                look(below, child, path + b"/" + child)
            os.close(below)

    top = os.open(base, os.O_RDONLY | os.O_DIRECTORY)
    look(top, b".", b"")
    os.close(top)
    return found


def compare_ours(a, b):
    first, second = describe(a), describe(b)
    faults = 0
    for path in sorted(first.keys() | second.keys()):
        one, two = first.get(path), second.get(path)
        if one == two:
            continue
        faults += 1
        if one is None or two is None:
            print(f"{path!r}: only in {'the second' if one is None else 'the first'}")
            continue
        for key in sorted(one.keys() | two.keys()):
            if one.get(key) != two.get(key):
                print(f"{path!r}: {key}: {one.get(key)!r:.200} and {two.get(key)!r:.200}")
    print(f"compared {len(first)} names: {faults} differ")
    return faults


def compare_rsync(a, b):
    command = ["rsync", "-aHAXS", "--checksum", "--dry-run", "--itemize-changes", "--delete",
               "--exclude=/deep", "--exclude=/holes/huge", a + b"/", b + b"/"]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    except FileNotFoundError:
        print("rsync is not installed: its opinion is missing")
        return 0
    lines = done.stdout.decode(errors="backslashreplace").splitlines()
    for line in lines:
        print("rsync:", line)
    return len(lines) + (1 if done.returncode else 0)


def compare(a, b):
    return 1 if compare_ours(a, b) + compare_rsync(a, b) else 0


def main():
    sys.setrecursionlimit(20_000)
    arguments = [os.fsencode(argument) for argument in sys.argv[1:]]
    if len(arguments) == 2 and arguments[0] == b"make":
        return make(arguments[1])
    if len(arguments) == 3 and arguments[0] == b"compare":
        return compare(arguments[1], arguments[2])
    print(__doc__)
    return 2


if __name__ == "__main__":
    sys.exit(main())
