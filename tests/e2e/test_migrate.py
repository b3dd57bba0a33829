"""Migrations run: upgrade and downgrade as runs, what is said when they fail, scripts for psql, stamp, publish, resolve, and the console's
UPGRADE. The steps' own failures, locks and retries are test_runner's."""

import itertools
import json
import os
import pty
import pwd
import re
import select
import signal
import subprocess

import pytest

from harness import corpus, place
from harness.headgate import Headgate, binary, section
from harness.project import Project
from harness.wait import stays, until
from harness.wire import Refused, fields

_numbers = itertools.count(1)

USERS_UP = "CREATE TABLE users (id int PRIMARY KEY, name text);"
USERS_DOWN = "DROP TABLE users;"
ORDERS_UP = "CREATE TABLE orders (id int PRIMARY KEY, user_id int REFERENCES users);\nINSERT INTO users VALUES (1, 'ann');"
ORDERS_DOWN = "DROP TABLE orders;\nDELETE FROM users;"
INDEX_UP = "CREATE INDEX CONCURRENTLY users_name ON users (name);"
INDEX_DOWN = "DROP INDEX users_name;"


@pytest.fixture
def shop(cluster):
    """An empty database."""
    name = f"mig{next(_numbers)}"
    cluster.sql(f'CREATE DATABASE "{name}"')
    yield name
    cluster.sql(f'DROP DATABASE "{name}" WITH (FORCE)')


def url(cluster, dbname):
    return f"postgresql://postgres@{cluster.host}:{cluster.port}/{dbname}"


@pytest.fixture
def project(cluster, shop):
    """Three migrations: a table, a second one with data, an index built while traffic flows."""
    made = Project(url(cluster, shop))
    made.migration("0001", USERS_UP, USERS_DOWN, slug="users")
    made.migration("0002", ORDERS_UP, ORDERS_DOWN, slug="add_orders", header="-- message: orders of users\n")
    made.migration("0003", INDEX_UP, INDEX_DOWN, slug="index", options=" hold:none")
    return made


def heads(cluster, dbname):
    return [row[0] for row in cluster.sql("SELECT head FROM headgate.head ORDER BY 1", dbname)]


def tables(cluster, dbname):
    return [row[0] for row in cluster.sql("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' "
                                          "ORDER BY 1", dbname)]


def has_ledger(cluster, dbname):
    return cluster.value("SELECT to_regnamespace('headgate') IS NOT NULL", dbname)


# ---- up and down ----

def test_up_and_down(cluster, shop, project):
    """From an empty database to the head and back, with the ledger made on the way; nothing to do is no error."""
    said = project.run("upgrade")
    assert "[1/3] up 0001 users" in said.err and "[3/3] up 0003 index" in said.err
    assert "run 1 succeeded: none -> 0003, 3 steps" in said.err and said.out == ""
    assert heads(cluster, shop) == ["0003"] and tables(cluster, shop) == ["orders", "users"]
    assert cluster.sql("SELECT revision FROM headgate.applied ORDER BY 1", shop) == [("0001",), ("0002",), ("0003",)]
    assert cluster.sql("SELECT revision, parents FROM headgate.revision ORDER BY position", shop) == [
        ("0001", []), ("0002", ["0001"]), ("0003", ["0002"])]
    assert cluster.sql("SELECT kind, outcome, reason, from_heads, to_heads, steps, command FROM headgate.run", shop) == [
        ("upgrade", "succeeded", "users, orders of users, index", [], ["0003"], 3, ["headgate", "upgrade", "head"])]

    assert "nothing to do" in project.run("upgrade").err
    assert cluster.value("SELECT count(*) FROM headgate.run", shop) == 1

    said = project.run("downgrade", "-1", "-m", "the index is not used")
    assert heads(cluster, shop) == ["0002"]
    assert cluster.value("SELECT reason FROM headgate.run ORDER BY run_id DESC LIMIT 1", shop) == "the index is not used"
    project.run("downgrade", "0001")
    assert heads(cluster, shop) == ["0001"] and tables(cluster, shop) == ["users"]
    project.run("upgrade", "+1")
    assert heads(cluster, shop) == ["0002"]
    project.run("downgrade", "base")
    assert heads(cluster, shop) == [] and tables(cluster, shop) == []
    assert cluster.value("SELECT count(*) FROM headgate.applied", shop) == 0
    assert cluster.value("SELECT string_agg(kind || ' ' || revision || ' ' || state, ', ' ORDER BY step_id) FROM headgate.step", shop) == (
        "up 0001 done, up 0002 done, up 0003 done, down 0003 done, down 0002 done, up 0002 done, down 0002 done, down 0001 done")


def test_json(cluster, shop, project):
    """One object a line, for programs; nothing else on either stream."""
    said = project.run("upgrade", "0002", "--json")
    assert said.err == ""
    events = [json.loads(line) for line in said.out.splitlines()]
    done = [e for e in events if e["event"] == "step" and e["state"] == "done"]
    assert [(e["step"], e["steps"], e["kind"], e["revision"], e["message"]) for e in done] == [
        (1, 2, "up", "0001", "users"), (2, 2, "up", "0002", "orders of users")]
    assert all(e["elapsed_ms"] >= 0 and e["file"].startswith("migrations/") for e in done)
    result = events[-1]
    assert {key: result[key] for key in ("event", "outcome", "exit_status", "from", "to", "steps", "steps_done", "failure", "attached")} == {
        "event": "result", "outcome": "succeeded", "exit_status": 0, "from": "none", "to": "0002", "steps": 2, "steps_done": 2,
        "failure": None, "attached": False}
    assert project.events("upgrade", "0002")[-1]["outcome"] == "succeeded"


def test_dry_run(cluster, shop, project):
    """The list of steps, and nothing is touched: not even the ledger is made."""
    said = project.run("upgrade", "--dry-run")
    lines = [line.split() for line in said.out.splitlines()]
    assert lines[0] == f"{shop} would go from none to 0003 in 3 steps:".split()
    assert lines[1][:3] == ["1", "up", "0001"] and lines[1][-3:] == ["transaction", "held", "migrations/0001_users.sql:1"]
    assert lines[3][-3:] == ["outside", "flowing", "migrations/0003_index.sql:1"]
    assert said.out.splitlines()[-1] == "Clients are held from step 1 to step 2."
    assert not has_ledger(cluster, shop) and tables(cluster, shop) == []

    plan = project.json("upgrade", "--dry-run")
    assert [(s["step"], s["revision"], s["transaction"], s["holding"]) for s in plan["steps"]] == [
        (1, "0001", True, True), (2, "0002", True, True), (3, "0003", False, False)]
    assert "Nobody is held (--no-hold)" in project.run("upgrade", "--dry-run", "--no-hold").out

    project.run("upgrade")
    runs = cluster.value("SELECT count(*) FROM headgate.run", shop)
    plan = project.json("downgrade", "-2", "--dry-run")
    assert [(s["kind"], s["revision"]) for s in plan["steps"]] == [("down", "0003"), ("down", "0002")] and plan["to"] == "0001"
    assert f"Nothing to do: {shop} is at 0003." in project.run("upgrade", "--dry-run").out
    assert cluster.value("SELECT count(*) FROM headgate.run", shop) == runs and heads(cluster, shop) == ["0003"]


def test_twenty_callers(cluster, shop, project):
    """Twenty instances of an app start at the same instant on an empty database: each migration runs once, all succeed."""
    project.migration("0004", "SELECT pg_sleep(1);", slug="slow")
    started = [project.spawn("upgrade", "--json") for _ in range(20)]
    ended = [child.communicate(timeout=90) for child in started]
    assert [child.returncode for child in started] == [0] * 20, ended
    results = [json.loads(out.splitlines()[-1]) for out, _ in ended]
    assert all(r["outcome"] == "succeeded" for r in results), results
    assert len([r for r in results if r["steps_done"] == 4]) == 1
    assert cluster.sql("SELECT revision, count(*) FROM headgate.step GROUP BY 1 ORDER BY 1", shop) == [
        ("0001", 1), ("0002", 1), ("0003", 1), ("0004", 1)]
    assert heads(cluster, shop) == ["0004"]


def test_other_folder_is_not_joined(cluster, shop, project):
    """Two deploys of different builds at once: the second does not take the first one's end for its own."""
    project.migration("0004", "SELECT pg_sleep(2);", slug="slow")
    other = Project(url(cluster, shop))
    for name in os.listdir(project.path("migrations")):
        with open(project.path("migrations", name)) as f:
            other.write(name, f.read())
    other.migration("0005", "CREATE TABLE later (id int);", slug="later")
    first = project.spawn("upgrade")
    until(lambda: has_ledger(cluster, shop) and cluster.active(shop, "pg_sleep(2)"), "the slow step")
    said = other.run("upgrade", status=1)
    assert "run 1 of" in said.err and "--wait" in said.err
    assert other.run("upgrade", "--wait").status == 0
    assert first.wait(timeout=60) == 0
    assert heads(cluster, shop) == ["0005"]


def test_placeholders(cluster, shop):
    """${name} is replaced where a value is given, by the command line or the configuration, and is left alone elsewhere."""
    project = Project(url(cluster, shop))
    project.migration("0001", "CREATE TABLE ${table} (a text DEFAULT '${kept:-}');")
    said = project.run("upgrade", "--set", "table=orders", status=1)
    assert "migrations/0001_change.sql:2: " in said.err and "kept" in said.err
    project.run("upgrade", "--set", "table=orders", "--set", "kept:-=x=y")
    assert tables(cluster, shop) == ["orders"]
    assert cluster.value("SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = 'orders'::regclass", shop) == "'x=y'::text"

    project.migration("0002", "CREATE TABLE plain (a text DEFAULT '${plain}');")
    config = project.write("headgate.yaml", json.dumps({
        "listen": {"address": "127.0.0.1:1"}, "databases": {"app": {
            "upstream": {"address": "127.0.0.1:1"}, "control": {"dsn": cluster.dsn(shop)}, "recorded": {"reader": "headgate"},
            "migrations": {"dir": "migrations", "set": {"table": "orders", "kept:-": "x=y", "plain": "from the file"}}}}}), folder=".")
    project.run("upgrade", "-c", config, "--set", "plain=from the line")
    assert "from the line" in cluster.value("SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = 'plain'::regclass", shop)


# ---- what goes wrong ----

def test_error_of_a_statement(cluster, shop, project):
    """The place, the lines, a caret, PostgreSQL's own words, what state that leaves; corrected, the next run goes on."""
    path = project.migration("0004", "CREATE TABLE fine (id int);\n\nALTER TABLE users\n\tADD COLUMN age int,\n\tADD COLUMN x integr;\n",
                             slug="typo", header="-- message: ages\n")
    said = project.run("upgrade", status=1)
    assert (
        "migrations/0004_typo.sql:7:15: ERROR: type \"integr\" does not exist\n"
        "    5 | ALTER TABLE users\n"
        "    6 |     ADD COLUMN age int,\n"
        "    7 |     ADD COLUMN x integr\n"
        "      |                  ^\n"
        "SQLSTATE: 42704\n"
        "\n"
        "Step 4 of 4 (up 0004 ages) failed. ") in said.err, said.err
    assert "rolled back" in said.err and "what is recorded stays 0003" in said.err
    assert heads(cluster, shop) == ["0003"] and tables(cluster, shop) == ["orders", "users"]
    failure = project.events("upgrade", status=1)[-1]["failure"]
    assert {key: failure[key] for key in ("step", "steps", "revision", "file", "line", "column", "sqlstate", "position")} == {
        "step": 1, "steps": 1, "revision": "0004", "file": "migrations/0004_typo.sql", "line": 7, "column": 15, "sqlstate": "42704",
        "position": 54}
    with open(path) as f:
        text = f.read()
    with open(path, "w") as f:
        f.write(text.replace("integr;", "integer;"))
    project.run("upgrade")
    assert heads(cluster, shop) == ["0004"]
    assert cluster.value("SELECT string_agg(state, ' ' ORDER BY step_id) FROM headgate.step WHERE revision = '0004'", shop) == (
        "undone undone done")


def test_error_with_detail_and_hostile_text(cluster, shop):
    """DETAIL and HINT are shown; what a file holds cannot play tricks on the terminal."""
    project = Project(url(cluster, shop))
    project.migration("0001", "CREATE TABLE t (a int PRIMARY KEY);\nINSERT INTO t VALUES (1);")
    project.migration("0002", "INSERT INTO t /* \x1b[31m */ VALUES (1);", header="-- message: red \x1b[31m text\n")
    said = project.run("upgrade", status=1)
    assert 'ERROR: duplicate key value violates unique constraint "t_pkey"' in said.err
    assert "DETAIL: Key (a)=(1) already exists." in said.err and "\x1b" not in said.err
    project.migration("0002", "SELECT lower(1, 2);")
    said = project.run("upgrade", status=1)
    assert "HINT: No function matches" in said.err


def test_half_way_and_resolved(cluster, shop):
    """A step outside a transaction fails half way: the database says so, refuses the next run, and goes on when a person says what is there."""
    project = Project(url(cluster, shop))
    project.migration("0001", "CREATE TABLE t (a int);\nINSERT INTO t VALUES (1), (1);")
    project.migration("0002", "CREATE TABLE half (a int);\nCREATE UNIQUE INDEX CONCURRENTLY t_a ON t (a);", "DROP TABLE half;",
                      options=" transaction:false")
    said = project.run("upgrade", status=1)
    assert "could not create unique index" in said.err and "headgate resolve" in said.err and "t_a" in said.err
    assert heads(cluster, shop) == ["0001"]
    again = project.run("upgrade", status=1)
    assert "half way" in again.err and "headgate resolve" in again.err
    assert "half way" in project.run("upgrade", "--dry-run", status=1).err
    assert "half way" in project.run("stamp", "head", status=1).err
    assert "--as" in project.run("resolve", "-m", "why", status=2).err
    assert "-m" in project.run("resolve", "--as", "done", status=2).err

    cluster.sql("DROP INDEX t_a; DROP TABLE half", shop)
    said = project.run("resolve", "--as", "undone", "-m", "dropped both")
    assert "run 1" in said.out
    assert cluster.sql("SELECT resolved_as, resolved_note, unresolved FROM headgate.run WHERE run_id = 1", shop) == [
        ("undone", "dropped both", False)]
    cluster.sql("DELETE FROM t", shop)
    project.run("upgrade")
    assert heads(cluster, shop) == ["0002"]

    project.migration("0003", "CREATE TABLE more (a int);\nALTER TABLE nowhere ADD COLUMN b int;", options=" transaction:false")
    project.run("upgrade", status=1)
    project.run("resolve", "--as", "done", "-m", "there is no nowhere any more")
    assert heads(cluster, shop) == ["0003"]
    assert "no run is unresolved" in project.run("resolve", "--as", "done", "-m", "again", status=1).err


def test_ctrl_c_in_a_step(cluster, shop, project):
    """The step is rolled back, what was done before it stays, the lock is free, and the next run does the rest."""
    project.migration("0004", "CREATE TABLE never (a int);\nSELECT pg_sleep(300);", slug="slow")
    running = project.spawn("upgrade")
    until(lambda: cluster.active(shop, "pg_sleep(300)"), "the slow step")
    os.killpg(running.pid, signal.SIGINT)
    _, err = running.communicate(timeout=30)
    assert running.returncode == 1, err
    until(lambda: not cluster.active(shop, "pg_sleep(300)"), "the statement ended")
    assert heads(cluster, shop) == ["0003"] and "never" not in tables(cluster, shop)
    project.migration("0004", "CREATE TABLE never (a int);", slug="slow")
    project.run("upgrade")
    assert heads(cluster, shop) == ["0004"]


NOBODY = "postgresql://nobody@127.0.0.1:{port}/postgres"
TEXTS = [
    # environment, words, exit status, what must be said
    ({}, ["upgrade", "--dir", "nowhere"], 1, "there is no folder nowhere. Say where the migrations are with --dir; the first one is made by"),
    ({}, ["upgrade", "--dir", "empty"], 1, "there are no migrations in the folder empty. The first one is made by `headgate revision -m"),
    ({}, ["upgrade", "--dir", "migrations/0001_users.sql"], 1, "is no folder"),
    ({"DATABASE_URL": None}, ["upgrade"], 2, "which database? Say it with --url postgresql://USER@HOST:5432/DATABASE, or in $DATABASE_URL"),
    ({"DATABASE_URL": "postgres:/x"}, ["upgrade"], 2, "It is written postgresql://USER@HOST:5432/DATABASE"),
    ({}, ["upgrade", "--url", "frob=1"], 2, "--url: invalid connection option \"frob\""),
    ({"DATABASE_URL": "postgresql://postgres@127.0.0.1:1/x"}, ["upgrade"], 4, "Connection refused"),
    ({"DATABASE_URL": "postgresql://postgres@127.0.0.1:{port}/nosuch"}, ["upgrade"], 4, "database \"nosuch\" does not exist"),
    ({"DATABASE_URL": "postgresql://postgres@127.0.0.1:{port}/nosuch"}, ["upgrade"], 4, "headgate upgrade: Create it first (createdb,"),
    ({"DATABASE_URL": "postgresql://postgres@127.0.0.1:{port}/nosuch"}, ["upgrade", "--dry-run"], 4, "Create it first (createdb,"),
    ({"DATABASE_URL": NOBODY}, ["upgrade", "--dry-run"], 4, "The user and its password stand in the url"),
    ({}, ["upgrade", "0009"], 1, "no revision or label 0009"),
    ({}, ["upgrade", "a", "b"], 2, "one target, please: several revisions are joined by a comma, a,b"),
    ({}, ["upgrade", "0001:0002"], 2, "FROM:TO is for --sql"),
    ({}, ["upgrade", "--drop-all"], 2, "there is no option --drop-all"),
    ({}, ["upgrade", "--dryrun"], 2, "did you mean --dry-run?"),
    ({}, ["upgrade", "--lock-timeout", "5"], 2, "write a time with its unit"),
    ({}, ["upgrade", "--late", "never"], 2, "--late never: write refuse, run or leave"),
    ({}, ["upgrade", "--format", "rails"], 2, "--format rails: write one of"),
    ({}, ["upgrade", "--set", "x"], 2, "--set x: write NAME=VALUE"),
    ({}, ["upgrade", "-m"], 2, "--message needs a value behind it"),
    ({}, ["upgrade", "--json=1"], 2, "--json takes no value"),
    ({}, ["upgrade", "--backup", "--no-backup"], 2, "--backup and --no-backup: one of them"),
    ({}, ["upgrade", "-d", "shop"], 2, "-d names a database of the configuration, and there is none"),
    ({}, ["upgrade", "-c", "nosuch.yaml"], 3, "nosuch.yaml"),
    ({"HEADGATE_CONFIG": "nosuch.yaml"}, ["upgrade"], 3, "nosuch.yaml"),
    ({}, ["downgrade"], 2, "down to where? -1 undoes the last migration, base all of them"),
    ({}, ["downgrade", "--sql", "0001"], 2, "say where it begins, too, as FROM:0001"),
    ({}, ["upgrade", "--sql", "--json"], 2, "--sql answers in SQL"),
    ({}, ["stamp"], 2, "at what is it? head, a revision, or base"),
    ({}, ["stamp", "0009"], 1, "no revision or label 0009"),
    ({}, ["publish", "x"], 2, "what is \"x\"? The folder goes behind --dir"),
    ({}, ["publish", "--dir", "empty"], 1, "there are no migrations in the folder empty"),
    ({}, ["upgrade", "--dir", "defects"], 1, "defects/0001_open.sql:3: "),
    ({}, ["upgrade", "--dir", "defects"], 1, "nothing was done"),
    ({}, ["upgrade", "--dir", "prefixes", "abcd"], 1, "abcd begins several revisions"),
    ({}, ["upgrade", "--dir", "branches"], 1, "heads"),
    ({}, ["upgrade", "--dir", "versions"], 1, "is an Alembic folder, whose migrations Alembic itself runs: headgate exec"),
]


def test_what_a_newcomer_is_told(cluster, shop, project):
    """Every way to get it wrong at first has a text that says what to do; nothing is changed by any of them."""
    os.makedirs(project.path("empty"))
    project.write("0001_open.sql", "-- migrate:up\nSELECT 1;\nSELECT 'open;\n", folder="defects")
    for revision in ("abcd1", "abcd2"):
        project.migration(revision, "SELECT 1;", folder="prefixes")
    project.migration("a001", "SELECT 1;", folder="branches", header="-- revises: base\n")
    project.migration("a002", "SELECT 1;", folder="branches", header="-- revises: a001\n")
    project.migration("a003", "SELECT 1;", folder="branches", header="-- revises: a001\n")
    project.write("one.py", 'revision = "a1"\ndown_revision = None\n', folder="versions")
    for environment, words, status, text in TEXTS:
        env = {key: value and value.format(port=cluster.port) for key, value in environment.items()}
        said = project.said(*words, **env)
        assert said.status == status and text in said.err, f"{environment} headgate {' '.join(words)}: {said}"
        assert said.err.startswith(("headgate: ", f"headgate {words[0]}: ")) or ".sql:" in said.err or ".yaml:" in said.err, said
        assert said.out == "", said
    assert not has_ledger(cluster, shop) or heads(cluster, shop) == []
    assert tables(cluster, shop) == []
    for command in ("upgrade", "downgrade", "stamp", "publish", "resolve"):
        text = project.run(command, "--help").out
        assert text.startswith(f"Usage: headgate {command}") and "--url" in text and "Exit status" in text
        assert all(len(line) <= 122 for line in text.splitlines()), text


def test_changed_and_late_files(cluster, shop, project):
    """A file that was changed after it was applied, and one that came between, are refused by name, until the user says otherwise."""
    project.run("upgrade")
    project.migration("0001", USERS_UP + "\nSELECT 1;", USERS_DOWN, slug="users")
    project.migration("0004", "CREATE TABLE four (a int);")
    said = project.run("upgrade", status=1)
    assert "has changed since it was applied" in said.err and "0001_users.sql" in said.err and "--accept-changed" in said.err
    assert heads(cluster, shop) == ["0003"]
    project.run("upgrade", "--accept-changed")
    assert heads(cluster, shop) == ["0004"]


# ---- a script for psql ----

def psql(cluster, dbname, text, project, status=0):
    path = project.write("change.sql", text, folder=".")
    done = subprocess.run([f"{place.pg_bin()}/psql", "-X", "-f", path, url(cluster, dbname)], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, cwd=project.base)
    assert done.returncode == status, done.stdout
    return done.stdout


def dump(cluster, dbname):
    """Schema and data but for the ledger's."""
    text = place.run([f"{place.pg_bin()}/pg_dump", "--exclude-schema=headgate", "--no-owner", url(cluster, dbname)])
    return re.sub(r"^\\(un)?restrict .*\n", "", text, flags=re.M)


LEDGER = [
    "SELECT head FROM headgate.head ORDER BY 1",
    "SELECT revision, checksum FROM headgate.applied ORDER BY 1",
    "SELECT file, checksum FROM headgate.repeatable ORDER BY 1",
    "SELECT revision, position, parents, depends, labels, compatible, message, checksum FROM headgate.revision ORDER BY 1",
    "SELECT ordinal, kind, revision, file, line, message, checksum, transactional, state, attempts, from_heads, to_heads FROM headgate.step "
    "ORDER BY step_id",
    "SELECT kind, state, outcome, reason, unresolved, from_heads, to_heads, to_state, steps FROM headgate.run ORDER BY run_id",
    "SELECT file FROM headgate.version ORDER BY version",
]


def ledger(cluster, dbname):
    return [cluster.sql(query, dbname) for query in LEDGER]


def difficult(project):
    """What a script may stumble over."""
    project.migration("a001", """CREATE TABLE users (id int PRIMARY KEY, name text); -- a comment; with a semicolon
COPY users (id, name) FROM stdin;
1	it's \\\\ ann
2	\\N
\\.

/* nested /* comment; */ */
CREATE FUNCTION shout(t text) RETURNS text LANGUAGE plpgsql AS $body$
BEGIN
	RETURN upper(t) || ';$$'; -- $headgate$ ;
END $body$;
INSERT INTO users VALUES (3, E'a\\'b\\\\c'), (4, 'x:y :name :''z''')""", "DROP TABLE users;\nDROP FUNCTION shout;",
                      slug="users", header="-- message: it's the \"first\" \\ `date` :HOST $headgate$\n")
    project.migration("a002", "BEGIN;\nSET LOCAL search_path = pg_catalog;\nCREATE TABLE public.wrapped (a int[]);\nCOMMIT;\n",
                      "DROP TABLE wrapped", slug="wrapped")
    project.migration("a003", INDEX_UP + "\nVACUUM users", INDEX_DOWN, options=" hold:none", slug="outside")
    project.migration("b001", "SET ROLE pg_monitor;\nSET statement_timeout = '1h';\nCREATE TEMP TABLE gone (a int);", "SELECT 1;",
                      header="-- revises: a001\n", slug="session")
    project.migration("c001", "", header="-- revises: a003, b001\n", slug="merge")
    project.migration("c002", "CREATE TEMP TABLE gone (b int);\nCREATE TABLE last (a int DEFAULT 1);", "DROP TABLE last;", slug="last",
                      header="-- revises: c001\n-- labels: tip\n", options=" compatible")
    return project


def test_script_is_a_run(cluster, shop):
    """`upgrade --sql` run by psql on an empty database leaves what `upgrade` leaves, ledger included; and so it is with the way down."""
    project = difficult(Project(url(cluster, shop)))
    other = f"{shop}_script"
    cluster.sql(f'CREATE DATABASE "{other}"')
    try:
        project.run("upgrade")
        script = project.run("upgrade", "--sql", DATABASE_URL=None).out
        said = psql(cluster, other, script, project)
        assert "[6/6] up c002 last" in said, said
        assert dump(cluster, other) == dump(cluster, shop)
        assert ledger(cluster, other) == ledger(cluster, shop)
        assert heads(cluster, other) == ["c002"]
        # It begins somewhere else: refused, and nothing is changed.
        before = ledger(cluster, other)
        assert "this script begins at {}, and recorded is {c002}" in psql(cluster, other, script, project, status=3)
        assert ledger(cluster, other) == before

        project.run("downgrade", "a001")
        psql(cluster, other, project.run("downgrade", "--sql", "c002:a001", DATABASE_URL=None).out, project)
        assert dump(cluster, other) == dump(cluster, shop)
        assert ledger(cluster, other) == ledger(cluster, shop)
        psql(cluster, other, project.run("upgrade", "--sql", "a001:head").out, project)
        assert project.run("upgrade", "--dry-run", DATABASE_URL=url(cluster, other)).out.startswith("Nothing to do")
    finally:
        cluster.sql(f'DROP DATABASE "{other}" WITH (FORCE)')


@pytest.mark.parametrize("layout", corpus.LAYOUTS, ids=lambda layout: layout.__name__.lower())
def test_script_of_a_corpus(cluster, shop, layout):
    """Folders of other tools, with the oddities of real ones: the script leaves what the run leaves."""
    project = Project(url(cluster, shop))
    os.makedirs(project.path("migrations"))
    layout(project.path("migrations"), corpus.Writer(11).make(120), 11)
    other = f"{shop}_script"
    cluster.sql(f'CREATE DATABASE "{other}"')
    try:
        project.run("upgrade", "--no-hold")
        psql(cluster, other, project.run("upgrade", "--sql", DATABASE_URL=None).out, project)
        assert dump(cluster, other) == dump(cluster, shop)
        assert ledger(cluster, other) == ledger(cluster, shop)
    finally:
        cluster.sql(f'DROP DATABASE "{other}" WITH (FORCE)')


def test_script_that_fails(cluster, shop, project):
    """It stops at the first error with what was done before in place, and the next run does the rest."""
    project.migration("0002", "CREATE TABLE orders (id int);\nSELECT 1/0;", slug="add_orders")
    said = psql(cluster, shop, project.run("upgrade", "--sql").out, project, status=3)
    assert "division by zero" in said
    assert heads(cluster, shop) == ["0001"] and tables(cluster, shop) == ["users"]
    project.migration("0002", ORDERS_UP, ORDERS_DOWN, slug="add_orders")
    project.run("upgrade")
    assert heads(cluster, shop) == ["0003"]
    assert cluster.sql("SELECT outcome FROM headgate.run ORDER BY run_id", shop) == [("abandoned",), ("succeeded",)]

    project.migration("0004", "CREATE TABLE half (a int);\nSELECT 1/0;", options=" transaction:false")
    psql(cluster, shop, project.run("upgrade", "--sql", "0003:head").out, project, status=3)
    assert "half way" in project.run("upgrade", status=1).err
    project.run("resolve", "--as", "done", "-m", "the division does not matter")
    assert heads(cluster, shop) == ["0004"]


def test_script_beside_a_run(cluster, shop, project):
    """While a run is under way a script does not begin."""
    project.migration("0004", "SELECT pg_sleep(300);", slug="slow")
    script = project.run("upgrade", "--sql", "0003:head").out
    running = project.spawn("upgrade")
    until(lambda: cluster.active(shop, "pg_sleep(300)"), "the slow step")
    assert "a run is under way" in psql(cluster, shop, script, project, status=3)
    os.killpg(running.pid, signal.SIGTERM)
    running.communicate(timeout=30)


# ---- stamp, publish ----

def test_stamp(cluster, shop, project):
    """A database whose schema was there before: recorded as applied without running anything, and migrated from there on."""
    cluster.sql(USERS_UP, shop)
    said = project.run("stamp", "0001", "-m", "made by hand")
    assert said.out == f"{shop} is stamped: none -> 0001 (1 migration taken as applied)\n"
    assert heads(cluster, shop) == ["0001"]
    assert cluster.sql("SELECT kind, outcome, reason, to_heads FROM headgate.run", shop) == [("stamp", "succeeded", "made by hand", ["0001"])]
    project.run("upgrade")
    assert heads(cluster, shop) == ["0003"] and tables(cluster, shop) == ["orders", "users"]
    answer = project.json("stamp", "0002")
    assert (answer["from"], answer["to"], answer["applied"]) == ("0003", "0002", 2)
    assert cluster.sql("SELECT revision FROM headgate.applied ORDER BY 1", shop) == [("0001",), ("0002",)]
    project.run("stamp", "base")
    assert heads(cluster, shop) == [] and cluster.value("SELECT count(*) FROM headgate.applied", shop) == 0

    cluster.sql("INSERT INTO headgate.head (head) VALUES ('zzzz')", shop)
    said = project.run("stamp", "head", status=1)
    assert "zzzz is recorded and not among the migrations in migrations; --purge forgets" in said.err
    project.run("stamp", "head", "--purge")
    assert heads(cluster, shop) == ["0003"]
    project.run("stamp", "--purge")
    assert heads(cluster, shop) == []


def test_stamp_branches(cluster, shop):
    """A stamp moves its own branch; the others stay."""
    project = Project(url(cluster, shop))
    project.migration("a001", "SELECT 1;")
    project.migration("a002", "SELECT 1;", header="-- revises: a001\n-- labels: left\n")
    project.migration("a003", "SELECT 1;", header="-- revises: a002\n")
    project.migration("b002", "SELECT 1;", header="-- revises: a001\n-- labels: right\n")
    project.run("stamp", "heads")
    assert heads(cluster, shop) == ["a003", "b002"]
    project.run("stamp", "a002")
    assert heads(cluster, shop) == ["a002", "b002"]
    project.run("stamp", "a001")
    assert heads(cluster, shop) == ["a001"]
    project.run("stamp", "left@head")
    assert heads(cluster, shop) == ["a003"]
    project.run("stamp", "a001,b002,a002")
    assert heads(cluster, shop) == ["a002", "b002"]


def test_publish(cluster, shop, project):
    """The graph alone, for a folder that another tool runs; older files than the database are refused."""
    said = project.run("publish", "-m", "first")
    assert said.out == f"{shop}: the graph of 3 revisions is published (serial 1)\n"
    assert project.json("publish") == {"database": shop, "revisions": 3, "serial": 1, "changed": False}
    assert cluster.sql("SELECT kind, reason FROM headgate.run", shop) == [("publish", "first")]
    project.migration("0004", "SELECT 1;")
    assert project.json("publish")["serial"] == 2
    project.run("upgrade")
    os.unlink(project.path("migrations", "0004_change.sql"))
    said = project.run("publish", status=1)
    assert "0004 is recorded" in said.err and "older than the database" in said.err
    assert cluster.value("SELECT count(*) FROM headgate.revision", shop) == 4


def test_publish_for_alembic(cluster, dbname, gated):
    """Alembic's files are read, not run; then the gate knows which head is ahead of which."""
    gate = gated(init=True, recorded={"order": "none"})
    folder = place.folder("versions")
    for revision, before in (("old", None), ("new", "old"), ("newest", "new")):
        with open(os.path.join(folder, f"{revision}.py"), "w") as f:
            f.write(f'"""made by alembic"""\nimport os\nos._exit(7)\nrevision = {revision!r}\ndown_revision = {before!r}\n')
    with pytest.raises(Refused) as refused:
        gate.login("new")
    assert "relation=unknown" in refused.value.fields["D"]
    status, said = gate.run("publish", "-d", "app", "--dir", folder)
    assert "the graph of 3 revisions is published" in said
    until(lambda: "1" in (gate.gate().get("graph") or ""), "the graph at the gate")
    with pytest.raises(Refused) as refused:
        gate.login("new")
    assert "relation=ahead" in refused.value.fields["D"]
    cluster.record(dbname, "elsewhere")
    status, said = gate.run("publish", "-d", "app", "--dir", folder, check=False)
    assert status == 1 and "elsewhere is recorded" in said


# ---- behind a gate ----

def gated_project(cluster, dbname, gated, **more):
    """A proxy whose database keeps its version in the ledger, and knows the folder."""
    project = Project()
    project.migration("old", "CREATE TABLE accounts (id int);\nINSERT INTO accounts VALUES (1);", "DROP TABLE accounts;",
                      header="-- revises: base\n")
    project.migration("new", "ALTER TABLE accounts ADD COLUMN note text;", "ALTER TABLE accounts DROP COLUMN note;",
                      header="-- revises: old\n-- message: accounts get a note\n")
    gate = gated(init=True, recorded={"reader": "headgate", "schema": None, "order": None},
                 migrations={"dir": project.path("migrations")}, **more)
    gate.run("upgrade", "-d", "app", "old")
    cluster.sql("GRANT SELECT ON accounts TO PUBLIC", dbname)
    gate.until_recorded("old")
    return gate, project


def test_upgrade_through_a_gate(cluster, dbname, gated):
    """A run holds the clients between two transactions and lets those go on that fit; the others are told."""
    gate, project = gated_project(cluster, dbname, gated)
    client = gate.login("old")
    busy = gate.login("old")
    busy.query("BEGIN")
    running = gate.spawn("upgrade", "-d", "app", "--drain-timeout", "20s")
    until(lambda: gate.gate()["gate"] == "draining", lambda: f"draining: {gate.gate()}")
    assert "accounts get a note" in str(gate.gate()), gate.gate()
    busy.query("SELECT count(*) FROM accounts")
    busy.query("COMMIT")
    text, _ = running.communicate(timeout=60)
    assert running.returncode == 0, text
    gate.until_recorded("new")
    assert client.fatal()["C"] in ("57P01", "55000")
    with pytest.raises(Refused) as refused:
        gate.login("old")
    assert refused.value.code == "55000" and "relation=behind" in refused.value.fields["D"]
    gate.login("new").query("SELECT note FROM accounts")


def test_no_hold_holds_nobody(cluster, dbname, gated):
    """--no-hold, and hold:none in the file: a client in a transaction is not asked to end it."""
    gate, project = gated_project(cluster, dbname, gated)
    project.migration("then", "CREATE TABLE extra (a int);", header="-- revises: new\n", options=" compatible")
    busy = gate.login("old")
    busy.query("BEGIN")
    status, said = gate.run("upgrade", "-d", "app", "--no-hold")
    assert "nobody is held" in said and "draining" not in said
    project.migration("last", "CREATE TABLE extra2 (a int);", header="-- revises: then\n", options=" hold:none compatible")
    busy2 = gate.login("then")
    busy2.query("BEGIN")
    status, said = gate.run("upgrade", "-d", "app")
    assert "nobody is held" in said
    busy2.query("COMMIT")


def test_configured_reader_of_another_tool(cluster, dbname, gated):
    """Where Alembic keeps the version, headgate's upgrade says whose work it is."""
    gate = gated(init=True)
    project = Project()
    project.migration("0001", "SELECT 1;")
    for command in (["upgrade"], ["downgrade", "base"], ["stamp", "head"]):
        status, said = gate.run(command[0], "-d", "app", "--dir", project.path("migrations"), *command[1:], check=False)
        assert status == 3 and "recorded.reader is alembic" in said, said


# ---- the console ----

def order(gate, sql):
    """One command on a connection of its own: (its answer or error, the notices)."""
    wire = gate.console_wire()
    try:
        answer = gate.console(sql, wire)
    except Refused as error:
        answer = error
    wire.close()
    return answer, [notice["M"] for notice in wire.notices]


def test_console_upgrade(cluster, dbname, gated):
    """Files on the proxy's machine: the run is conducted by a child of the proxy, told by notices, answered by a row."""
    gate, project = gated_project(cluster, dbname, gated)
    rows, notices = order(gate, "UPGRADE app DRY RUN")
    assert rows[0]["outcome"] == "dry run" and any("accounts get a note" in n for n in notices), (rows, notices)
    assert heads(cluster, dbname) == ["old"]

    rows, notices = order(gate, "UPGRADE app TO head REASON 'it''s time'")
    assert rows.tag == "UPGRADE" and rows[0]["database"] == "app", rows
    assert (rows[0]["outcome"], rows[0]["from"], rows[0]["to"], rows[0]["steps"]) == ("succeeded", "old", "new", "1")
    assert any("[1/1] up new accounts get a note: done" in n for n in notices), notices
    run = cluster.sql("SELECT who, reason, outcome, command FROM headgate.run ORDER BY run_id DESC LIMIT 1", dbname)[0]
    assert run[0].startswith(pwd.getpwuid(os.getuid()).pw_name + "@") and run[1:] == ("it's time", "succeeded", ["headgate", "upgrade", "head"])
    assert str(rows[0]["run"]) == str(cluster.value("SELECT max(run_id) FROM headgate.run", dbname))
    assert order(gate, "UPGRADE")[0][0]["outcome"] == "succeeded"

    project.migration("bad", "SELECT 1;\nSELECT frob();", header="-- revises: new\n")
    error, notices = order(gate, "UPGRADE app")
    assert isinstance(error, Refused) and error.code == "42883", error
    assert "bad_change.sql:4: function frob() does not exist" in error.fields["D"], error.fields
    assert heads(cluster, dbname) == ["new"]
    error, notices = order(gate, "UPGRADE app TO '--help'")
    assert isinstance(error, Refused) and "--help" in error.fields["M"], error
    error, notices = order(gate, "UPGRADE nosuch")
    assert error.code == "3D000"
    project.write("open_it.sql", "-- migrate:up\nSELECT 'open", folder="migrations")
    error, notices = order(gate, "UPGRADE app")
    assert isinstance(error, Refused) and "open_it.sql:2" in error.fields["M"], error.fields


def test_console_upgrade_without_folder(cluster, dbname, gated):
    gate = gated(init=True)
    error, _ = order(gate, "UPGRADE app")
    assert error.code == "55000" and "migrations.dir" in error.fields["H"]


def test_console_upgrade_cancelled(cluster, dbname, gated):
    """Ctrl-C in psql ends the run in order: rolled back, released, answered."""
    gate, project = gated_project(cluster, dbname, gated)
    project.migration("slow", "CREATE TABLE never (a int);\nSELECT pg_sleep(300);", header="-- revises: new\n")
    console = gate.console_wire()
    sql = b"UPGRADE app\0"
    console.send(b"Q" + (len(sql) + 4).to_bytes(4, "big") + sql)
    until(lambda: cluster.active(dbname, "pg_sleep(300)"), "the slow step")
    console.cancel(gate.console_path)
    with pytest.raises(Refused) as refused:
        gate.console_answer(console)
    console.close()
    assert "cancel" in refused.value.fields["M"], refused.value.fields
    assert heads(cluster, dbname) == ["new"]
    until(lambda: gate.gate()["gate"] == "open", lambda: f"open again: {gate.gate()}")


def test_console_upgrade_outlives_its_connection(cluster, dbname, gated):
    """The operator's psql goes away: the run goes on, and the same order again joins it."""
    gate, project = gated_project(cluster, dbname, gated)
    project.migration("slow", "SELECT pg_sleep(2);", header="-- revises: new\n")
    gone = gate.console_wire()
    sql = b"UPGRADE app\0"
    gone.send(b"Q" + (len(sql) + 4).to_bytes(4, "big") + sql)
    until(lambda: cluster.active(dbname, "pg_sleep(2)"), "the slow step")
    gone.close()
    rows, notices = order(gate, "UPGRADE app")
    assert rows[0]["outcome"] == "succeeded" and rows[0]["steps"] == "0", rows
    assert any("attached" in n or "nothing to do" in n for n in notices) or "another" in rows[0]["text"], (rows, notices)
    until(lambda: heads(cluster, dbname) == ["slow"], lambda: f"the run done: {gate.log()}")
    until(lambda: "UPGRADE app ended with 0" in gate.log(None), "its end in the log")


def test_proxy_leaves_during_upgrade(cluster, dbname, gated):
    """SIGTERM of the proxy asks its run to end; nothing is left half way."""
    gate, project = gated_project(cluster, dbname, gated)
    project.migration("slow", "CREATE TABLE never (a int);\nSELECT pg_sleep(300);", header="-- revises: new\n")
    console = gate.console_wire()
    sql = b"UPGRADE app\0"
    console.send(b"Q" + (len(sql) + 4).to_bytes(4, "big") + sql)
    until(lambda: cluster.active(dbname, "pg_sleep(300)"), "the slow step")
    gate.stop()
    console.close()
    until(lambda: not cluster.active(dbname, "pg_sleep(300)"), "the statement ended")
    assert heads(cluster, dbname) == ["new"]
    project.migration("slow", "CREATE TABLE never (a int);", header="-- revises: new\n")
    gate.run("upgrade", "-d", "app")
    assert heads(cluster, dbname) == ["slow"]


# ---- a terminal ----

def test_live_line(cluster, shop, project):
    """On a terminal the step under way has one line that is written anew; when it is done the line stays."""
    project.migration("0004", "SELECT pg_sleep(3);", slug="slow")
    master, slave = pty.openpty()
    running = subprocess.Popen([binary(), "upgrade"], cwd=project.base, stdin=subprocess.DEVNULL, stdout=slave, stderr=slave,
                               env={**project.env, "TERM": "xterm"}, preexec_fn=place.die_with_parent)
    os.close(slave)
    text = b""
    while running.poll() is None or select.select([master], [], [], 0)[0]:
        if select.select([master], [], [], 0.1)[0]:
            try:
                text += os.read(master, 65536)
            except OSError:
                break
    os.close(master)
    assert running.wait(timeout=60) == 0, text
    text = text.decode()
    assert "\r\x1b[K" in text
    live = [piece for piece in text.split("\r\x1b[K") if piece.startswith("[4/4] up 0004 slow")]
    assert len(live) >= 3, text
    assert re.search(r"\[4/4\] up 0004 slow\S*\s+\S*3\.\d s", live[-1].replace("\x1b[2m", "")), live
    assert "\x1b[32mrun 1 succeeded" in text
