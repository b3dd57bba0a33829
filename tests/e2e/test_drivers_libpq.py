"""psql, pg_dump, pg_restore and pgbench behave through the proxy as they do directly."""

import os
import re
import signal
import subprocess

import pytest

from harness import place
from harness.routes import LEGS, USERS, Routes
from harness.wait import until


@pytest.fixture(scope="module")
def routes(cluster):
    with Routes(cluster) as running:
        yield running


@pytest.mark.parametrize("leg", LEGS)
@pytest.mark.parametrize("auth", USERS)
def test_every_leg_and_authentication(routes, leg, auth):
    assert routes.through(auth, leg).run(["psql", "-X", "-Atc", "SELECT session_user, 6 * 7"]) == f"{USERS[auth][0]}|42\n"


def test_a_wrong_password(routes):
    def body(route):
        route.password = "wrong"
        told = route.run(["psql", "-X", "-c", "SELECT 1"], check=False)
        return re.sub(r"port \d+", "port N", told)

    routes.compare(body, auth="md5")
    routes.compare(body, auth="scram")


SCRIPT = r"""
\set VERBOSITY verbose
\set ON_ERROR_STOP 0
SET client_min_messages = notice;
CREATE TEMP TABLE t (a int PRIMARY KEY, b text, c bytea);
INSERT INTO t SELECT i, repeat(chr(64 + i % 50), i), decode(md5(i::text), 'hex') FROM generate_series(1, 500) i;
SELECT count(*), md5(string_agg(b, '' ORDER BY a)) FROM t;
SELECT 1/0;
BEGIN; SAVEPOINT s; SELECT * FROM nowhere; ROLLBACK TO s; SELECT 1; COMMIT;
DO $$BEGIN RAISE NOTICE 'notice'; RAISE WARNING 'warning'; END$$;
\copy t (a, b) from pstdin
1001	one
1002	zwölf
\.
\copy (SELECT a, b FROM t WHERE a > 999 ORDER BY a) to pstdout
COPY (SELECT i FROM generate_series(1, 5) i) TO STDOUT;
\d t
PREPARE p (int) AS SELECT b FROM t WHERE a = $1;
EXECUTE p(3);
SELECT a, b FROM t WHERE a < 4 ORDER BY a \gx
SELECT 'multi'; SELECT 'statement' \; SELECT 'batch';
DECLARE c CURSOR WITH HOLD FOR SELECT a FROM t ORDER BY a;
FETCH 3 FROM c;
\set FETCH_COUNT 100
SELECT a FROM t ORDER BY a DESC;
\encoding
\conninfo
LISTEN c; NOTIFY c, 'x';
SELECT pg_notify('c', 'y');
VACUUM t;
SET application_name = 'psql test'; SHOW application_name;
EXPLAIN (COSTS OFF) SELECT * FROM t WHERE a = 1;
"""


def test_psql_script(routes):
    def body(route):
        told = route.run(["psql", "-X", "-a"], check=False, input=SCRIPT)
        for pattern, what in ((r'port "\d+"', "port N"), (r"PID \d+", "PID N"), (r"at port \d+", "at N"), (r"pg_temp_\d+", "pg_temp_N")):
            told = re.sub(pattern, what, told)
        return told

    told = routes.compare(body)
    assert "division by zero" in told and "zw" in told


def test_psql_ctrl_c(routes):
    def body(route):
        process = subprocess.Popen(["psql", "-X", "-c", "SELECT pg_sleep(60)", "-c", "SELECT 'alive'"], env=route.environment(),
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        until(lambda: routes.cluster.value("SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'"
                                           " AND state = 'active'") == 1, "the query running")
        process.send_signal(signal.SIGINT)
        told, _ = process.communicate(timeout=20)
        return process.returncode, told

    assert "canceling statement" in routes.compare(body)[1]


def test_pg_dump_and_restore(routes, cluster):
    """A database with a bit of everything, dumped in all formats directly and through: equal files; restored through: equal again."""
    cluster.database("dumped")
    cluster.sql("CREATE TABLE parent (id serial PRIMARY KEY, name text UNIQUE, doc jsonb, raw bytea)", "dumped")
    cluster.sql("CREATE TABLE child (id bigserial, parent_id int REFERENCES parent, at timestamptz DEFAULT '2020-01-01') PARTITION BY RANGE (id)",
                "dumped")
    cluster.sql("CREATE TABLE child_1 PARTITION OF child FOR VALUES FROM (1) TO (100000)", "dumped")
    cluster.sql("INSERT INTO parent (name, doc, raw) SELECT 'n' || i, jsonb_build_object('i', i), decode(repeat(md5(i::text), 20), 'hex')"
                " FROM generate_series(1, 5000) i", "dumped")
    cluster.sql("INSERT INTO child (parent_id) SELECT 1 + i % 5000 FROM generate_series(1, 20000) i", "dumped")
    cluster.sql("CREATE VIEW v AS SELECT name FROM parent; CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "dumped")
    cluster.sql("SELECT lo_from_bytea(0, decode(repeat('00ff', 50000), 'hex'))", "dumped")
    base = place.folder("dump")
    gate = routes.gate
    from harness.headgate import section

    gate.configure(databases={"dumped": section(cluster, "dumped"), "restored": section(cluster, "restored")})
    cluster.sql("CREATE DATABASE restored")
    gate.config["databases"]["restored"]["mode"] = "observe"
    gate.write()
    gate.reload()
    gate.until_recorded("old", "dumped")

    def dump(route, name, *words):
        route.user, route.dbname = "postgres", "dumped"
        path = f"{base}/{name}-{route.name.split()[0]}"
        route.run(["pg_dump", *words, "-f", path])
        return path

    def text(path):
        with open(path) as f:  # newer ones guard the file with a random word
            return [line for line in f if not line.startswith(("\\restrict", "\\unrestrict"))]

    direct, through = routes.direct(), routes.through()
    for words in (["-Fp"], ["-Fp", "--inserts"]):
        one, other = dump(direct, "p" + str(len(words)), *words), dump(through, "p" + str(len(words)), *words)
        assert text(one) == text(other)
    path = dump(through, "dir", "-Fd", "-j", "3")
    through.dbname = "restored"
    through.run(["pg_restore", "-j", "3", "-d", "restored", "--no-owner", path])
    count = "SELECT count(*), md5(string_agg(md5(raw), '' ORDER BY id)) FROM parent"
    assert cluster.sql(count, "restored") == cluster.sql(count, "dumped")
    assert cluster.value("SELECT count(*) FROM child", "restored") == 20000
    assert cluster.value("SELECT count(*) FROM pg_largeobject_metadata", "restored") == 1
    gate.configure(databases={"dumped": None, "restored": None})
    gate.reload()


def test_pgbench(routes, cluster):
    """All its protocols, and the initialisation, which is one big COPY. Failed transactions: none."""
    through = routes.through()
    pgbench = f"{place.pg_bin()}/pgbench"
    through.run([pgbench, "-i", "-s", "2", "-q"])
    assert cluster.value("SELECT count(*) FROM pgbench_accounts", "driven") == 200000
    for protocol in ("simple", "extended", "prepared"):
        for words in (["-S"], []):
            told = through.run([pgbench, "-n", "-c", "8", "-j", "2", "-t", "100", "-M", protocol, *words])
            assert "number of transactions actually processed: 800/800" in told
            assert "number of failed transactions: 0" in told or "failed" not in told
    # a connection for every transaction
    told = through.run([pgbench, "-n", "-S", "-C", "-c", "4", "-t", "25"])
    assert "actually processed: 100/100" in told
    with open(f"{place.scratch()}/pipeline.sql", "w") as f:
        f.write("\\startpipeline\n" + "SELECT abalance FROM pgbench_accounts WHERE aid = 7;\n" * 20 + "\\endpipeline\n")
    told = through.run([pgbench, "-n", "-f", f.name, "-M", "extended", "-c", "4", "-t", "50"])
    assert "actually processed: 200/200" in told
    os.unlink(f.name)
    balance = "SELECT sum(abalance) = (SELECT sum(delta) FROM pgbench_history) FROM pgbench_accounts"
    assert cluster.value(balance, "driven")


def test_pg_isready_and_vacuumdb(routes):
    routes.compare(lambda route: re.sub(r":\d+", ":N", route.run(["pg_isready"])))
    routes.through().run(["vacuumdb", "-t", "pg_catalog.pg_class", "-j", "2"], check=False)


def test_pg_receivewal_passes(routes, cluster):
    """A physical replication connection through the proxy: COPY BOTH, which never comes back. It belongs to no database; libpq
    calls it `replication`, and so must a section."""
    from harness.headgate import section

    routes.gate.configure(databases={"replication": section(cluster, routes.dbname, undeclared="admit")})
    routes.gate.reload()
    route = routes.through()
    route.user = "postgres"
    base = place.folder("wal")
    env = route.environment()
    process = subprocess.Popen([f"{place.pg_bin()}/pg_receivewal", "-D", base, "--no-loop", "-d", f"dbname={route.dbname}"], env=env,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        until(lambda: process.poll() is not None or cluster.value("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'") == 1,
              "streaming")
        assert process.poll() is None, process.stdout.read()
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
