"""node-postgres, pgJDBC, lib/pq, ruby-pg and DBD::Pg: each runs one program of tests/e2e/drivers directly and through the proxy, and
what it prints must be the same. Where a driver is not to be had, that is printed."""

import glob
import os
import shutil
import subprocess

import pytest

from harness import place
from harness.routes import LEGS, USERS, Routes

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


def go():
    source = "/usr/share/gocode/src/github.com/lib/pq"
    if not shutil.which("go") or not os.path.isdir(source):
        return "no go, or no golang-github-lib-pq-dev here", None, {}
    program = f"{cache('go')}/libpq"
    env = {**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOFLAGS": "", "GOCACHE": cache("go-build"), "GOTOOLCHAIN": "local"}
    done = subprocess.run(["go", "build", "-o", program, f"{HERE}/libpq.go"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=170, env=env, cwd=HERE)
    if done.returncode != 0:
        return "lib/pq does not compile here: " + done.stdout[-300:].replace("\n", " "), None, {}
    return None, [program], {}


def ruby():
    if not works(["ruby", "-e", "require 'pg'"]):
        return "no ruby-pg here", None, {}
    return None, ["ruby", f"{HERE}/pg.rb"], {}


def perl():
    if not works(["/usr/bin/perl", "-MDBD::Pg", "-e", "1"]):
        return "no libdbd-pg-perl here", None, {}
    return None, ["/usr/bin/perl", f"{HERE}/dbd.pl"], {}


DRIVERS = {"node-postgres": node, "pgjdbc": java, "lib-pq": go, "ruby-pg": ruby, "dbd-pg": perl}
_ready = {}


def driver(name):
    if name not in _ready:
        _ready[name] = DRIVERS[name]()
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
