"""node-postgres, pgJDBC, lib/pq, pgx, ruby-pg and DBD::Pg: each runs one program of tests/e2e/drivers directly and through the proxy, and
what it prints must be the same. Then what a login meets, refusal, hold and certificates, with these and with psql and Python's. Where a
driver is not to be had, that is printed."""

import contextlib
import glob
import os
import shutil
import subprocess

import pytest

from harness import place
from harness.certs import certs
from harness.headgate import Headgate, section
from harness.routes import LEGS, USERS, Route, Routes
from harness.wait import until

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "drivers")


def cache(name):
    """What was fetched or compiled is kept from run to run where HEADGATE_CACHE names a folder."""
    base = os.environ.get("HEADGATE_CACHE")
    if not base:
        return place.folder(name)
    path = os.path.join(base, name)
    os.makedirs(path, exist_ok=True)
    return path


def works(command, **env):
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120,
                              env={**os.environ, **env}).returncode == 0
    except FileNotFoundError:
        return False


def node():
    """Debian's node-pg, or npm's pg."""
    if not shutil.which("node"):
        return "no node here", None, {}
    probe = ["node", "-e", "require('pg')"]
    if works(probe, NODE_PATH="/usr/share/nodejs"):
        return None, ["node", "--no-deprecation", f"{HERE}/node.js"], {"NODE_PATH": "/usr/share/nodejs"}
    base = cache("node")
    modules = {"NODE_PATH": f"{base}/node_modules"}
    if not works(probe, **modules):
        if not shutil.which("npm"):
            return "neither Debian's node-pg nor npm here", None, {}
        with open(f"{base}/package.json", "w") as f:
            f.write('{"private": true}')
        done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "pg@8"], cwd=base, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=170)
        if done.returncode != 0:
            return "npm cannot be reached: " + done.stdout[-200:].replace("\n", " "), None, {}
    return None, ["node", "--no-deprecation", f"{HERE}/node.js"], modules


def java():
    jar = next(iter(glob.glob("/usr/share/java/postgresql.jar")), None)
    if not jar or not shutil.which("javac"):
        return "no libpostgresql-jdbc-java, or no JDK here", None, {}
    classes = place.folder("java")
    done = subprocess.run(["javac", "-encoding", "UTF-8", "-cp", jar, "-d", classes, f"{HERE}/Jdbc.java"], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=170)
    assert done.returncode == 0, done.stdout
    more = glob.glob("/usr/share/java/ongres-*.jar") + glob.glob("/usr/share/java/*scram*.jar") + glob.glob("/usr/share/java/*stringprep*.jar")
    return None, ["java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-Dfile.encoding=UTF-8", "-cp", ":".join([classes, jar, *more]), "Jdbc"], {}


GOCODE = "/usr/share/gocode"


def compile_go(name, source, cwd=HERE, **env):
    """A reason why it cannot be, or the program."""
    program = f"{place.folder('go')}/{name}"
    env = {**os.environ, "GOTOOLCHAIN": "local", "GOCACHE": cache("go-build"), **env}
    done = subprocess.run(["go", "build", "-o", program, source], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=170, cwd=cwd, env=env)
    if done.returncode != 0:
        return f"{name} does not compile here: " + done.stdout[-300:].replace("\n", " "), None, {}
    return None, [program], {}


def packaged(name, path, source):
    """Built from what Debian's packages hold, without a network."""
    if not shutil.which("go") or not os.path.isdir(f"{GOCODE}/src/{path}"):
        return f"no go, or no package of {path} here", None, {}
    return compile_go(name, source, GO111MODULE="off", GOPATH=GOCODE, GOFLAGS="")


def lib_pq():
    return packaged("lib-pq", "github.com/lib/pq", f"{HERE}/libpq.go")


def pgx_4():
    return packaged("pgx-4", "github.com/jackc/pgx/v4", f"{HERE}/pgx.go")


def pgx_5():
    """Debian's, where it has one, else as a module: the newest, or what an old Go can still compile."""
    base = place.folder("pgx")
    with open(f"{HERE}/pgx.go") as f:
        text = f.read()
    for old, new in (("jackc/pgconn", "jackc/pgx/v5/pgconn"), ("jackc/pgx/v4", "jackc/pgx/v5"), ("pgxpool.Connect", "pgxpool.New"),
                     ("pgx.QuerySimpleProtocol(true)", "pgx.QueryExecModeSimpleProtocol")):
        assert old in text, old
        text = text.replace(old, new)
    with open(f"{base}/main.go", "w") as f:
        f.write(text)
    if os.path.isdir(f"{GOCODE}/src/github.com/jackc/pgx/v5"):
        return packaged("pgx-5", "github.com/jackc/pgx/v5", f"{base}/main.go")
    if not shutil.which("go"):
        return "no go here", None, {}
    env = {"GO111MODULE": "on", "GOFLAGS": "-mod=mod"}
    for version in ("latest", "v5.5.5"):
        with open(f"{base}/go.mod", "w") as f:
            f.write("module pgx\n\ngo 1.19\n")
        try:
            done = subprocess.run(["go", "get", f"github.com/jackc/pgx/v5/pgxpool@{version}"], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=50, cwd=base,
                                  env={**os.environ, "GOTOOLCHAIN": "local", **env})
        except subprocess.TimeoutExpired:
            return "no pgx 5 among the packages, and the module proxy does not answer", None, {}
        if done.returncode == 0:
            found = compile_go("pgx-5", "main.go", cwd=base, **env)
        else:
            found = "no pgx 5 among the packages, and no module of it: " + done.stdout[-200:].replace("\n", " "), None, {}
        if found[0] is None:
            break
    return found


def ruby():
    if not works(["ruby", "-e", "require 'pg'"]):
        return "no ruby-pg here", None, {}
    return None, ["ruby", f"{HERE}/pg.rb"], {}


def perl():
    if not works(["/usr/bin/perl", "-MDBD::Pg", "-e", "1"]):
        return "no libdbd-pg-perl here", None, {}
    return None, ["/usr/bin/perl", f"{HERE}/dbd.pl"], {}


DRIVERS = {"node-postgres": node, "pgjdbc": java, "lib-pq": lib_pq, "pgx-4": pgx_4, "pgx-5": pgx_5, "ruby-pg": ruby, "dbd-pg": perl}


def psql():
    return None, ["psql", "-X", "-Atc", "SELECT session_user"], {}


def python(name):
    if not works(["/usr/bin/python3", "-c", f"import {name}"]):
        return f"no python3-{name} here", None, {}
    return None, ["/usr/bin/python3", f"{HERE}/login.py", name], {}


# These have conversations in files of their own; what follows about logins is about all.
LOGINS = {**DRIVERS, "psql": psql, "psycopg": lambda: python("psycopg"), "psycopg2": lambda: python("psycopg2"),
          "asyncpg": lambda: python("asyncpg")}
OVER_LIBPQ = ("ruby-pg", "dbd-pg", "psql", "psycopg", "psycopg2")  # at a login libpq hands on the words, and not the SQLSTATE
_ready = {}


def driver(name):
    if name not in _ready:
        _ready[name] = LOGINS[name]()
    reason, command, env = _ready[name]
    if reason:
        pytest.skip(f"{name}: {reason}")
    return command, env


@pytest.fixture(scope="module")
def routes(cluster):
    with Routes(cluster) as running:
        yield running


@pytest.mark.parametrize("name", DRIVERS)
def test_whole_conversation(routes, name):
    command, env = driver(name)
    told = routes.compare(lambda route: route.run(command, **env))
    assert "u_trust" in told and len(told.splitlines()) > 8, told


@pytest.mark.parametrize("name", DRIVERS)
def test_whole_conversation_through_tls(routes, name):
    command, env = driver(name)
    assert routes.through("trust", "tls-tls").run(command, **env) == routes.direct(sslmode="require").run(command, **env)


@pytest.mark.parametrize("name", DRIVERS)
@pytest.mark.parametrize("auth", ["md5", "scram"])
def test_every_leg_and_authentication(routes, name, auth):
    command, env = driver(name)
    for leg in LEGS:
        assert USERS[auth][0] in routes.through(auth, leg).run([*command, "login"], **env), leg


# logins, with every driver


@contextlib.contextmanager
def started(route, name, word):
    command, env = driver(name)
    process = subprocess.Popen([*command, word] if name in DRIVERS else command, env={**route.environment(), **env}, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    with process:
        try:
            yield process
        finally:
            process.kill()


def login(route, name):
    """(exit status, what it printed)"""
    with started(route, name, "login") as process:
        told, _ = process.communicate(timeout=60)
    return process.returncode, told


@pytest.mark.parametrize("name", LOGINS)
def test_a_wrong_head_is_refused(routes, name):
    for options, words in (("-c headgate.head=new", "is at schema head old, this client was built for new: it is ahead"),
                           ("-c headgate.head=elsewhere", "this client was built for elsewhere")):
        for leg in ("plain-plain", "tls-tls"):
            status, told = login(routes.through(leg=leg, options=options), name)
            assert status != 0 and words in told, told
            assert name in OVER_LIBPQ or "55000" in told, told
            assert login(routes.through(leg=leg), name) == (0, "u_trust\n")


@pytest.mark.parametrize("name", LOGINS)
def test_a_login_is_held(routes, name):
    """It waits for as long as the hold lasts, and goes on without a word of it."""
    gate = routes.gate
    for leg, database in (("plain-plain", routes.dbname), ("tls-tls", "tls")):
        with gate.console_wire() as console:
            gate.console(f"HOLD {database}", console)
            with started(routes.through(leg=leg), name, "login") as process:
                until(lambda: [row["state"] for row in gate.clients(database)] == ["held"] or process.poll() is not None, "held")
                assert process.poll() is None, process.communicate()[0]
                gate.console(f"RELEASE {database}", console)
                told, _ = process.communicate(timeout=60)
        assert (process.returncode, told) == (0, "u_trust\n")


@pytest.mark.parametrize("name", ["pgx-4", "pgx-5"])
def test_a_live_client_is_held(routes, name):
    """A connection, its prepared statement and a pool, all of them there before the hold."""
    gate = routes.gate
    for leg, database in (("plain-plain", routes.dbname), ("tls-tls", "tls")):
        with started(routes.through(leg=leg), name, "live") as process:
            assert [process.stdout.readline() for _ in range(3)] == ["u_trust\n", "pool 0\n", "ready\n"]
            with gate.console_wire() as console:
                gate.console(f"HOLD {database}", console)
                process.stdin.write("\n")
                process.stdin.flush()
                until(lambda: "waiting" in [row["state"] for row in gate.clients(database)], "a statement that waits")
                gate.console(f"RELEASE {database}", console)
                told, _ = process.communicate(timeout=60)
        assert (process.returncode, told) == (0, "held 42\npool 1225\n")


# client certificates


@pytest.fixture(scope="module")
def doors(cluster):
    """A listener for each kind of check, and a section with and one without a certificate for the server. By both: how to get in."""
    made = certs()
    for key in (made.client_key, made.stray_key):
        place.run(["openssl", "pkcs8", "-topk8", "-nocrypt", "-outform", "DER", "-in", key, "-out", key.replace(".key", ".pk8")])
    cluster.database("doors")
    ports = {name: place.port() for name in ("open", "verify-ca", "verify-full")}
    tls = {"cert": made.server, "key": made.server_key}
    kinds = {"open": dict(tls, mode="require"), "verify-ca": dict(tls, mode="verify-ca", ca=made.ca),
             "verify-full": dict(tls, mode="verify-full", ca=made.ca)}
    legs = {"plain": {"mode": "disable"}, "nameless": {"mode": "verify-full", "ca": made.ca},
            "named": {"mode": "verify-full", "ca": made.ca, "cert": made.client, "key": made.client_key}}
    databases = {name: section(cluster, "doors", upstream={"tls": leg}) for name, leg in legs.items()}
    gate = Headgate(databases, {"listen": [{"address": f"127.0.0.1:{ports[name]}", "tls": kinds[name]} for name in ports]}, start=False)
    with gate.start():
        for name in databases:
            gate.until_recorded("old", name)

        def route(door, database, user, shown):
            pair = {"own": (made.client, made.client_key), "foreign": (made.stray, made.stray_key)}.get(shown)
            files = {"PGSSLCERT": pair[0], "PGSSLKEY": pair[1]} if pair else {}
            return Route(door, "127.0.0.1", ports[door], database, user, sslmode="verify-ca", more={**files, "HOME": gate.base})

        yield gate, route


# By TLS 1.3 a client takes its handshake for done before its certificate is judged, and sends its startup packet: an alert would be lost
# to most drivers in the reset that follows. So the answer to that packet tells.
UNTRUSTED = "this listener takes clients with a trusted certificate only"
# door, section, user, the certificate shown, and what is told to who is turned away
CERTIFICATES = {
    "its own": ("verify-ca", "plain", "u_trust", "own", None),
    "its own, and the server sees ours": ("verify-full", "named", "u_cert", "own", None),
    "none wanted, and the server sees ours": ("open", "named", "u_cert", "none", None),
    "none, and an authority is demanded": ("verify-ca", "plain", "u_trust", "none", UNTRUSTED),
    "foreign, and an authority is demanded": ("verify-ca", "plain", "u_trust", "foreign", UNTRUSTED),
    "none, and a name is demanded": ("verify-full", "named", "u_cert", "none", UNTRUSTED),
    "foreign, and a name is demanded": ("verify-full", "named", "u_cert", "foreign", UNTRUSTED),
    "another user's": ("verify-full", "plain", "u_trust", "own", "the client certificate does not belong to this user"),
    "the server sees none": ("open", "nameless", "u_cert", "none", "connection requires a valid client certificate"),
}


@pytest.mark.parametrize("name", LOGINS)
def test_client_certificates(doors, name):
    """With the right one it is let in; without, or with a wrong one, it is told why, and the next one is served."""
    gate, route = doors
    for case, (door, database, user, shown, words) in CERTIFICATES.items():
        size = gate.log_size()
        status, told = login(route(door, database, user, shown), name)
        if words is None:
            assert (status, told) == (0, f"{user}\n"), case
            continue
        until(lambda: words in gate.log_from(size) or database == "nameless", "the reason in the log")
        assert name in OVER_LIBPQ or "28000" in told, f"{case}: {told}"
        assert status != 0 and words in told, f"{case}: {told}"
        assert login(route(door, "named", "u_cert", "own"), name) == (0, "u_cert\n"), case
