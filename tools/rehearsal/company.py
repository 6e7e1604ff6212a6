"""A small but real company: a PostgreSQL cluster that is being written to, model files, configuration."""

import array
import json
import os
import pathlib
import pwd
import random
import shutil
import socket
import struct
import subprocess
import threading
import time

POSTGRES_BIN = pathlib.Path("/usr/lib/postgresql/15/bin")
CONNECT = "dbname=spikeformer user=spikeformer_api"


def server_user():
    """Whom the database server runs as: PostgreSQL refuses root."""
    return "postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name


def as_server(command, **options):
    """Runs a program as the server's user; fails with what the program wrote."""
    if os.getuid() == 0:
        command = ["runuser", "-u", server_user(), "--", *map(str, command)]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd="/", **options)
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: {result.stderr.strip() or result.stdout.strip()}")
    return result.stdout


class Database:
    """The production cluster, on a Unix socket of its own."""

    def __init__(self, place):
        self.data = place / "database"
        self.sockets = place / "sockets"
        self.log = self.sockets / "postgresql.log"  # the server may write there
        self.port = 5432  # a name of the socket file; nothing listens on TCP

    def prepare(self):
        for directory in (self.data, self.sockets):
            directory.mkdir(exist_ok=True)
            shutil.chown(directory, server_user())
        self.data.chmod(0o700)

    def create(self):
        self.prepare()
        as_server([POSTGRES_BIN / "initdb", "-D", self.data, "-k", "-U", "dba", "-A", "trust", "-N",
                   "--locale=C.UTF-8", "-E", "UTF8"])
        with open(self.data / "postgresql.auto.conf", "a") as settings:
            settings.write("listen_addresses = ''\n"
                           f"unix_socket_directories = '{self.sockets}'\n"
                           "wal_level = replica\nmax_wal_size = '2GB'\nlog_min_messages = warning\n"
                           "work_mem = '8MB'\n")
        self.start()
        self.query("create role spikeformer_api login; create database spikeformer owner spikeformer_api",
                   database="postgres", user="dba")
        self.query("""
            create extension amcheck;
            set role spikeformer_api;
            create table models (id bigserial primary key, name text unique not null, card jsonb not null,
                                 created_at timestamptz not null default now());
            create table users (id bigserial primary key, mail text unique not null, secret bytea not null);
            create table training_runs (id bigserial primary key, model_id bigint references models,
                                        payload text not null, created_at timestamptz not null default now(),
                                        lsn_after text);
            create unlogged table sessions (id bigserial primary key, token text);
            insert into models (name, card) select 'spikeformer-' || n, jsonb_build_object('layers', n)
                from generate_series(1, 500) n;
            insert into users (mail, secret)
                select 'user' || n || '@example.com', decode(md5(n::text) || md5('x' || n), 'hex')
                from generate_series(1, 250000) n;
            insert into training_runs (model_id, payload)
                select 1 + n % 500, (select string_agg(md5(n::text || '/' || k), '') from generate_series(1, 10) k)
                from generate_series(1, 350000) n;
            insert into sessions (token) select md5(n::text) from generate_series(1, 1000) n;
            reset role;
            create materialized view payloads as select model_id, count(*) from training_runs group by 1;
            analyze;
            """, user="dba")

    def start(self):
        as_server([POSTGRES_BIN / "pg_ctl", "-D", self.data, "-l", self.log, "-w", "-t", "120", "start",
                   "-o", f"-p {self.port}"], timeout=180)

    def connect(self, database="spikeformer", user="dba"):
        return f"host={self.sockets} port={self.port} dbname={database} user={user}"

    def query(self, sql, database="spikeformer", user="dba"):
        result = subprocess.run([POSTGRES_BIN / "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d",
                                 self.connect(database, user)], input=sql, capture_output=True, text=True)
        if result.returncode != 0:
            raise RuntimeError(f"query failed: {result.stderr.strip()}")
        return result.stdout.strip()

    def pid(self):
        try:
            return int((self.data / "postmaster.pid").read_text().split()[0])
        except (FileNotFoundError, IndexError, ValueError):
            return None

    def kill(self):
        """Power loss: the server and all of its children, at once."""
        pid = self.pid()
        if pid is None:
            return
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for process in (pid, *map(int, children)):
            try:
                os.kill(process, 9)
            except ProcessLookupError:
                pass
        while pathlib.Path(f"/proc/{pid}").exists():
            if pathlib.Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] == "Z":
                break
            time.sleep(0.01)
        # Nobody may have reaped it yet: the next server must not take it for one that runs.
        for path in self.sockets.glob(".s.PGSQL.*"):
            path.unlink()

    def stop(self):
        if self.pid() is not None:
            as_server([POSTGRES_BIN / "pg_ctl", "-D", self.data, "-m", "fast", "-w", "stop"])

    def digest(self, up_to):
        """A digest of every row of every table, of training runs up to an id."""
        return self.query(f"""
            select md5(string_agg(t::text, '|' order by id)) from models t;
            select md5(string_agg(t::text, '|' order by id)) from users t;
            select md5(string_agg(t::text, '|' order by id)) from (
                select id, model_id, payload, created_at from training_runs where id <= {up_to}) t;
            select rolname, rolcanlogin from pg_roles where rolname = 'spikeformer_api';
            select setting from pg_settings where name = 'work_mem';
            """)


class Writer(threading.Thread):
    """Writes rows, one commit each, and keeps what the server acknowledged: (id, LSN after the commit)."""

    def __init__(self, database):
        super().__init__(daemon=True)
        self.database = database
        self.acknowledged = []
        self.stopped = threading.Event()
        self.psql = subprocess.Popen(
            [POSTGRES_BIN / "psql", "-XAtq", "-d", database.connect(user="spikeformer_api")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, bufsize=1)

    def run(self):
        number = 0
        try:
            while not self.stopped.is_set():
                number += 1
                self.psql.stdin.write(
                    "insert into training_runs (model_id, payload, created_at) values "
                    f"({1 + number % 500}, 'live {number}', clock_timestamp()) returning id;\n"
                    "select pg_current_wal_insert_lsn(), extract(epoch from clock_timestamp());\n")
                row = self.psql.stdout.readline().strip()
                after = self.psql.stdout.readline().strip()
                if not row or not after:
                    return
                lsn, moment = after.split("|")
                self.acknowledged.append((int(row), parse_lsn(lsn), float(moment)))
                time.sleep(0.004)
        except (BrokenPipeError, ValueError):
            return

    def stop(self):
        self.stopped.set()
        self.join(10)
        self.psql.kill()
        self.psql.wait()


def parse_lsn(text):
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)


def write_safetensors(path, tensors, metadata):
    """A real safetensors file from (name, dtype, shape, bytes)."""
    header, offset = {"__metadata__": metadata}, 0
    for name, dtype, shape, data in tensors:
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, _, _, data in tensors:
            file.write(data)


def make_models(directory):
    """Weights that look like weights, a sharded set with its index, and files beside them."""
    rng = random.Random(20261122)
    pool = array.array("f", (rng.gauss(0, 0.02) for _ in range(1 << 19)))

    def weights(count):
        start = rng.randrange(len(pool))
        data = array.array("f", pool[start:] + pool[:start])
        while len(data) < count:
            data.extend(data)
        return data[:count].tobytes()

    directory.mkdir()
    layers = [(f"blocks.{n}.attn.qkv.weight", "F32", [768, 2304 // 4], weights(768 * 576)) for n in range(6)]
    layers.append(("head.bias", "F32", [1000], weights(1000)))
    write_safetensors(directory / "spikeformer-vit-base.safetensors", layers, {"format": "pt"})
    shards = directory / "spikeformer-large"
    shards.mkdir()
    index = {"metadata": {"total_size": 0}, "weight_map": {}}
    for shard in range(3):
        name = f"model-{shard + 1:05}-of-00003.safetensors"
        tensors = [(f"layers.{shard * 4 + n}.mlp.weight", "BF16", [512, 1024], weights(1 << 18)) for n in range(4)]
        write_safetensors(shards / name, tensors, {"format": "pt"})
        for tensor, _, _, data in tensors:
            index["weight_map"][tensor] = name
            index["metadata"]["total_size"] += len(data)
    (shards / "model.safetensors.index.json").write_text(json.dumps(index, indent=1))
    (shards / "config.json").write_text('{"architectures": ["Spikeformer"], "timesteps": 4}\n')
    os.symlink("spikeformer-large", directory / "current")


def make_configuration(directory):
    """A configuration tree with the awkward things that real ones have."""
    directory.mkdir()
    (directory / "api.yaml").write_text("listen: 0.0.0.0:8080\ndatabase: spikeformer\n")
    (directory / "api.yaml").chmod(0o640)
    (directory / "conf.d").mkdir(mode=0o750)
    (directory / "conf.d" / "10-limits.conf").write_text("requests = 1000\n")
    for name in (b"with space", b"new\nline", b"not utf-8 \xff\xfe", "übergröße ☃".encode(), b"-rf", b"$(reboot)"):
        with open(os.path.join(os.fsencode(directory), name), "wb") as file:
            file.write(b"content of " + name)
    (directory / "secret.key").write_bytes(random.Random(7).randbytes(64))
    (directory / "secret.key").chmod(0o400)
    os.link(directory / "api.yaml", directory / "conf.d" / "api-linked.yaml")
    os.symlink("/nowhere/at/all", directory / "dangling")
    os.mkfifo(directory / "control.fifo", 0o600)
    with open(directory / "sparse.img", "wb") as file:
        file.truncate(64 << 20)
        file.seek(32 << 20)
        file.write(b"in the middle")
    control = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(directory)
    control.bind("control.sock")
    os.chdir(here)
    control.close()
    if os.getuid() == 0:
        subprocess.run(["setfacl", "-m", "u:postgres:r", directory / "api.yaml"], check=True)
        subprocess.run(["setfattr", "-n", "user.origin", "-v", "ansible", directory / "conf.d"], check=True)
        os.chown(directory / "conf.d" / "10-limits.conf", 1234, 4321)
        os.mknod(directory / "null", 0o666 | 0o020000, os.makedev(1, 3))
    os.utime(directory / "conf.d", ns=(1, -1_000_000_001))  # 1969
