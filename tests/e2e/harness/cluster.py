"""A PostgreSQL cluster of our own: made from a template folder in a moment, on a free port and a unix socket."""

import fcntl
import os
import shutil
import signal
import socket
import subprocess

from . import place
from .certs import certs
from .wait import until

USERS = ("u_trust", "u_md5", "u_scram", "u_cert")
PASSWORD = "password, of the tests!"

SETTINGS = """
listen_addresses = '127.0.0.1,::1'
fsync = off
full_page_writes = off
synchronous_commit = on
autovacuum = off
max_connections = 200
shared_buffers = 32MB
max_prepared_transactions = 5
max_wal_senders = 4
wal_level = logical
logging_collector = off
log_min_messages = warning
log_line_prefix = '%m [%p] %u@%d '
lc_messages = 'C'
timezone = 'UTC'
"""

HBA = """
local all postgres trust
local replication postgres trust
host replication postgres samehost trust
host all postgres samehost trust
local all u_trust trust
host all u_trust samehost trust
local all u_md5 md5
host all u_md5 samehost md5
local all u_scram scram-sha-256
host all u_scram samehost scram-sha-256
hostssl all u_cert samehost cert
"""


def _template():
    """initdb, once for all test processes where HEADGATE_E2E_CACHE names a folder, else once for this one."""
    version = os.path.basename(os.path.dirname(place.pg_bin()))
    base = os.environ.get("HEADGATE_E2E_CACHE") or place.scratch()
    os.makedirs(base, exist_ok=True)
    owned = os.path.join(base, f"pg-{version}")
    path = os.path.join(owned, "template")
    with open(os.path.join(base, f"pg-{version}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(path):
            os.makedirs(owned, exist_ok=True)
            os.chmod(owned, 0o755)
            place.give(owned)
            half = path + ".new"
            if os.path.exists(half):
                shutil.rmtree(half)
            place.run(place.as_server([f"{place.pg_bin()}/initdb", "-D", half, "-U", "postgres", "-A", "trust", "-E", "UTF8",
                                       "--locale=C", "-N"]), cwd="/")
            os.rename(half, path)
    return path


def _state(pid):
    """The kernel's letter for what a process does; None: there is none."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rpartition(")")[2].split()[0]
    except OSError:
        return None


class Cluster:
    """`with Cluster() as db:` starts one and removes it at the end. Everything is told by attributes: host, port, socket."""

    def __init__(self, settings="", hba=None, ssl=True, standby_of=None):
        self.base = place.folder("pg", server=True)
        self.data = os.path.join(self.base, "data")
        self.log_path = os.path.join(self.base, "log")
        self.host = "127.0.0.1"
        self.port = place.port()
        self.socket = self.base
        self.process = None
        if standby_of is None:
            place.run(place.as_server(["cp", "-a", _template(), self.data]), cwd="/")
        else:
            place.run(place.as_server([f"{place.pg_bin()}/pg_basebackup", "-h", standby_of.socket, "-p", str(standby_of.port),
                                       "-U", "postgres", "-D", self.data, "-R", "-X", "stream", "-c", "fast"]), cwd="/")
        text = SETTINGS + f"port = {self.port}\nunix_socket_directories = '{self.socket}'\n"
        if ssl:
            for name, source in (("server.crt", certs().server), ("server.key", certs().server_key), ("ca.crt", certs().ca)):
                target = os.path.join(self.data, name)
                shutil.copy(source, target)
                os.chmod(target, 0o600)
                place.give(target)
            text += "ssl = on\nssl_cert_file = 'server.crt'\nssl_key_file = 'server.key'\nssl_ca_file = 'ca.crt'\n"
        self._write("postgresql.conf", text + settings)
        self._write("pg_hba.conf", hba if hba is not None else (HBA if ssl else HBA.replace("hostssl", "host").replace(" cert", " reject")))

    def _write(self, name, text):
        path = os.path.join(self.data, name)
        with open(path, "w") as f:
            f.write(text)
        place.give(path)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop("immediate")
        shutil.rmtree(self.base, ignore_errors=True)

    def start(self):
        assert self.process is None
        log = open(self.log_path, "ab")
        self.process = subprocess.Popen(place.as_server([f"{place.pg_bin()}/postgres", "-D", self.data], dies=True), cwd="/",
                                        stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        log.close()
        until(self._answers, lambda: "PostgreSQL to start\n" + self.log(), 60)
        return self

    def _answers(self):
        if self.process.poll() is not None:
            raise RuntimeError("postgres ended: " + self.log())
        status = os.path.join(self.data, "postmaster.pid")
        with open(status) as f:
            lines = f.read().split("\n")
        if len(lines) < 8 or lines[7].strip() not in ("ready", "standby"):
            return False
        with socket.create_connection((self.host, self.port), 1):
            return True

    def stop(self, how="fast"):
        """smart, fast, immediate, or crash (SIGKILL to every process of it)."""
        if self.process is None:
            return
        backends = []
        if how == "crash":
            self.process.send_signal(signal.SIGSTOP)  # from here on it forks no more
            until(lambda: _state(self.process.pid) in ("T", "Z", None), "the postmaster to stand still")
            backends = self._children()
            self._signal_all(signal.SIGKILL)
        else:
            self.process.send_signal({"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}[how])
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None
        # Until the last of them has gone they keep the shared memory, and the next start finds it in use.
        until(lambda: all(_state(pid) in ("Z", None) for pid in backends), "the backends to be gone")

    def _children(self):
        found = []
        for name in os.listdir("/proc"):
            if name.isdigit():
                try:
                    with open(f"/proc/{name}/stat") as f:
                        if int(f.read().rpartition(")")[2].split()[1]) == self.process.pid:
                            found.append(int(name))
                except (OSError, ValueError):
                    pass
        return found

    def restart(self, how="fast"):
        self.stop(how)
        pidfile = os.path.join(self.data, "postmaster.pid")
        if how == "crash" and os.path.exists(pidfile):
            os.unlink(pidfile)
        self.start()

    def freeze(self):
        """The machine hangs: connections are accepted by the kernel and nothing ever answers."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self):
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number):
        for pid in [self.process.pid] + self._children():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()[-8000:]

    def sql(self, statement, dbname="postgres", user="postgres"):
        """Runs as superuser over the unix socket, one transaction a statement; returns rows as tuples of text."""
        import psycopg2

        connection = psycopg2.connect(host=self.socket, port=self.port, user=user, dbname=dbname, application_name="harness")
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def value(self, statement, dbname="postgres"):
        return self.sql(statement, dbname)[0][0]

    def with_users(self):
        """The users of the authentication matrix, and a control role."""
        for user in USERS:
            self.sql(f"CREATE ROLE {user} LOGIN")
        self.sql(f"SET password_encryption = 'md5'; ALTER ROLE u_md5 PASSWORD '{PASSWORD}'")
        self.sql(f"SET password_encryption = 'scram-sha-256'; ALTER ROLE u_scram PASSWORD '{PASSWORD}'")
        return self

    def database(self, name, head="old"):
        """A database with an Alembic version table, as a real one leaves it. head None: no table."""
        self.sql(f'CREATE DATABASE "{name}"')
        self.sql("GRANT ALL ON SCHEMA public TO PUBLIC", name)
        if head is not None:
            self.sql("CREATE TABLE alembic_version (version_num varchar(32) NOT NULL,"
                     " CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))", name)
            self.record(name, head)
        return name

    def record(self, name, *heads):
        """What a migration tool leaves behind: the version table now holds these heads."""
        values = ", ".join(f"('{head}')" for head in heads)
        self.sql("BEGIN; DELETE FROM alembic_version; " + (f"INSERT INTO alembic_version VALUES {values}; " if heads else "")
                 + "COMMIT", name)

    def dsn(self, dbname="postgres", user="postgres"):
        return f"host={self.socket} port={self.port} user={user} dbname={dbname}"

    def active(self, dbname, text):
        """Is a statement that holds this text being executed?"""
        return int(self.value(f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{dbname}' AND state = 'active' "
                              f"AND pid <> pg_backend_pid() AND strpos(query, '{text}') > 0")) > 0

    def backends(self, dbname, but=""):
        """Client backends of one database other than ours and the proxy's control link."""
        return int(self.value("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND datname = "
                              f"'{dbname}' AND application_name NOT LIKE 'headgate%' AND application_name <> 'harness' {but}"))
