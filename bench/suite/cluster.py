"""The PostgreSQL that everything is measured against: made in a temporary folder, tuned so that it is not the bottleneck."""

import glob
import os
import re
import signal
import subprocess
import time

from .children import Failure, free_port

SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = '{folder}'
port = {port}
max_connections = 1500
superuser_reserved_connections = 10
shared_buffers = 384MB
huge_pages = off
fsync = off
synchronous_commit = off
full_page_writes = off
wal_level = minimal
max_wal_senders = 0
max_wal_size = 8GB
autovacuum = off
jit = off
max_parallel_workers_per_gather = 0
log_min_messages = warning
ssl = on
ssl_cert_file = '{cert}'
ssl_key_file = '{key}'
"""

TRUST = """
local all all trust
host all all 127.0.0.1/32 trust
"""


def binaries():
    """The folder of the newest PostgreSQL server that is installed."""
    found = glob.glob("/usr/lib/postgresql/*/bin/postgres") or glob.glob("/usr/bin/postgres")
    if not found:
        raise Failure("no PostgreSQL server installed")
    newest = max(found, key=lambda path: [int(number) for number in re.findall(r"\d+", path)] or [0])
    return os.path.dirname(newest)


class Cluster:
    user = "bench"
    database = "bench"
    head = "bench1"

    def __init__(self, nursery, folder, scale):
        self.bin = binaries()
        self.folder = folder
        self.port = free_port()
        self.scale = scale
        self.rows = scale * 100000
        self.cert = os.path.join(folder, "server.crt")
        self.key = os.path.join(folder, "server.key")
        self.data = os.path.join(folder, "data")
        self._certificate()
        self._call("initdb", "--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", self.data)
        with open(os.path.join(self.data, "postgresql.conf"), "a", encoding="ascii") as file:
            file.write(SETTINGS.format(**vars(self)))
        with open(os.path.join(self.data, "pg_hba.conf"), "w", encoding="ascii") as file:
            file.write(TRUST)
        self.child = nursery.start(
            "postgres", [os.path.join(self.bin, "postgres"), "-D", self.data], end_signal=signal.SIGQUIT)
        self.child.wait_for_port(self.port)
        self._fill()

    def _certificate(self):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=localhost",
             "-keyout", self.key, "-out", self.cert], check=True, stderr=subprocess.DEVNULL)
        os.chmod(self.key, 0o600)

    def program(self, name):
        return os.path.join(self.bin, name)

    def _call(self, program, *arguments):
        done = subprocess.run(
            [self.program(program), *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode != 0:
            raise Failure(f"{program} failed:\n{done.stdout}")

    def sql(self, text, database=None):
        """Runs statements as superuser, directly; returns the last one's output, unaligned."""
        done = subprocess.run(
            [self.program("psql"), "-h", self.folder, "-p", str(self.port), "-U", "postgres", "-d", database or self.database,
             "-XqAt", "-v", "ON_ERROR_STOP=1", "-c", text],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            raise Failure(f"psql: {done.stderr.strip()}")
        return done.stdout.strip()

    def _fill(self):
        deadline = time.monotonic() + 30
        while True:
            try:
                self.sql("SELECT 1", "postgres")
                break
            except Failure:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        self.sql(f"CREATE ROLE {self.user} LOGIN", "postgres")
        self.sql("CREATE ROLE control LOGIN SUPERUSER", "postgres")
        self.sql(f"CREATE DATABASE {self.database} OWNER {self.user}", "postgres")
        self._call("pgbench", "-i", "-q", "-s", str(self.scale), "-h", self.folder, "-p", str(self.port), "-U", self.user,
                   self.database)
        self.sql("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);"
                 f"INSERT INTO alembic_version VALUES ('{self.head}');"
                 "CREATE UNLOGGED TABLE wide (filler text);"
                 "ALTER TABLE wide ALTER filler SET STORAGE PLAIN;"
                 "INSERT INTO wide SELECT repeat(md5(n::text), 125) FROM generate_series(1, 25000) n;"
                 "CREATE UNLOGGED TABLE sink (filler text);"
                 f"ALTER TABLE wide OWNER TO {self.user}; ALTER TABLE sink OWNER TO {self.user}")
        self.sql("CHECKPOINT")

    def renew_backends(self):
        """Ends the load's backends that a pool has kept and waits until they are gone: so every variant's run begins with new ones.
        A new backend is slower for seconds (empty caches, a page fault for each shared page it first touches), and that would be
        measured as the slowness of the proxies that keep none."""
        deadline = time.monotonic() + 30
        while self.sql(f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = '{self.user}'", "postgres") != "0":
            if time.monotonic() > deadline:
                raise Failure("a backend of the load does not end")
            time.sleep(0.02)

    def backends(self):
        """How many backends the load has now."""
        return int(self.sql(f"SELECT count(*) FROM pg_stat_activity WHERE usename = '{self.user}'", "postgres"))

    def sessions(self):
        """How many sessions the database has had so far."""
        return int(self.sql(f"SELECT sessions FROM pg_stat_database WHERE datname = '{self.database}'", "postgres"))
