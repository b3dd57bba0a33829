"""What is measured: each variant knows its configuration, how to start, and where clients find it."""

import os
import re
import subprocess

from .children import Failure, free_port


class Variant:
    """One way to PostgreSQL. host, port: where clients go; env: what they need besides; child: the proxy, None when there is
    none. wrap: a tracer's command line to put before the program's."""

    name = None
    console = None  # what the hold section needs: a dict of the load tool's console keys; empty orders: the clients hold themselves

    def __init__(self, rig):
        self.rig = rig
        self.cluster = rig.cluster
        self.folder = os.path.join(rig.folder, self.name)
        os.makedirs(self.folder, exist_ok=True)
        self.host = "127.0.0.1"
        self.port = free_port()
        self.env = {}
        self.options = ""
        self.child = None

    def tls_port(self):
        return self.port

    def upstream(self):
        """(host or socket folder, port) of PostgreSQL, as --upstream wants it."""
        return (self.cluster.folder if self.rig.options.upstream == "unix" else "127.0.0.1"), self.cluster.port

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def command(self):
        """Writes the configuration and returns the command line."""
        raise NotImplementedError

    def start(self, wrap=(), patience=10):
        self.child = self.rig.nursery.start(self.name, [*wrap, *self.command()], patience=patience)
        self.child.wait_for_port(self.port, 60 if wrap else 20)

    def stop(self, pid=None):
        if self.child:
            self.rig.nursery.end(self.child, pid)
            self.child = None

    def cannot(self, protocol):
        """Why this variant cannot serve a pgbench protocol; None when it can."""
        del protocol
        return None

    def backends(self, clients):
        """How many server connections that many clients get."""
        return clients

    def version(self):
        return ""


class Direct(Variant):
    name = "direct"

    def __init__(self, rig):
        super().__init__(rig)
        self.port = self.cluster.port
        self.console = dict.fromkeys(("console", "console_port", "console_user", "console_database", "hold", "release"), "")
        if rig.options.upstream == "unix":
            self.host = self.cluster.folder

    def start(self, wrap=(), patience=10):
        pass

    def version(self):
        text = subprocess.run([self.cluster.program("postgres"), "--version"], stdout=subprocess.PIPE, text=True, check=True)
        return text.stdout.strip()


class Headgate(Variant):
    name = "headgate"

    CONFIG = """\
listen:
  - address: 127.0.0.1:{port}
  - address: 127.0.0.1:{tls}
    tls: {{mode: require, cert: {cert}, key: {key}}}
workers: 1
console: {{address: "unix:{folder}/.s.PGSQL.{port}"}}
databases:
  {database}:
    upstream: {{address: "{upstream}", dbname: {database}, tls: {{mode: disable}}}}
    control: {{dsn: "host={host} port={pgport} user=control dbname={database}"}}
    recorded: {{reader: alembic, schema: public}}
    accept: exact
    undeclared: reject
    hold: {{max: 60s}}
    drain: {{timeout: 10s}}
limits: {{clients: 10000}}
log: {{level: warning, to: stderr}}
"""

    def __init__(self, rig):
        super().__init__(rig)
        self.tls = free_port()
        self.options = f"-c headgate.head={self.cluster.head}"
        self.env = {"PGOPTIONS": self.options}
        self.console = {
            "console": self.folder, "console_port": self.port, "console_user": rig.os_user, "console_database": "headgate",
            "hold": f"HOLD {self.cluster.database}", "release": f"RELEASE {self.cluster.database}"}

    def tls_port(self):
        return self.tls

    def config(self):
        host, port = self.upstream()
        upstream = f"unix:{host}/.s.PGSQL.{port}" if host.startswith("/") else f"{host}:{port}"
        return self.write("headgate.yaml", self.CONFIG.format(
            port=self.port, tls=self.tls, cert=self.cluster.cert, key=self.cluster.key, folder=self.folder,
            database=self.cluster.database, upstream=upstream, host=host, pgport=port))

    def command(self):
        return [self.rig.options.headgate, "serve", "--config", self.config()]

    def init(self):
        """Makes the ledger, so that what the control link does each second is what it does in life."""
        done = subprocess.run([self.rig.options.headgate, "init", "--config", self.config()],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode != 0:
            self.rig.say(f"headgate init failed ({done.returncode}), going on without a ledger: {done.stdout.strip()}")

    def version(self):
        done = subprocess.run([self.rig.options.headgate, "version"], stdout=subprocess.PIPE, text=True, check=False)
        return done.stdout.strip().split("\n")[0]


class PgBouncer(Variant):
    mode = None

    CONFIG = """\
[databases]
{database} = host={host} port={pgport} dbname={database}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir = {folder}
auth_type = trust
auth_file = {users}
admin_users = {user}
pool_mode = {mode}
default_pool_size = {pool}
max_client_conn = 5000
client_tls_sslmode = allow
client_tls_cert_file = {cert}
client_tls_key_file = {key}
server_tls_sslmode = disable
log_connections = 0
log_disconnections = 0
"""

    def __init__(self, rig):
        super().__init__(rig)
        self.console = {
            "console": self.folder, "console_port": self.port, "console_user": self.cluster.user,
            "console_database": "pgbouncer", "hold": f"PAUSE {self.cluster.database}",
            "release": f"RESUME {self.cluster.database}"}

    def pool(self):
        return 1400

    def number(self):
        """(major, minor)"""
        return tuple(int(part) for part in re.search(r"(\d+)\.(\d+)", self.version()).groups())

    def command(self):
        host, port = self.upstream()
        users = self.write("users.txt", f'"{self.cluster.user}" ""\n')
        text = self.CONFIG.format(
            database=self.cluster.database, host=host, pgport=port, port=self.port, folder=self.folder, users=users,
            user=self.cluster.user, mode=self.mode, pool=self.pool(), cert=self.cluster.cert, key=self.cluster.key)
        if self.number() >= (1, 21):
            text += "max_prepared_statements = 200\n"
        return [self.rig.options.pgbouncer, self.write("pgbouncer.ini", text)]

    def version(self):
        text = subprocess.run([self.rig.options.pgbouncer, "--version"], stdout=subprocess.PIPE, text=True, check=True)
        return text.stdout.split("\n")[0]


class PgBouncerSession(PgBouncer):
    name = "pgbouncer-session"
    mode = "session"


class PgBouncerTransaction(PgBouncer):
    name = "pgbouncer-transaction"
    mode = "transaction"

    def pool(self):
        return self.rig.options.txn_pool

    def backends(self, clients):
        return min(clients, self.pool())

    def cannot(self, protocol):
        if protocol == "prepared" and self.number() < (1, 21):
            return "prepared statements in transaction mode need PgBouncer 1.21"
        return None


class HAProxy(Variant):
    name = "haproxy"

    CONFIG = """\
global
	nbthread 1
	maxconn 6000
defaults
	mode tcp
	timeout connect 10s
	timeout client 1h
	timeout server 1h
listen postgres
	bind 127.0.0.1:{port}
	server one {upstream}
"""

    def command(self):
        host, port = self.upstream()
        upstream = f"unix@{host}/.s.PGSQL.{port}" if host.startswith("/") else f"{host}:{port}"
        config = self.write("haproxy.cfg", self.CONFIG.format(port=self.port, upstream=upstream))
        return [self.rig.options.haproxy, "-db", "-q", "-f", config]

    def version(self):
        text = subprocess.run([self.rig.options.haproxy, "-v"], stdout=subprocess.PIPE, text=True, check=True)
        return text.stdout.split(" - ")[0].strip()


KINDS = [Direct, Headgate, PgBouncerSession, PgBouncerTransaction, HAProxy]
NAMES = [kind.name for kind in KINDS]


def make(rig, names):
    """The variants of those names, in the order of KINDS; headgate only where there is one."""
    unknown = set(names) - set(NAMES)
    if unknown:
        raise Failure(f"no such variant: {', '.join(sorted(unknown))} (there are: {', '.join(NAMES)})")
    return [kind(rig) for kind in KINDS if kind.name in names and (kind is not Headgate or rig.options.headgate)]
