"""The same conversation twice: directly with the server and through the proxy. A driver's test writes down what it saw, and the two
accounts must be equal."""

import os
import subprocess
from dataclasses import dataclass, field

from . import place
from .certs import certs
from .cluster import PASSWORD
from .headgate import QUIET, Headgate, section


@dataclass
class Route:
    """How to get to the database; environment() says it in libpq's words."""

    name: str
    host: str
    port: int
    dbname: str
    user: str = "u_trust"
    password: str = ""
    sslmode: str = "disable"
    options: str = "-c headgate.head=old"
    more: dict = field(default_factory=dict)

    def environment(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith("PG") or k == "PG_BIN"}
        env.update(PGHOST=self.host, PGPORT=str(self.port), PGDATABASE=self.dbname, PGUSER=self.user, PGSSLMODE=self.sslmode,
                   PGOPTIONS=self.options, PGSSLROOTCERT=certs().ca, PGGSSENCMODE="disable", PGCONNECT_TIMEOUT="20", LC_ALL="C.UTF-8")
        if self.password:
            env["PGPASSWORD"] = self.password
        env.update(self.more)
        return env

    def libpq(self, **more):
        parameters = dict(host=self.host, port=self.port, dbname=self.dbname, user=self.user, sslmode=self.sslmode,
                          options=self.options, sslrootcert=certs().ca, gssencmode="disable", connect_timeout=20)
        if self.password:
            parameters["password"] = self.password
        parameters.update(more)
        return parameters

    def run(self, command, check=True, input=None, timeout=120, **env):
        done = subprocess.run(command, env={**self.environment(), **env}, input=input if input is not None else "",
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=timeout)
        assert not check or done.returncode == 0, f"{self.name}: {' '.join(command)}: exit {done.returncode}\n{done.stdout}"
        return done.stdout


# client leg, server leg: what a proxy can relay for every way to authenticate
LEGS = {
    "plain-plain": ("plain", "plain"),
    "tls-plain": ("tls", "plain"),
    "plain-tls": ("plain", "tls"),
    "tls-tls": ("tls", "tls"),
}
USERS = {"trust": ("u_trust", ""), "md5": ("u_md5", PASSWORD), "scram": ("u_scram", PASSWORD)}


class Routes:
    """A cluster with one database, and a proxy with a plain and a TLS listener (with the server's own certificate) and a section for
    each server leg. Through the proxy the database is named after its leg."""

    def __init__(self, cluster, dbname="driven"):
        self.cluster, self.dbname = cluster, dbname
        cluster.database(dbname)
        for user in ("u_trust", "u_md5", "u_scram"):
            cluster.sql(f'GRANT ALL ON DATABASE "{dbname}" TO {user}')
        self.tls_port = place.port()
        made = certs()
        upstream = {"address": f"127.0.0.1:{cluster.port}", "dbname": dbname}
        databases = {
            "plain": section(cluster, dbname, upstream=upstream),
            "tls": section(cluster, dbname, upstream=dict(upstream, tls={"mode": "verify-full", "ca": made.ca})),
            dbname: section(cluster, dbname, upstream=upstream),
        }
        self.gate = Headgate(databases, start=False, config={"log": {"level": QUIET}})
        self.gate.config["listen"].append({"address": f"127.0.0.1:{self.tls_port}", "tls": {
            "cert": made.server, "key": made.server_key, "mode": "require"}})
        self.gate.write()

    def __enter__(self):
        self.gate.start()
        for name in ("plain", "tls", self.dbname):
            self.gate.until_recorded("old", name)
        return self

    def __exit__(self, *problem):
        self.gate.__exit__(*problem)

    def direct(self, auth="trust", sslmode="disable", **more):
        user, password = USERS[auth]
        return Route("directly", "127.0.0.1", self.cluster.port, self.dbname, user, password, sslmode, **more)

    def through(self, auth="trust", leg="plain-plain", **more):
        user, password = USERS[auth]
        client, server = LEGS[leg]
        port = self.tls_port if client == "tls" else self.gate.port
        name = self.dbname if (leg == "plain-plain") else server
        return Route("through headgate", "127.0.0.1", port, name, user, password, "require" if client == "tls" else "disable", **more)

    def compare(self, body, **more):
        """body(route) returns what it saw."""
        expected = body(self.direct(**more))
        seen = body(self.through(**more))
        assert seen == expected
        return expected
