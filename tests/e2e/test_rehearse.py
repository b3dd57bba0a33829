"""`headgate rehearse`: pending migrations on a scratch database, up, down and up again, and what it has to say of them."""

import json
import os
import pty
import re
import signal
import subprocess

import pytest

from harness import place
from harness.headgate import SANITIZER, binary
from harness.wait import until


def scratches(cluster):
    return [name for (name,) in cluster.sql("SELECT datname FROM pg_database WHERE datname LIKE 'headgate_scratch%'")]


class Project:
    """A database and a folder of migrations."""

    def __init__(self, cluster, dbname, schema):
        self.cluster, self.dbname = cluster, dbname
        self.dir = place.folder("migrations")
        if schema:
            cluster.sql(schema, dbname)

    def url(self, dbname=None, user="postgres"):
        return f"postgresql://{user}@/{dbname or self.dbname}?host={self.cluster.socket}&port={self.cluster.port}"

    def write(self, name, up, down="", options="", header="", down_options=""):
        text = f"{header}-- migrate:up {options}\n{up}\n"
        if down is not None:
            text += f"-- migrate:down {down_options}\n{down}\n"
        with open(os.path.join(self.dir, name), "w") as f:
            f.write(text)

    def command(self, *arguments, url=None):
        return [binary(), "rehearse", "--url", url or self.url(), "--dir", self.dir, *arguments]

    def environment(self):
        return {**os.environ, "PATH": f"{place.pg_bin()}:{os.environ['PATH']}", "ASAN_OPTIONS": "detect_leaks=1"}

    def run(self, *arguments, url=None):
        done = subprocess.run(self.command(*arguments, url=url), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, timeout=120, env=self.environment())
        assert not SANITIZER.search(done.stderr), done.stderr
        return done.returncode, done.stdout, done.stderr

    def json(self, *arguments, status=0, url=None):
        """The steps by revision, and the result."""
        code, out, err = self.run("--json", *arguments, url=url)
        assert code == status, (code, out, err)
        lines = [json.loads(line) for line in out.splitlines()]
        assert lines[-1]["event"] == "result", lines
        assert lines[-1]["ok"] == (status == 0)
        return {line["revision"] or line["file"]: line for line in lines if line["event"] == "step"}, lines[-1]

    def spawn(self, *arguments):
        return subprocess.Popen(self.command(*arguments), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True, env=self.environment(), preexec_fn=place.die_with_parent)


SHOP = """
CREATE TABLE users (id int PRIMARY KEY, email text);
CREATE TABLE orders (id int PRIMARY KEY, name varchar(20), total int, user_id int);
CREATE VIEW order_names AS SELECT id, name FROM orders;
INSERT INTO users SELECT i, 'u' || i FROM generate_series(1, 100) i;
INSERT INTO orders SELECT i, 'n' || i, i, 1 + i % 100 FROM generate_series(1, 1000) i;
ANALYZE;
"""


@pytest.fixture
def project(cluster, dbname):
    made = Project(cluster, dbname, SHOP)
    yield made
    assert scratches(cluster) == []
    # whatever was rehearsed, the database itself is as it was
    assert cluster.sql("SELECT count(*), max(total) FROM orders", made.dbname) == [(1000, 1000)]
    assert cluster.value("SELECT to_regnamespace('headgate') IS NULL", made.dbname)


def locks(section):
    return {seen["relation"]: seen["lock"] for seen in section["relations"] if seen["table"] is None}


def test_a_good_migration_passes(project):
    """Up, down, up again; the locks are told, and nothing else is said of it."""
    project.write("0001_note.sql", "ALTER TABLE orders ADD note text;", "ALTER TABLE orders DROP note;", "compatible")
    project.write("0002_items.sql", "CREATE TABLE items (id int PRIMARY KEY, order_id int REFERENCES orders);\nCREATE INDEX ON items (order_id);",
                  "DROP TABLE items;")
    steps, result = project.json()
    assert (result["passed"], result["failed"], result["skipped"]) == (2, 0, 0)
    note = steps["0001"]
    assert note["verdict"] == "passed"
    assert all(note[part]["ok"] for part in ("up", "down", "again"))
    assert locks(note["up"]) == {"public.orders": "AccessExclusiveLock"} == locks(note["down"])
    assert note["up"]["relations"][0]["stops"] == "reads and writes"
    assert not note["up"]["relations"][0]["rewritten"]
    assert note["left"] == note["different"] == note["up"]["warnings"] == []
    assert not note["clients"]["contradicted"]
    items = steps["0002"]
    assert locks(items["up"])["public.orders"] == "ShareRowExclusiveLock"
    assert items["clients"]["suggested"]
    assert "public.items" not in locks(items["up"])  # nobody can be at what is new


def test_what_it_writes_anew_and_what_is_safer(project):
    project.write("0001_bigint.sql", "ALTER TABLE orders ALTER total TYPE bigint;\nCREATE INDEX ON orders (total);",
                  "DROP INDEX orders_total_idx;\nALTER TABLE orders ALTER total TYPE int;")
    project.write("0002_wider.sql", "DROP VIEW order_names;\nALTER TABLE orders ALTER name TYPE text;",
                  "ALTER TABLE orders ALTER name TYPE varchar(20);\nCREATE VIEW order_names AS SELECT id, name FROM orders;")
    steps, result = project.json()
    bigint = steps["0001"]
    assert [seen["rewritten"] for seen in bigint["up"]["relations"] if seen["relation"] == "public.orders"] == [True]
    assert [(w["rule"], w["line"], w["lock"]) for w in bigint["up"]["warnings"]] == \
        [("change-column-type", 2, "AccessExclusiveLock"), ("create-index", 3, "ShareLock")]
    assert "integer becomes bigint" in bigint["up"]["warnings"][0]["text"]
    assert "CONCURRENTLY" in bigint["up"]["warnings"][1]["instead"]
    assert bigint["clients"]["may_lose"] == ["column public.orders.total is bigint, was integer"]
    wider = steps["0002"]
    assert [w["rule"] for w in wider["up"]["warnings"]] == ["drop-object"]  # and no word about the type
    assert not any(seen["rewritten"] for seen in wider["up"]["relations"])
    assert [w["rule"] for w in wider["down"]["warnings"]] == ["change-column-type"]
    assert wider["clients"]["lose"] == ["view public.order_names is gone"]
    # warnings alone are no failure, unless they are to be
    assert result["failed"] == 0 and result["warned"] == 2
    project.json("--strict", status=1)


def test_a_down_that_does_not_undo_is_a_failure(project):
    project.write("0001_two.sql", "ALTER TABLE orders ADD a int;\nALTER TABLE orders ADD b int DEFAULT 5;", "ALTER TABLE orders DROP a;")
    project.write("0002_none.sql", "CREATE TABLE later (a int);", None)
    code, out, _ = project.run()
    assert code == 1
    assert "FAIL  0001" in out and "down does not undo up" in out
    assert re.search(r"table public\.orders: column b .*", out), out
    assert "up again failed" in out and 'column "b" of relation "orders" already exists' in out
    # the rest was rehearsed all the same, on a new copy
    assert re.search(r"^WARN  0002 .* up \S+ ms$", out, re.M), out
    assert "no way back" in out


def test_down_is_not_asked_for_with_up_only(project):
    project.write("0001_x.sql", "ALTER TABLE orders ADD a int;", None)
    project.write("0002_x.sql", "ALTER TABLE orders ADD b int;", "SELECT 1 / 0;")
    steps, result = project.json("--up-only")
    assert result["warnings"] == 0 and result["passed"] == 2
    assert steps["0002"]["down"] is None


def test_a_mark_that_is_wrong_is_a_failure(project):
    project.write("0001_rename.sql", "ALTER TABLE orders RENAME name TO title;", "ALTER TABLE orders RENAME title TO name;", "compatible")
    project.write("0002_must.sql", "ALTER TABLE orders ADD must int NOT NULL;", "ALTER TABLE orders DROP must;", "compatible")
    # a new name beside the old one is kept in step by nobody, but clients see what they saw
    project.write("0003_view.sql", "CREATE VIEW titles AS SELECT id, title FROM orders;", "DROP VIEW titles;", "compatible")
    steps, result = project.json(status=1)
    assert steps["0001"]["verdict"] == "failed" and steps["0001"]["clients"]["contradicted"]
    assert steps["0001"]["clients"]["lose"] == ["column public.orders.name is gone"]
    assert steps["0002"]["verdict"] == "failed"
    assert steps["0003"]["verdict"] == "passed"
    assert result["failed"] == 2


def test_a_step_that_fails_is_told_with_its_place(project):
    project.write("0001_bad.sql", "ALTER TABLE orders ADD a int;\nALTER TABLE orders\n    ADD FOREIGN KEY (a) REFERENCES nowhere (id);", "")
    project.write("0002_next.sql", "SELECT 1;", "")
    code, out, _ = project.run()
    assert code == 1
    assert "0001_bad.sql:3" in out and 'relation "nowhere" does not exist (42P01)' in out
    assert "    ADD FOREIGN KEY (a) REFERENCES nowhere (id)" in out
    assert "----  0002" in out and "1 not rehearsed" in out
    steps, _ = project.json(status=1)
    error = steps["0001"]["up"]["error"]
    assert error["sqlstate"] == "42P01" and error["line"] == 3 and error["statement"].startswith("ALTER TABLE orders\n")
    assert steps["0002"]["verdict"] == "skipped" and steps["0002"]["up"] is None


def test_a_deferred_constraint_fails_at_the_end(project):
    project.write("0001_x.sql", "CREATE TABLE c (a int PRIMARY KEY, b int REFERENCES c DEFERRABLE INITIALLY DEFERRED);\n"
                                "INSERT INTO c VALUES (1, 2);", "DROP TABLE c;")
    steps, _ = project.json(status=1)
    assert steps["0001"]["up"]["error"]["sqlstate"] == "23503"
    assert steps["0001"]["up"]["error"]["statement"] is None


def test_outside_a_transaction(project):
    """What cannot be in a transaction is watched while it runs."""
    project.cluster.sql("CREATE TABLE big AS SELECT i AS id, md5(i::text) AS t FROM generate_series(1, 100000) i", project.dbname)
    project.write("0001_index.sql", "CREATE INDEX CONCURRENTLY big_t ON big (t);", "DROP INDEX CONCURRENTLY big_t;", "transaction:false hold:none",
                  down_options="transaction:false")
    steps, _ = project.json("--data")
    index = steps["0001"]
    assert not index["up"]["transaction"] and index["flowing"]
    assert locks(index["up"]) == {"public.big": "ShareUpdateExclusiveLock"}
    assert index["verdict"] == "passed" and index["again"]["ok"]


def test_one_that_is_left_half_way(project):
    """A down section outside a transaction fails in its middle. What comes after it is rehearsed on a new copy."""
    project.write("0001_half.sql", "CREATE TABLE half (a int);\nCREATE INDEX half_a ON half (a);",
                  "DROP INDEX CONCURRENTLY half_a;\nSELECT 1 / 0;", down_options="transaction:false")
    project.write("0002_next.sql", "DROP INDEX half_a;", "CREATE INDEX half_a ON half (a);")
    steps, result = project.json(status=1)
    assert steps["0001"]["down"]["error"]["sqlstate"] == "22012"
    assert "outside-several" in [w["rule"] for w in steps["0001"]["down"]["warnings"]]
    assert steps["0002"]["up"]["ok"] and steps["0002"]["down"]["ok"]
    assert (result["failed"], result["skipped"]) == (1, 0)


def test_rows_matter_with_data(project):
    """A NULL in the way is met only where rows are; and scans are counted."""
    project.cluster.sql("CREATE TABLE nulls AS SELECT CASE WHEN i % 10 > 0 THEN i END AS a FROM generate_series(1, 100) i", project.dbname)
    project.write("0001_check.sql", "ALTER TABLE orders ADD CONSTRAINT positive CHECK (total > 0);", "ALTER TABLE orders DROP CONSTRAINT positive;")
    project.write("0002_null.sql", "ALTER TABLE nulls ALTER a SET NOT NULL;", "ALTER TABLE nulls ALTER a DROP NOT NULL;")
    project.json()
    steps, _ = project.json("--data", status=1)
    orders = [seen for seen in steps["0001"]["up"]["relations"] if seen["relation"] == "public.orders"][0]
    assert orders["rows_read"] == 1000
    assert steps["0002"]["up"]["error"]["sqlstate"] == "23502"


def test_a_session_is_as_psql_has_it(project):
    """search_path of the database, COPY with its data, BEGIN and COMMIT around the file, settings that do not outlive a section."""
    project.cluster.sql(f'CREATE SCHEMA sales; CREATE TABLE sales.things (a int); ALTER DATABASE "{project.dbname}" SET search_path = sales, public',
                        project.dbname)
    project.write("0001_copy.sql", "BEGIN;\nCREATE TABLE copied (a int, b text);\nCOPY copied FROM stdin;\n1\tone\n2\ttwo\n\\.\n"
                                   "SELECT 1 / (count(*) - 1) FROM copied;\nSET work_mem = '64kB';\nCOMMIT;", "BEGIN;\nDROP TABLE sales.copied;\nCOMMIT;")
    project.write("0002_path.sql", "DO $$ BEGIN IF current_setting('work_mem') = '64kB' THEN RAISE EXCEPTION 'kept'; END IF; END $$;\n"
                                   "ALTER TABLE things ADD b int;", "ALTER TABLE things DROP b;")
    steps, _ = project.json()
    assert all(step["verdict"] != "failed" for step in steps.values()), steps
    assert locks(steps["0002"]["up"]) == {"sales.things": "AccessExclusiveLock"}
    project.cluster.sql(f'ALTER DATABASE "{project.dbname}" RESET search_path')


def test_what_is_recorded_is_where_it_begins(project):
    project.write("0001_a.sql", "CREATE TABLE a (a int);", "DROP TABLE a;")
    project.write("0002_b.sql", "CREATE TABLE b (a int);", "DROP TABLE b;")
    project.write("0003_c.sql", "CREATE TABLE c (a int);", "DROP TABLE c;")
    steps, _ = project.json("0002")
    assert list(steps) == ["0001", "0002"]
    steps, _ = project.json("+1")
    assert list(steps) == ["0001"]
    code, _, err = project.run("nowhere")
    assert code == 1 and "nowhere" in err
    code, _, err = project.run("0001:0002")
    assert code == 2


def test_after_real_upgrades(cluster, dbname):
    """With a ledger there, which is copied too and plays no part: what is applied stays as it is, what is pending is rehearsed."""
    project = Project(cluster, dbname, SHOP)
    project.write("0001_a.sql", "ALTER TABLE orders ADD a int;", "ALTER TABLE orders DROP a;")
    upgraded = subprocess.run([binary(), "upgrade", "--url", project.url(), "--dir", project.dir], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, env=project.environment(), timeout=60)
    assert upgraded.returncode == 0, upgraded.stdout
    project.write("0002_b.sql", "ALTER TABLE orders RENAME a TO b;", "ALTER TABLE orders RENAME b TO a;")
    ledger = "SELECT (SELECT array_agg(head) FROM headgate.head), (SELECT count(*) FROM headgate.run), (SELECT count(*) FROM headgate.step)"
    before = cluster.sql(ledger, dbname)
    for options in ((), ("--data",)):
        steps, _ = project.json(*options)
        assert list(steps) == ["0002"]
        assert steps["0002"]["clients"] == {"of": "0001", "contradicted": False, "suggested": False, "lose": ["column public.orders.a is gone"],
                                            "may_lose": []}
    assert cluster.sql(ledger, dbname) == before
    assert scratches(cluster) == []
    # a file that was changed since it was applied is refused, as upgrade refuses it
    project.write("0001_a.sql", "ALTER TABLE orders ADD other int;", "")
    code, _, err = project.run()
    assert code == 1 and "0001_a.sql" in err
    assert project.run("--accept-changed")[0] == 0


def test_repeatable_migrations_go_up_only(project):
    for name, text in (("V1__a.sql", "CREATE TABLE a (a int);"), ("R__view.sql", "CREATE OR REPLACE VIEW a_view AS SELECT * FROM a;")):
        with open(os.path.join(project.dir, name), "w") as f:
            f.write(text)
    steps, result = project.json()
    assert [step["kind"] for step in steps.values()] == ["up", "repeat"]
    assert result["failed"] == 0


def test_nothing_is_pending(project):
    code, out, _ = project.run()
    assert code == 0 and out.startswith("Nothing is pending")
    _, result = project.json()
    assert result["passed"] == 0


def test_texts_cannot_play_tricks(project):
    """A migration's message and a server's answer are shown, not obeyed."""
    project.write("0001_x.sql", "DO $$ BEGIN RAISE EXCEPTION 'red: %', E'\\x1b[31m'; END $$;", "", header="-- message: bell \x07 and \x1b[2J\n")
    code, out, err = project.run()
    assert code == 1
    assert "\x1b" not in out + err and "\x07" not in out + err
    assert "\\x1b[31m" in out and "bell \\x07" in out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_nothing_remains_after_a_signal(project, number):
    """In the middle of a statement."""
    project.write("0001_sleep.sql", "SELECT pg_sleep(600);", "")
    running = project.spawn()
    until(lambda: [name for name in scratches(project.cluster) if project.cluster.active(name, "pg_sleep")], "the statement at work")
    running.send_signal(number)
    output, _ = running.communicate(timeout=30)
    assert running.returncode == 1 and "interrupted" in output, output
    assert not SANITIZER.search(output)
    assert scratches(project.cluster) == []
    assert project.cluster.value("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()") == 0


def test_nothing_remains_after_a_signal_while_copying(project):
    """pg_dump waits for a lock that another session has."""
    import psycopg2

    blocker = psycopg2.connect(host=project.cluster.socket, port=project.cluster.port, user="postgres", dbname=project.dbname)
    try:
        blocker.cursor().execute("LOCK TABLE orders")
        project.write("0001_x.sql", "SELECT 1;", "")
        running = project.spawn()
        until(lambda: project.cluster.sql("SELECT 1 FROM pg_stat_activity WHERE application_name = 'pg_dump' AND wait_event_type = 'Lock'"),
              "pg_dump waiting")
        running.send_signal(signal.SIGTERM)
        output, _ = running.communicate(timeout=30)
    finally:
        blocker.close()
    assert running.returncode == 1 and "interrupted" in output, output
    assert scratches(project.cluster) == []
    until(lambda: not project.cluster.sql("SELECT 1 FROM pg_stat_activity WHERE application_name = 'pg_dump'"), "pg_dump gone")


def test_what_a_killed_one_left_is_swept_away(project):
    project.write("0001_sleep.sql", "SELECT pg_sleep(600);", "")
    running = project.spawn()
    until(lambda: [name for name in scratches(project.cluster) if project.cluster.active(name, "pg_sleep")], "the statement at work")
    left = scratches(project.cluster)
    running.kill()
    running.communicate()
    assert scratches(project.cluster) == left
    # its sessions end when the server notices; then the next rehearsal drops it
    project.cluster.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'headgate%'")
    until(lambda: not project.cluster.sql("SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'headgate%'"), "its sessions ended")
    project.write("0001_sleep.sql", "SELECT 1;", "")
    project.json()
    assert scratches(project.cluster) == []


def test_on_a_database_that_is_named(project):
    """It is changed, so that is asked for plainly."""
    project.write("0001_a.sql", "CREATE TABLE a (a int);", "DROP TABLE a;")
    project.cluster.sql("CREATE DATABASE named")
    code, _, err = project.run("--on", project.url("named"))
    assert code == 2 and "--yes" in err
    assert project.cluster.value("SELECT to_regclass('a') IS NULL", "named")
    steps, _ = project.json("--on", project.url("named"), "--yes")
    assert steps["0001"]["verdict"] == "passed"
    assert not project.cluster.value("SELECT to_regclass('a') IS NULL", "named")
    assert project.cluster.value("SELECT to_regclass('a') IS NULL", project.dbname)
    project.cluster.sql("DROP DATABASE named")


def test_on_a_terminal_it_asks(project):
    project.write("0001_a.sql", "CREATE TABLE a (a int);", "DROP TABLE a;")
    project.cluster.sql("CREATE DATABASE asked")
    for answer, code in (("no", 1), ("asked", 0)):
        leader, follower = pty.openpty()
        running = subprocess.Popen(project.command("--on", project.url("asked")), stdin=follower, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   text=True, env=project.environment())
        os.close(follower)
        os.write(leader, f"{answer}\n".encode())
        output, _ = running.communicate(timeout=60)
        os.close(leader)
        assert running.returncode == code, output
        assert "The database asked will be changed" in output
    project.cluster.sql("DROP DATABASE asked")


def test_rights(project):
    """CREATEDB is enough, where one may read what is copied; without it the server's word is told."""
    project.write("0001_a.sql", "ALTER TABLE orders ADD a int;", "ALTER TABLE orders DROP a;")
    project.cluster.sql("CREATE ROLE plain LOGIN")
    project.cluster.sql("ALTER TABLE orders OWNER TO plain; ALTER VIEW order_names OWNER TO plain; ALTER TABLE users OWNER TO plain", project.dbname)
    with open(os.path.join(project.cluster.data, "pg_hba.conf"), "a") as f:
        f.write("local all plain trust\n")
    project.cluster.sql("SELECT pg_reload_conf()")
    code, _, err = project.run(url=project.url(user="plain"))
    assert code == 1 and "permission denied to create database" in err, err
    project.cluster.sql("ALTER ROLE plain CREATEDB")
    project.cluster.sql("DROP TABLE alembic_version", project.dbname)  # the superuser's
    code, out, err = project.run(url=project.url(user="plain"))
    assert code == 0, out + err
    project.cluster.sql("REASSIGN OWNED BY plain TO postgres; DROP OWNED BY plain", project.dbname)
    project.cluster.sql("DROP ROLE plain")


def test_errors_say_what_to_do(project):
    project.write("0001_a.sql", "SELECT 1;", "")
    code, _, err = project.run(url=f"postgresql://postgres@127.0.0.1:{place.port()}/x")
    assert code == 4 and "cannot be reached" in err
    code, _, err = project.run("--dir", "/nonexistent")
    assert code == 1 and "/nonexistent" in err
    code, _, err = project.run("one", "two")
    assert code == 2
    environment = {**project.environment(), "PATH": "/nonexistent"}
    done = subprocess.run(project.command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, timeout=60)
    assert done.returncode == 1 and "pg_dump" in done.stderr and "PATH" in done.stderr, done.stderr
