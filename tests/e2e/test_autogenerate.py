"""`headgate revision --autogenerate` and `headgate check --against`: a migration made from what differs does what it should, and
back, on pairs of schemas of every kind; what it cannot do it says; and nothing remains of how it found out."""

import json
import os
import re
import signal
import subprocess

import pytest

from harness import place
from harness.headgate import SANITIZER, binary
from harness.wait import until
from schema_pairs import LEFT, ONE_WAY, PAIRS, SINCE
from schema_rental import RENTAL, RENTAL_LATER


@pytest.fixture(scope="module")
def server(cluster):
    cluster.sql("CREATE ROLE app")
    cluster.sql("CREATE ROLE other")
    return cluster


class Pair:
    """A database as it is, one as it should be, a copy of how it was, and a folder of migrations. Without schemas: only an empty one."""

    def __init__(self, server, before=None, after=None):
        self.server = server
        self.dir = os.path.join(place.folder("pair"), "migrations")
        server.sql("DROP DATABASE IF EXISTS is_now WITH (FORCE)")
        if before is None:
            server.sql("CREATE DATABASE is_now TEMPLATE template0")
            return
        for name in ("was", "should_be"):
            server.sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            server.sql(f"CREATE DATABASE {name} TEMPLATE template0")
        self.psql(before, "was")
        self.psql(after, "should_be")
        server.sql("CREATE DATABASE is_now TEMPLATE was")

    def psql(self, text, dbname="is_now", alone=False):
        done = subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", *([] if alone else ["-1"]), "-h",
                               self.server.socket, "-p", str(self.server.port), "-U", "postgres", "-f", "-", dbname],
                              input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert done.returncode == 0, f"{done.stderr}\n{text}"

    def url(self, dbname="is_now", user="postgres"):
        return f"postgresql://{user}@/{dbname}?host={self.server.socket}&port={self.server.port}"

    def command(self, name, *words, user="postgres"):
        folder = ["--dir", self.dir] if name != "check" else []
        return [binary(), name, "--url", self.url(user=user), *folder, *words]

    def environment(self):
        return {**os.environ, "ASAN_OPTIONS": "detect_leaks=1", "PATH": f"{place.pg_bin()}:{os.environ['PATH']}"}

    def run(self, name, *words, status=0, user="postgres"):
        done = subprocess.run(self.command(name, *words, user=user), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=120, env=self.environment())
        assert not SANITIZER.search(done.stderr), done.stderr
        assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
        return done.stdout, done.stderr

    def generate(self, *source, status=0):
        """The file's text, up, down, and whether each must be alone."""
        out, err = self.run("revision", "-m", "as designed", "--autogenerate", *(source or ("--from-url", self.url("should_be"))),
                            status=status)
        if not out.strip():
            return None, err
        with open(out.strip()) as f:
            text = f.read()
        up, down = re.fullmatch(r".*?^-- migrate:up([^\n]*\n.*?)^-- migrate:down([^\n]*\n.*)", text, re.S | re.M).groups()
        return ([(part.split("\n", 1)[1], "transaction:false" in part.split("\n", 1)[0]) for part in (up, down)]), err

    def differences(self, dbname):
        """What `check --against-url` lists; its exit status says the same."""
        done = subprocess.run(self.command("check", "--against-url", self.url(dbname)), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120, env=self.environment())
        assert not SANITIZER.search(done.stderr), done.stderr
        if done.returncode == 0:
            assert done.stdout == "is_now: as desired\n"
            return []
        assert done.returncode == 1 and done.stdout, (done.returncode, done.stderr)
        return done.stdout.splitlines()


def there_and_back(pair, back=()):
    """Applies what was made, and takes it back. Nothing may be left to a person."""
    sections, _ = pair.generate()
    if sections is None:
        assert pair.differences("should_be") == []
        return
    (up, up_alone), (down, down_alone) = sections
    assert "LEFT TO YOU" not in up and ("LEFT TO YOU" in down) == bool(back), (up, down)
    pair.psql(up, alone=up_alone)
    assert pair.differences("should_be") == [], up
    pair.psql(down, alone=down_alone)
    assert pair.differences("was") == list(back), (up, down)


# What a pair says of the whole database keeps it from sharing one with others.
BY_ITSELF = [name for name, pair in PAIRS.items()
             if re.search(r"SCHEMA|EXTENSION|EVENT TRIGGER|DEFAULT PRIVILEGES", " ".join(pair))]
SHARING = [name for name in PAIRS if name not in BY_ITSELF]
GROUPS = [SHARING[i:i + 12] for i in range(0, len(SHARING), 12)]


@pytest.mark.parametrize("name", BY_ITSELF)
def test_there_and_back(server, name):
    there_and_back(Pair(server, *PAIRS[name]))


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: f"{group[0]} and the next")
def test_there_and_back_together(server, group):
    """Each pair in a schema of its own, which saves databases. Should they fail, then which of them?"""
    major = int(server.value("SHOW server_version_num")) // 10000
    group = [name for name in group if SINCE.get(name, 13) <= major]

    def together(side):
        return "\n".join(f"CREATE SCHEMA s{number}; SET search_path = s{number}, public; {PAIRS[name][side]}" for number, name in enumerate(group))
    try:
        there_and_back(Pair(server, together(0), together(1)))
    except AssertionError:
        for name in group:
            there_and_back(Pair(server, *PAIRS[name]))
        raise


@pytest.mark.parametrize("name", ONE_WAY)
def test_there_and_not_back(server, name):
    before, after, back = ONE_WAY[name]
    there_and_back(Pair(server, before, after), back)


@pytest.mark.parametrize("name", LEFT)
def test_what_is_left_to_a_person(server, name):
    before, after, words, lines = LEFT[name]
    pair = Pair(server, before, after)
    ((up, _), _), err = pair.generate()
    assert "could not be made by itself" in err, err
    assert words in " ".join(line[3:] for line in up.splitlines() if line.startswith("-- ")), up
    # Nothing of it runs, and the migration does not go up as if it had done something.
    with pytest.raises(AssertionError, match="waits for a decision"):
        pair.psql(up)
    assert pair.differences("should_be") == lines
    assert pair.differences("was") == []


def test_what_was_left_works_once_it_is_decided(server):
    pair = Pair(server, "CREATE TABLE t (a timestamp); INSERT INTO t VALUES ('2020-01-01 12:00'); CREATE VIEW v AS SELECT a FROM t;",
                "CREATE TABLE t (a date); CREATE VIEW v AS SELECT a FROM t;")
    ((up, _), _), _ = pair.generate()
    assert "LEFT TO YOU" in up
    pair.psql(re.sub(r"^--   (ALTER TABLE)", r"\1", up, flags=re.M))
    assert pair.differences("should_be") == []
    assert server.value("SELECT a FROM t", "is_now").isoformat() == "2020-01-01"


def test_rows_live_through_it(server):
    """Where nothing has to be lost nothing is: types grow, a column comes with its default, keys are made anew."""
    pair = Pair(server, "CREATE TABLE p (id integer PRIMARY KEY, a varchar(5)); CREATE TABLE c (p integer REFERENCES p, m text);"
                        "INSERT INTO p SELECT i, i::text FROM generate_series(1, 100) i; INSERT INTO c SELECT i, 'x' FROM generate_series(1, 100) i;",
                "CREATE TYPE mood AS ENUM ('x', 'y'); CREATE TABLE p (id bigint PRIMARY KEY, a text NOT NULL, n serial);"
                "CREATE TABLE c (p bigint REFERENCES p ON DELETE CASCADE, m mood DEFAULT 'y', b integer DEFAULT 7 NOT NULL);")
    there = pair.generate()[0]
    pair.psql(there[0][0])
    assert pair.differences("should_be") == []
    assert server.sql("SELECT count(*), min(id), max(a), max(n) FROM p", "is_now") == [(100, 1, "99", 100)]
    assert server.sql("SELECT count(*), min(m::text), min(b) FROM c", "is_now") == [(100, "x", 7)]
    pair.psql(there[1][0])
    assert server.sql("SELECT count(*), max(a) FROM p", "is_now") == [(100, "99")]


def test_a_rename_is_asked_about(server):
    pair = Pair(server, "CREATE TABLE t (id integer, old text); INSERT INTO t VALUES (1, 'kept')", "CREATE TABLE t (id integer, new text)")
    (up, _), (down, _) = pair.generate()[0]
    assert "Is this a rename? public.t.old goes and new comes, both text." in up
    assert "Data goes: the column old of public.t and its values." in up
    # Done as the comment says, the rows stay.
    rename = re.search(r"^--   (ALTER TABLE .* RENAME COLUMN .*;)$", up, re.M)[1]
    pair.psql(rename)
    assert pair.differences("should_be") == []
    assert server.value("SELECT new FROM t", "is_now") == "kept"


def test_what_may_fail_fails_whole(server):
    """A remark stands before it, PostgreSQL refuses it, and nothing has changed."""
    pair = Pair(server, "CREATE TABLE t (a text); INSERT INTO t VALUES ('x')", "CREATE TABLE t (a integer NOT NULL, b integer)")
    (up, _), _ = pair.generate()[0]
    assert "-- Fails where a value of public.t.a does not fit into integer.\nALTER TABLE" in up
    assert "-- Fails where public.t.a is NULL.\nALTER TABLE" in up
    with pytest.raises(AssertionError, match="invalid input syntax for type integer"):
        pair.psql(up)
    assert pair.differences("was") == []


# ---- a larger schema ----

def test_a_larger_schema_from_nothing_and_back(server):
    there_and_back(Pair(server, "", RENTAL))


def test_a_larger_schema_grows(server):
    there_and_back(Pair(server, RENTAL, RENTAL_LATER), back=["enum public.rating: values is 'G', 'PG', 'PG-13', 'R', 'X', should be 'G', 'PG', 'R'"])


@pytest.mark.parametrize("options", [[], ["--no-owner"], ["--clean", "--if-exists"], ["--no-privileges", "--quote-all-identifiers"]])
def test_its_dump_is_itself(server, options):
    """pg_dump --schema-only, with whatever lines for psql its version writes."""
    schema = re.sub(r"^(GRANT|ALTER DEFAULT) .*$", "", RENTAL_LATER, flags=re.M) if "--no-privileges" in options else RENTAL_LATER
    pair = Pair(server, schema, "")
    path = os.path.join(place.folder("dump"), "schema.sql")
    done = subprocess.run([f"{place.pg_bin()}/pg_dump", "--schema-only", *options, pair.url()], stdout=subprocess.PIPE, text=True, check=True)
    with open(path, "w") as f:
        # What this version's pg_dump may not write yet.
        f.write(done.stdout if "\\restrict" in done.stdout else f"--\n-- dump\n--\n\n\\restrict Qa9\n{done.stdout}\n\\unrestrict Qa9\n")
    pair.run("check", "--against", path)
    sections, err = pair.generate("--from", path)
    assert sections is None and not os.path.exists(pair.dir), err


def test_what_pg_dump_makes_of_it_is_the_same(server):
    """An outside witness: the dumps of the two are alike, line by line, but for the order of the lines. (The one of what should be
    goes through a dump once more: there pg_dump puts some expressions otherwise than where they were written by hand.)"""
    pair = Pair(server, RENTAL, RENTAL_LATER)
    pair.psql(pair.generate()[0][0][0])

    def dump(dbname):
        return subprocess.run([f"{place.pg_bin()}/pg_dump", "--schema-only", pair.url(dbname)], stdout=subprocess.PIPE, text=True,
                              check=True).stdout

    def lines(dbname):
        return sorted(line.strip().rstrip(",") for line in dump(dbname).splitlines() if not line.startswith(("\\", "--")))

    server.sql("DROP DATABASE was WITH (FORCE)")
    server.sql("CREATE DATABASE was TEMPLATE template0")
    pair.psql(dump("should_be"), "was", alone=True)
    assert lines("is_now") == lines("was")


# ---- as a run ----

def test_up_and_down_as_runs(server):
    """The file that is made is a migration like any other: upgrade, downgrade; and it is made from a database at its head only."""
    pair = Pair(server, RENTAL, RENTAL_LATER)
    path = os.path.join(place.folder("designed"), "schema.sql")
    with open(path, "w") as f:
        f.write(RENTAL_LATER)
    assert pair.generate("--from", path)[0]
    _, err = pair.run("revision", "-m", "again", "--autogenerate", "--from", path, status=1)
    assert "1 migration" in err and "would be written a second time" in err and "headgate upgrade" in err
    assert len(os.listdir(pair.dir)) == 1
    pair.run("upgrade", "--no-hold")
    assert pair.differences("should_be") == []  # the ledger is not compared
    assert pair.generate("--from", path)[0] is None
    pair.run("downgrade", "base", "--no-hold")
    assert all("enum public.rating" in line for line in pair.differences("was"))


def test_a_value_is_used_where_it_is_added(server):
    """Not in one transaction: the section says so, and the run does it."""
    before, after, _ = ONE_WAY["enum value used"]
    pair = Pair(server, before, after)
    assert pair.generate()[0][0][1]
    pair.run("upgrade", "--no-hold")
    assert pair.differences("should_be") == []


# ---- check ----

def test_drift_for_programs(server):
    pair = Pair(server, "CREATE TABLE t (a integer)", "CREATE TABLE t (a bigint)")
    out, _ = pair.run("check", "--json", "--against-url", pair.url("should_be"), status=1)
    assert json.loads(out) == {"same": False, "differences": ["table public.t: column a: type is integer, should be bigint"]}
    out, _ = pair.run("check", "--json", "--against-url", pair.url("was"))
    assert json.loads(out) == {"same": True, "differences": []}


def test_version_tables_are_not_compared(server):
    pair = Pair(server, "CREATE TABLE alembic_version (v text); CREATE TABLE goose_db_version (id serial); COMMENT ON TABLE goose_db_version IS 'x'", "")
    assert pair.differences("should_be") == []


# ---- faults ----

FILES = {
    "syntax": ("CREATE TABLE a (x integer);\n\nCREATE TABEL b (x integer);\n", ":3: syntax error at or near \"TABEL\""),
    "place in a statement": ("CREATE TABLE a (x integer,\n  y no_such_type);\n", ":2: type \"no_such_type\" does not exist"),
    "unterminated": ("CREATE TABLE a (x integer);\nSELECT 'x;\n", ":2: "),
    "a meta-command": ("CREATE TABLE a (x integer);\n\\connect postgres\n", ":2: "),
    "not UTF-8": (b"SELECT '\xff';\n", ":1: "),
    "a role": ("CREATE ROLE made_by_a_schema;\n", ":1: CREATE ROLE acts on the whole server"),
    "a user": ("\n /* x */ alter  user postgres password 'x';\n", ":2: ALTER USER acts on the whole server"),
    "a database": ("DROP DATABASE should_be;\n", ":1: DROP DATABASE acts on the whole server"),
    "a setting": ("ALTER SYSTEM SET work_mem = '1GB';\n", ":1: ALTER SYSTEM acts on the whole server"),
    "a membership": ("GRANT app TO other;\n", ":1: GRANT of a role acts on the whole server"),
    "a tablespace": ("GRANT CREATE ON TABLESPACE pg_default TO app;\n", ":1: GRANT ... ON TABLESPACE acts on the whole server"),
    "a missing role": ("CREATE TABLE a (x integer);\nGRANT SELECT ON a TO nobody_here;\n", ":2: role \"nobody_here\" does not exist\nHINT: "),
    "restrict without an end": ("\\restrict a b\nSELECT 1;\n", ":1: "),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_wrong(server, name):
    text, words = FILES[name]
    pair = Pair(server)
    path = os.path.join(place.folder("wrong"), "schema.sql")
    with open(path, "wb") as f:
        f.write(text if isinstance(text, bytes) else text.encode())
    for command in (["check", "--against", path], ["revision", "-m", "x", "--autogenerate", "--from", path]):
        out, err = pair.run(*command, status=1)
        assert path + words in err and out == "", err
    assert not os.path.exists(pair.dir)
    assert scratches(server) == []
    assert server.sql("SELECT 1 FROM pg_roles WHERE rolname = 'made_by_a_schema'") == []


def test_a_file_that_is_fine(server):
    """Owners that are not there, mappings of users, data: none of it matters for a comparison."""
    pair = Pair(server, "CREATE TABLE a (x integer)", "")
    path = os.path.join(place.folder("fine"), "schema.sql")
    with open(path, "w") as f:
        f.write("\ufeffCREATE TABLE a (x integer);\nALTER TABLE a OWNER TO nobody_here;\nSET a_setting_of_a_later_version = 0;\n"
                "create  schema public;\nCOPY a FROM stdin;\n1\n2\n\\.\n"
                "INSERT INTO a VALUES (1);\nCOMMENT ON TABLE a IS 'x';\nCOMMENT ON TABLE a IS NULL;\n"
                "BEGIN;\nCREATE TABLE b (x integer);\nROLLBACK;\nCREATE INDEX CONCURRENTLY i ON a (x);\nDROP INDEX i;")
    pair.run("check", "--against", path)


@pytest.mark.parametrize("words, status, said", [
    (["--against", "/no/such/file.sql"], 1, "/no/such/file.sql: No such file"),
    (["--against-url", "postgresql:///x?host=/no/such/folder"], 4, "No such file"),
    (["--against-url", "postgresql://x?nonsense=1"], 2, "nonsense"),
    (["--against", "a", "--against-url", "b"], 2, ""),
])
def test_what_is_not_there(server, words, status, said):
    pair = Pair(server)
    _, err = pair.run("check", *words, status=status)
    assert said in err, err


def test_a_role_that_may_not_make_databases(server):
    pair = Pair(server)
    path = os.path.join(place.folder("poor"), "schema.sql")
    open(path, "w").close()
    _, err = pair.run("check", "--against", path, status=1, user="u_trust")
    assert "permission denied to create database" in err and "CREATEDB" in err, err


def scratches(server):
    return [name for (name,) in server.sql("SELECT datname FROM pg_database WHERE datname LIKE 'headgate_scratch%'")]


@pytest.fixture
def slow(server):
    """A comparison with a file that takes ten minutes, at work on it; the name of its scratch database."""
    pair = Pair(server)
    path = os.path.join(place.folder("slow"), "schema.sql")
    with open(path, "w") as f:
        f.write("CREATE TABLE a (x integer);\nSELECT pg_sleep(600);\n")
    process = subprocess.Popen(pair.command("check", "--against", path), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, env=pair.environment(), preexec_fn=place.die_with_parent)
    until(lambda: [name for name in scratches(server) if server.active(name, "pg_sleep")], "the file at work")
    yield pair, process, scratches(server)[0]
    process.kill()
    process.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_nothing_remains_after_a_signal(slow, number):
    pair, process, _ = slow
    process.send_signal(number)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 1 and not SANITIZER.search(output), output
    assert scratches(pair.server) == []


def test_the_next_one_sweeps_what_a_killed_one_left(slow):
    """And leaves alone what somebody is at."""
    pair, process, name = slow
    path = os.path.join(place.folder("quick"), "schema.sql")
    open(path, "w").close()
    pair.run("check", "--against", path)
    assert scratches(pair.server) == [name]
    process.kill()
    process.wait()
    until(lambda: not pair.server.sql("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND classid = 1751610211"), "its lock gone")
    pair.run("check", "--against", path)
    assert scratches(pair.server) == []


def test_a_scratch_database_is_nobody_elses(slow):
    pair, _, name = slow
    assert pair.server.value(f"SELECT has_database_privilege('u_trust', '{name}', 'CONNECT')") is False
