"""Migrations looked at and written: current, history, heads, branches, show, revision, merge, check, verify, log. Graphs are compared with
Alembic's own answers; README's walk from an empty folder to a rolled-back migration is run as it stands there."""

import itertools
import json
import os
import pty
import random
import re
import subprocess

import pytest

from harness import place
from harness.headgate import SANITIZER, binary

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_numbers = itertools.count(1)


class Project:
    """A folder in which commands are run, without a configuration; where `url` is set, with a database."""

    def __init__(self, url=None, name="project"):
        self.base = place.folder(name)
        self.env = {key: value for key, value in os.environ.items() if not key.startswith("HEADGATE_CONFIG")}
        self.env.update({"ASAN_OPTIONS": "detect_leaks=1:exitcode=99", "UBSAN_OPTIONS": "halt_on_error=1:exitcode=99",
                         "PATH": os.path.dirname(binary()) + ":" + os.environ["PATH"]})
        if url:
            self.env["DATABASE_URL"] = url

    def run(self, *words, status=0, **more):
        """One command: what it printed. `status` is what it must exit with."""
        done = subprocess.run([binary(), *words], cwd=self.base, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, errors="surrogateescape", timeout=60, env={**self.env, **more})
        assert not SANITIZER.search(done.stderr), done.stderr
        assert done.returncode == status, f"headgate {' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        self.errors = done.stderr
        return done.stdout

    def json(self, *words, status=0):
        return json.loads(self.run(*words, "--json", status=status))

    def path(self, *parts):
        return os.path.join(self.base, *parts)

    def write(self, name, text, folder="migrations"):
        path = self.path(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write(text)
        return path

    def read(self, name):
        with open(self.path(name)) as f:
            return f.read()

    def files(self, folder="migrations"):
        return sorted(os.path.relpath(os.path.join(at, name), self.path(folder))
                      for at, _, names in os.walk(self.path(folder)) for name in names)

    def migration(self, revision, up, down=None, revises="base", message=None, **headers):
        """A native one: <revision>_x.sql."""
        lines = [f"-- message: {message or revision}", f"-- revises: {revises}"]
        lines += [f"-- {name.replace('_', '-')}: {value}" for name, value in headers.items()]
        text = "\n".join(lines) + f"\n\n-- migrate:up\n{up}\n"
        return self.write(f"{revision}_x.sql", text + (f"\n-- migrate:down\n{down}\n" if down else ""))


@pytest.fixture
def project():
    return Project()


@pytest.fixture
def shop(cluster):
    """A project with an empty database of its own."""
    name = f"walk{next(_numbers)}"
    cluster.sql(f"CREATE DATABASE {name}")
    project = Project(f"postgresql://postgres@127.0.0.1:{cluster.port}/{name}")
    project.name = name
    project.sql = lambda statement: cluster.sql(statement, name)
    yield project
    cluster.sql(f"DROP DATABASE {name} WITH (FORCE)")


def tables(project, count=3):
    """t1, t2, ... in a row, as migrations r1, r2, ..."""
    for i in range(1, count + 1):
        project.migration(f"r{i}", f"CREATE TABLE t{i} (id int);", f"DROP TABLE t{i};", revises=f"r{i - 1}" if i > 1 else "base",
                          message=f"table {i}")


# ---- the graph, as Alembic sees it ----

def random_graph(source):
    """(revision, parents, depends_on, labels), oldest first."""
    made = []
    for i in range(source.randint(1, 12)):
        ids = [row[0] for row in made]
        parents = source.sample(ids[-5:], min(len(ids[-5:]), source.choice((0, 1, 1, 1, 1, 1, 2, 3)))) if ids else []
        depends = [d for d in source.sample(ids, 1) if d not in parents] if ids and source.random() < 0.25 else []
        labels = [f"label{i}"] if source.random() < 0.2 else []
        made.append((f"{source.getrandbits(48) | 1 << 47:012x}", parents, depends, labels))
    return made


def write_alembic(project, graph):
    def value(ids):
        return "None" if not ids else repr(ids[0]) if len(ids) == 1 else repr(tuple(ids))

    project.write("env.py", "", "alembic")
    for revision, parents, depends, labels in graph:
        project.write(f"versions/{revision}_x.py", f'"""about {revision}"""\nrevision = {revision!r}\ndown_revision = {value(parents)}\n'
                      f"branch_labels = {value(labels)}\ndepends_on = {value(depends)}\n", "alembic")


def write_native(project, graph):
    for revision, parents, depends, labels in graph:
        headers = {"depends_on": ", ".join(depends)} if depends else {}
        headers.update({"labels": ", ".join(labels)} if labels else {})
        project.migration(revision, "SELECT 1;", "SELECT 2;", revises=", ".join(parents) or "base", message=f"about {revision}", **headers)


def ids(rows):
    return {row["revision"] for row in rows}


@pytest.mark.parametrize("seed", range(16))
def test_alembic_agrees(project, seed):
    """Goal: heads, effective heads, branch points and ranges of history are what Alembic answers for the same graph, read from its own
    files or from ours; history has every revision before those that it revises."""
    config = pytest.importorskip("alembic.config")
    script = pytest.importorskip("alembic.script")
    source = random.Random(seed)
    graph = random_graph(source)
    write_alembic(project, graph)
    write_native(project, graph)
    settings = config.Config()
    settings.set_main_option("script_location", project.path("alembic"))
    alembic = script.ScriptDirectory.from_config(settings)
    ends = [row[0] for row in graph] + [f"{label}@head" for row in graph for label in row[3]]
    ranges = [(source.choice(ends[:len(graph)] + ["", "base"]), source.choice(ends + ["", "heads"])) for _ in range(4)]
    for folder in ("alembic", "migrations"):
        assert ids(project.json("heads", "--dir", folder)) == set(alembic.get_heads())
        real = {s.revision for s in alembic.get_revisions("heads")}
        assert ids(project.json("heads", "--resolve-dependencies", "--dir", folder)) == real
        assert ids(project.json("branches", "--dir", folder)) == {s.revision for s in alembic.walk_revisions() if s.is_branch_point}
        history = project.json("history", "--dir", folder)
        order = [row["revision"] for row in history]
        assert sorted(order) == sorted(row[0] for row in graph)
        for row in history:
            for before in row["parents"] + row["depends_on"]:
                assert order.index(before) > order.index(row["revision"])
        assert {row["revision"]: (set(row["parents"]), set(row["depends_on"])) for row in history} \
            == {revision: (set(parents), set(depends)) for revision, parents, depends, _ in graph}
        assert ids(row for row in history if row["mergepoint"]) == {s.revision for s in alembic.walk_revisions() if s.is_merge_point}
        for low, high in ranges:
            try:
                expected = {s.revision for s in alembic.walk_revisions(base=low or "base", head=high or "heads")}
            except AssertionError:
                continue  # Alembic falls over it
            except Exception:  # noqa: BLE001: its refusal, of one kind or another
                expected = None
            words = ("history", "-r", f"{low}:{high}", "--dir", folder)
            if expected is None:
                project.run(*words, status=1)
            else:
                assert ids(project.json(*words)) == expected, words


def branched(project):
    """a1 <- b2 (billing), a1 <- c3 <- d4, both merged by e5 <- f6; g7 on its own, after a1 by depends-on."""
    project.migration("a1", "CREATE TABLE customer (id int);", "DROP TABLE customer;", message="customers")
    project.migration("b2", "SELECT 1;", "SELECT 2;", "a1", "prices in cents", labels="billing")
    project.migration("c3", "SELECT 1;", "SELECT 2;", "a1", "orders")
    project.migration("d4", "CREATE INDEX CONCURRENTLY i ON customer (id);", None, "c3", "orders get an index")
    project.migration("e5", "", "", "b2, d4", "together again")
    project.migration("f6", "SELECT 1;\nSELECT 2;", "SELECT 3;", "e5", "payments")
    project.migration("g7", "SELECT 1;", None, "base", "on its own", labels="geo", depends_on="a1")


def test_what_people_see(project):
    """Goal: the graph as `git log --graph` draws it, in Alembic's words."""
    branched(project)
    assert project.run("heads") == "f6 (billing) (head)\ng7 (geo) (head)\n"
    assert project.run("branches") == "a1 (branchpoint)\n   -> b2 (billing)\n   -> c3\n\n"
    assert project.run("history") == (
        "* g7 (geo) (head), on its own\n"
        "* f6 (billing) (head), payments\n"
        "*   e5 (billing) (mergepoint), together again\n"
        "|\\\n"
        "| * d4, orders get an index\n"
        "| * c3, orders\n"
        "* | b2 (billing), prices in cents\n"
        "|/\n"
        "* a1 (branchpoint), customers\n")
    assert project.run("history", "-r", "-1:f6") == "* f6 (billing) (head), payments\n* e5 (billing) (mergepoint), together again\n"
    assert project.run("history", "-r", "c3:d4", "-v") == (
        "* Rev: d4\n"
        "| Parent: c3\n"
        "| Path: migrations/d4_x.sql\n"
        "| Up: 1 statement, outside a transaction (CREATE INDEX CONCURRENTLY, line 5), traffic held\n"
        "| Down: none\n"
        "|\n"
        "|     orders get an index\n"
        "|\n"
        "* Rev: c3\n"
        "  Parent: a1\n"
        "  Path: migrations/c3_x.sql\n"
        "  Up: 1 statement, in a transaction, traffic held\n"
        "  Down: 1 statement, in a transaction, traffic held\n"
        "\n"
        "      orders\n"
        "\n")
    assert project.run("show", "e5", "geo@head") == (
        "Rev: e5 (mergepoint)\nMerges: b2, d4\nBranch names: billing\nPath: migrations/e5_x.sql\nUp: does nothing\nDown: does nothing\n\n"
        "    together again\n\n"
        "Rev: g7 (head)\nParent: <base>\nAlso depends on: a1\nBranch names: geo\nPath: migrations/g7_x.sql\n"
        "Up: 1 statement, in a transaction, traffic held\nDown: none\n\n    on its own\n\n")
    shown = project.run("show", "f6", "-v")
    assert "    -- up (migrations/f6_x.sql:4)\n    SELECT 1;\n    SELECT 2;\n\n    -- down (migrations/f6_x.sql:8)\n    SELECT 3;\n" in shown
    project.run("show", "nope", status=1)
    assert "no revision or label nope" in project.errors
    project.run("history", "-r", "b2:c3", status=1)
    assert "nothing lies between" in project.errors
    project.run("history", "-r", "b2", status=2)
    project.run("heads", "b2", status=2)
    project.run("show", status=2)


def test_a_label_on_each(project):
    """Goal: where every revision has a label (a release's), each is shown where it stands, and not on all that come after it."""
    for i in range(100):
        project.migration(f"r{i:03}", "SELECT 1;", revises=f"r{i - 1:03}" if i else "base", labels=f"v{i}", message="m")
    assert project.run("history").splitlines()[:2] == ["* r099 (v99) (head), m", "* r098 (v98), m"]
    assert project.run("show", "v7").startswith("Rev: r007\nParent: r006\nBranch names: v7\n")


def test_folders_that_are_empty_missing_or_wrong(project):
    """Goal: no stack of riddles for a newcomer: what is wrong, where, and what to do."""
    project.run("history", status=1)
    assert "there is no folder migrations here" in project.errors and "headgate revision -m" in project.errors
    os.makedirs(project.path("migrations"))
    assert project.run("history") == "" and "There are no migrations in migrations yet" in project.errors
    assert project.run("heads") == project.run("branches") == ""
    assert project.json("heads") == project.json("history") == project.json("branches") == []
    project.migration("a1", "SELECT 1;", revises="zz")
    for command in (("history",), ("heads",), ("branches",), ("show", "a1"), ("revision", "-m", "x"), ("merge",)):
        project.run(*command, status=1)
        assert "migrations/a1_x.sql:2: revision a1 revises zz, which is nowhere here" in project.errors
    assert project.files() == ["a1_x.sql"]


def test_colour_on_a_terminal_alone(project):
    """Goal: colour for eyes, none for pipes, files, NO_COLOR and dumb terminals."""
    branched(project)
    plain = project.run("history", TERM="xterm")
    assert "\033" not in plain

    def on_terminal(**env):
        ours, theirs = pty.openpty()
        process = subprocess.Popen([binary(), "history"], cwd=project.base, stdin=subprocess.DEVNULL, stdout=theirs,
                                   stderr=subprocess.PIPE, env={**project.env, **env})
        os.close(theirs)
        told = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # EIO: the other side is closed
                break
            if not piece:
                break
            told += piece
        os.close(ours)
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 0, errors
        return told.decode().replace("\r\n", "\n")

    coloured = on_terminal(TERM="xterm", NO_COLOR="")
    assert "\033[33mf6\033[0m" in coloured and "\033[1;32m (head)\033[0m" in coloured
    assert re.sub(r"\033\[[0-9;]*m", "", coloured) == plain
    assert on_terminal(TERM="xterm", NO_COLOR="1") == plain
    assert on_terminal(TERM="dumb", NO_COLOR="") == plain


def test_texts_cannot_play_tricks(shop):
    """Goal: what stands in a file or in the ledger reaches the terminal as letters, whatever it is."""
    shop.migration("a1", "SELECT 1;", message="nice\033]0;owned\007 \u202etxt")
    expected = "nice\\x1b]0;owned\\x07 \\xe2\\x80\\xaetxt"
    assert shop.run("history") == f"* a1 (head), {expected}\n"
    assert expected in shop.run("show", "a1")
    assert shop.json("history")[0]["message"] == "nice\033]0;owned\007 \u202etxt"
    shop.run("stamp", "head", "-m", "because\033[31m\nof this")
    shop.sql("UPDATE headgate.run SET who = E'ann\\x1b[2J', error = E'bad\\x07\\nworse'")
    told = shop.run("log", "-v")
    assert "\033" not in told and "\007" not in told and "because\\x1b[31m\n    of this" in told and "ann\\x1b[2J" in told
    assert shop.json("log")[0]["who"] == "ann\033[2J"
    # A branch so wide that its lines would leave no room for texts is listed without them.
    for i in range(40):
        shop.migration(f"w{i:02}", "SELECT 1;", revises="a1")
    lines = shop.run("history").splitlines()
    assert len(lines) == 41 and lines[-1].startswith("a1 (branchpoint)") and not any("|" in line for line in lines)


# ---- writing ----

def fill(project, path, up="SELECT 1;", down="SELECT 2;"):
    text = project.read(path)
    text = text.replace("-- migrate:up\n\n", f"-- migrate:up\n{up}\n").replace("-- migrate:down\n", f"-- migrate:down\n{down}\n")
    with open(project.path(path), "w") as f:
        f.write(text)


def test_revision_writes_ours(project):
    """Goal: file after file from an empty folder: names, headers, branches, a merge; Alembic's options mean what they mean there."""
    first = project.run("revision", "-m", "Customers & their names").strip()
    assert re.fullmatch(r"migrations/\d{14}_customers_their_names\.sql", first)
    assert project.read(first) == "-- message: Customers & their names\n-- revises: base\n\n-- migrate:up\n\n\n-- migrate:down\n\n"
    # Not filled in yet: it can be looked at and built upon, but not run.
    assert project.run("history") == f"* {first[11:25]} (head), Customers & their names\n"
    assert "Up: does nothing\n" in project.run("show", "head")
    project.run("check", "--dir", "migrations", status=1)
    assert f"{first}:4: the section -- migrate:up is empty" in project.errors
    fill(project, first)
    told = project.json("revision", "-m", "second")
    one, two = first[11:25], told["revision"]
    assert told == {"revision": two, "parents": [one], "files": [f"migrations/{two}_second.sql"]} and two > one
    fill(project, told["files"][0])

    project.run("revision", "-m", "x", "--head", one, status=1)
    assert f"revision {one} is not a head: {two} revises it. To begin a branch there, say --splice" in project.errors
    branch = project.run("revision", "-m", "billing", "--head", one, "--splice", "--branch-label", "billing", "--rev-id", "b1").strip()
    assert branch == "migrations/b1_billing.sql" and f"-- revises: {one}\n-- labels: billing\n" in project.read(branch)
    fill(project, branch)
    project.run("revision", "-m", "which?", status=1)
    assert "there are 2 heads" in project.errors and "--head REVISION" in project.errors
    more = project.run("revision", "-m", "more", "--head", "billing@head", "--depends-on", two, "--depends-on", "billing",
                       "--rev-id", "b2").strip()
    assert f"-- revises: b1\n-- depends-on: {two}, billing\n" in project.read(more)
    fill(project, more)
    alone = project.run("revision", "-m", "a line of its own", "--head", "base", "--rev-id", "c1").strip()
    assert "-- revises: base\n" in project.read(alone)
    fill(project, alone)
    project.run("merge", "b2", status=1)
    project.run("merge", one, "b2", status=1)
    assert "is not a head" in project.errors
    merged = project.run("merge", "-m", "all of it", "--rev-id", "m1", "heads").strip()
    headers = project.read(merged).splitlines()
    assert headers[0] == "-- message: all of it" and set(headers[1][12:].split(", ")) == {two, "b2", "c1"}
    assert ids(project.json("heads")) == {"m1"}
    project.run("merge", status=1)
    assert "there is nothing to merge: the one head is m1" in project.errors
    assert {row["revision"] for row in project.json("history")} == {one, two, "b1", "b2", "c1", "m1"}

    before = project.files()
    for words, why in ((("--rev-id", "b1"), "revision b1 is there already"),
                       (("--rev-id", "a_b"), "cannot be a revision of native"),
                       (("--rev-id", "../../x"), "cannot be a revision of native"),
                       (("--branch-label", "billing"), "label billing is also that of revision"),
                       (("--branch-label", "two words"), "label \"two words\""),
                       (("--depends-on", "nope"), "--depends-on nope: no revision or label nope"),
                       (("--depends-on", "base"), "--depends-on base is no revision"),
                       (("--head", "nope"), "--head nope: no revision or label nope")):
        project.run("revision", "-m", "wrong", *words, status=1)
        assert why in project.errors, project.errors
    project.run("revision", status=2)
    project.run("revision", "-m", "two", "words", status=2)
    project.run("revision", "-m", "one\nline", status=1)
    assert project.files() == before


FORMATS = {
    "native": ("x_first.sql", "x_second.sql"), "dbmate": ("x_first.sql", "x_second.sql"),
    "golang-migrate": ("x_first.down.sql", "x_first.up.sql", "x_second.down.sql", "x_second.up.sql"),
    "diesel": ("x_first/down.sql", "x_first/up.sql", "x_second/down.sql", "x_second/up.sql"),
    "goose": ("x_first.sql", "x_second.sql"), "sql-migrate": ("x-first.sql", "x-second.sql"),
    "flyway": ("Ux__first.sql", "Ux__second.sql", "Vx__first.sql", "Vx__second.sql"),
}


@pytest.mark.parametrize("form", FORMATS)
def test_revision_writes_theirs(shop, form):
    """Goal: in the format of the folder, so that its own tool and we read it; filled in, it goes up and down."""
    def put(path, up, down):
        text = shop.read(path)
        if "migrate" in text or "+goose" in text:
            parts = re.split(r"(?m)^(-- .*(?:[Dd]own).*\n)", text)
            text = parts[0].rstrip("\n") + f"\n{up}\n\n" + parts[1] + down + "\n"
        else:
            text += (down if "down.sql" in path or os.path.basename(path).startswith("U") else up) + "\n"
        with open(shop.path(path), "w") as f:
            f.write(text)

    words = ("--format", form)
    for i, message in enumerate(("first", "second")):
        told = shop.json("revision", "-m", message, *words)
        for path in told["files"]:
            put(path, f"CREATE TABLE {message} (id int);", f"DROP TABLE {message};")
        words = ("--format", "dbmate") if form == "dbmate" else ()  # recognised by itself from now on
    assert tuple(sorted(re.sub(r"^([UV]?)[0-9-]*[0-9]", r"\1x", name) for name in shop.files())) == FORMATS[form]
    rows = shop.json("history", *words)
    assert [row["message"] for row in rows] == ["second", "first"] and rows[0]["parents"] == [rows[1]["revision"]]
    if form != "native":
        shop.run("revision", "-m", "x", "--head", rows[1]["revision"], "--splice", *words, status=1)
        assert "has no branches" in shop.errors
        shop.run("revision", "-m", "x", "--branch-label", "l", *words, status=1)
        assert "has no branches" in shop.errors
    shop.run("upgrade", *words)
    assert shop.run("current", *words) == f"{rows[0]['revision']} (head)\n"
    assert shop.sql("SELECT count(*) FROM pg_class WHERE relname IN ('first', 'second')")[0][0] == 2
    shop.run("downgrade", "base", *words)
    assert shop.sql("SELECT count(*) FROM pg_class WHERE relname IN ('first', 'second')")[0][0] == 0
    assert shop.run("current", *words) == "<base>\n"


def test_nothing_is_written_over_and_nothing_half(project):
    """Goal: a file that appeared meanwhile, a full or forbidden disk, an Alembic folder: an error, and no rest."""
    tables(project, 1)
    for folder, form in (("go", "golang-migrate"), ("d", "diesel")):
        project.run("revision", "-m", "one", "--dir", folder, "--format", form)
    # The second of two files cannot be made: its name is taken by a folder, which no catalog reads.
    os.makedirs(project.path("go", "9_x.down.sql"))
    project.run("revision", "-m", "x", "--rev-id", "90000000000000", "--dir", "go")
    os.makedirs(project.path("go", "90000000000001_y.down.sql"))
    project.run("revision", "-m", "y", "--rev-id", "90000000000001", "--dir", "go", status=1)
    assert "90000000000001_y.down.sql: File exists" in project.errors
    assert not any("_y.up" in name for name in project.files("go"))
    os.makedirs(project.path("d", "9000_y", "down.sql"))
    project.run("revision", "-m", "y", "--rev-id", "9000", "--dir", "d", status=1)
    assert not os.path.exists(project.path("d", "9000_y", "up.sql"))
    project.run("revision", "-m", "x", "--dir", "/proc/headgate", status=1)
    assert "writing /proc/headgate/" in project.errors
    project.run("revision", "-m", "x", "--dir", "migrations/r1_x.sql", status=1)
    write_alembic(project, [("a1", [], [], [])])
    project.run("revision", "-m", "x", "--dir", "alembic", status=1)
    assert "Alembic writes its own files" in project.errors
    project.run("revision", "-m", "deep", "--dir", "a/b/c")
    assert len(project.files("a/b/c")) == 1


# ---- the database ----

def test_current_and_check(shop):
    """Goal: where the database stands, for people, CI and programs: nothing yet, behind, at head, elsewhere, with and without files."""
    assert shop.run("current") == "<base>\n"
    told = shop.json("current")
    assert told["state"] == "absent" and told["heads"] == [] and told["revisions"] == []
    tables(shop)
    assert shop.run("current") == "<base>\n"
    shop.run("current", "--check-heads", status=1)
    assert "3 revisions of migrations are not applied" in shop.errors
    assert "3 revisions are pending, oldest first:\n  r1, table 1\n  r2, table 2\n  r3 (head), table 3\n" in shop.run("check", status=1)
    shop.run("upgrade", "r2")
    assert shop.run("current") == "r2\n"
    assert shop.run("history", "-i") == "* r3 (head), table 3\n* r2 (current), table 2\n* r1, table 1\n"
    assert shop.run("history", "-r", "current:") == "* r3 (head), table 3\n* r2, table 2\n"
    assert shop.run("show", "current").startswith("Rev: r2 (current)\n")
    told = shop.json("check", "--pending", status=1)
    assert told["ok"] is False and ids(told["pending"]) == {"r3"} and told["heads"] == ["r2"]
    shop.run("upgrade")
    assert shop.run("current", "--check-heads") == "r3 (head)\n"
    assert shop.run("current", "-v").startswith(f"Current revision(s) of {shop.name}:\nRev: r3 (head)\nParent: r2\n")
    assert shop.run("check") == f"migrations: in order: 3 revisions (native)\n{shop.name}: nothing is pending\n"
    told = shop.json("current")
    assert (told["state"], told["heads"], told["at_head"], told["pending"]) == ("clean", ["r3"], True, 0)
    # Files of another branch of the sources: what is recorded is told all the same.
    assert shop.run("current", "--dir", "nowhere") == "r3\n"
    shop.run("current", "--dir", "nowhere", "--check-heads", status=1)
    os.unlink(shop.path("migrations/r3_x.sql"))
    assert shop.run("current") == "r3 (not among the migrations in migrations)\n"
    shop.run("current", "--check-heads", status=1)
    assert "is at revision r3, which no file in migrations has" in shop.run("check", status=1)
    shop.write("r2_x.sql", "-- migrate:up\n")
    shop.write("r1_x.sql", "-- migrate:up\nSELECT 1;\n-- migrate:up\n")
    assert shop.run("current", status=1) == "r3\n" and "a second -- migrate:up" in shop.errors
    shop.run("check", status=1)


def test_two_heads_are_current(shop):
    """Goal: as Alembic: what is last on its branch is current, though only what depends on it is recorded."""
    shop.migration("a1", "SELECT 1;")
    shop.migration("a2", "SELECT 1;", revises="a1")
    shop.migration("b1", "SELECT 1;", depends_on="a1")
    shop.run("upgrade", "b1")
    assert sorted(shop.run("current").splitlines()) == ["a1", "b1 (head)"]
    assert shop.json("current")["heads"] == ["b1"]
    shop.run("upgrade", "heads")
    assert sorted(shop.run("current", "--check-heads").splitlines()) == ["a2 (head)", "b1 (head)"]


def test_check_and_the_configuration(shop, cluster):
    """Goal: `headgate check` with a configuration is the configuration's check, as ever; --pending goes on from there."""
    tables(shop, 1)
    path = shop.path("h.yaml")

    def configure(more=""):
        with open(path, "w") as f:
            f.write(f'listen: {{address: "127.0.0.1:6432"}}\ndatabases:\n  shop:\n    upstream: {{address: "127.0.0.1:{cluster.port}"}}\n'
                    f'    control: {{dsn: "{shop.env["DATABASE_URL"]}"}}\n    recorded: {{reader: headgate}}\n'
                    f'    migrations: {{dir: {shop.path("migrations")}}}\n{more}')

    configure()
    assert shop.run("check", "-c", path) == f"{path}: right: 1 listener, 1 database\n"
    assert "1 revision is pending" in shop.run("check", "-c", path, "--pending", status=1)
    assert "1 revision is pending" in shop.run("check", "-d", "shop", status=1, HEADGATE_CONFIG=path)
    shop.run("upgrade", "-c", path, "--no-hold")
    assert "shop: nothing is pending\n" in shop.run("check", "-c", path, "--pending")
    shop.run("check", "-c", path, "--print", "--pending", status=2)
    configure("nonsense: 1\n")
    for words in ((), ("--pending",)):
        shop.run("check", "-c", path, *words, status=3)
        assert "nonsense" in shop.errors



def test_autogenerate_and_against(shop):
    """Goal: from a database and a desired schema to a migration that makes the one the other, and back; then nothing is left to write.
    (What the differences are: test_autogenerate.py.)"""
    def desire(text):
        with open(shop.path("schema.sql"), "w") as f:
            f.write(text)

    desire("CREATE TABLE customer (id bigint PRIMARY KEY); CREATE TYPE mood AS ENUM ('good', 'bad');")
    told = shop.json("check", "--against", "schema.sql", status=1)
    assert told["same"] is False and "table public.customer is missing" in told["differences"]
    path = shop.run("revision", "-m", "start", "--autogenerate", "--from", "schema.sql").strip()
    assert "CREATE TABLE public.customer" in shop.read(path) and "Read it before it runs" in shop.errors
    shop.run("revision", "-m", "again", "--autogenerate", "--from", "schema.sql", status=1)
    assert "headgate upgrade" in shop.errors
    assert "1 revision is pending" in shop.run("check", "--pending", "--against", "schema.sql", status=1)
    shop.run("upgrade")
    assert shop.run("check", "--against", "schema.sql") == f"{shop.name}: as desired\n"
    shop.run("check", "--pending", "--against", "schema.sql")
    assert shop.run("revision", "-m", "again", "--autogenerate", "--from", "schema.sql") == ""
    assert shop.json("revision", "-m", "again", "--autogenerate", "--from", "schema.sql")["files"] == []
    assert len(shop.files()) == 1
    desire("CREATE TABLE customer (id bigint PRIMARY KEY); CREATE TYPE mood AS ENUM ('good');")
    path = shop.run("revision", "-m", "no bad moods", "--autogenerate", "--from", "schema.sql").strip()
    assert "could not be made by itself" in shop.errors and "values of public.mood go" in shop.read(path)
    shop.run("upgrade", status=1)
    assert "waits for a decision" in shop.errors
    os.unlink(shop.path(path))
    shop.run("downgrade", "base")
    assert shop.sql("SELECT to_regclass('customer')")[0][0] is None
    for words in (("revision", "-m", "x", "--autogenerate"), ("revision", "-m", "x", "--from", "schema.sql"),
                  ("revision", "-m", "x", "--autogenerate", "--from", "schema.sql", "--from-url", "postgresql:///x"),
                  ("check", "--against", "schema.sql", "--against-url", "postgresql:///x"),
                  ("check", "--against", "schema.sql", "--pending", "--json")):
        shop.run(*words, status=2)


def verify(project, status):
    done = subprocess.run([binary(), "verify", "--json"], cwd=project.base, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=60, env=project.env)
    assert done.returncode == status, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["ok"] is (status == 0)
    return told, [row["kind"] for row in told["problems"]], [row["kind"] for row in told["notes"]]


def test_verify_finds_what_is_wrong(shop):
    """Goal: each of its kinds of problem, made on purpose, found, named, and gone when it is put right."""
    tables(shop)
    assert verify(shop, 0)[1:] == ([], [])
    shop.run("upgrade", "r2")
    _, wrong, notes = verify(shop, 0)
    assert wrong == [] and set(notes) <= {"unpublished"}
    path, text = shop.path("migrations/r2_x.sql"), shop.read("migrations/r2_x.sql")

    # Comments, blanks and line ends mean nothing; SQL does.
    shop.write("r2_x.sql", text.replace("(id int)", "(id  int) -- why").replace("\n", "\r\n"))
    verify(shop, 0)
    shop.write("r2_x.sql", text.replace("id int", "id bigint"))
    told, wrong, _ = verify(shop, 1)
    assert wrong == ["changed"] and told["problems"][0]["revision"] == "r2" and told["problems"][0]["file"] == "migrations/r2_x.sql"
    assert "problem: revision r2 was changed since it was applied (" in shop.run("verify", status=1)

    # Gone, and what hung on it hangs on another.
    os.unlink(path)
    shop.migration("r3", "CREATE TABLE t3 (id int);", revises="r1")
    _, wrong, _ = verify(shop, 1)
    assert {"unknown_head", "missing"} <= set(wrong)
    shop.write("r2_x.sql", text)
    tables(shop)
    verify(shop, 0)

    # A file that came later and stands before what was applied.
    shop.migration("r1b", "CREATE TABLE late (id int);", revises="r1")
    shop.write("r2_x.sql", text.replace("revises: r1", "revises: r1b"))
    told, wrong, _ = verify(shop, 1)
    assert "not_applied" in wrong and "graph" in wrong
    assert [row["revision"] for row in told["problems"] if row["kind"] == "not_applied"] == ["r1b"]
    shop.run("upgrade", "--late", "run")
    told, wrong, notes = verify(shop, 0)
    assert "out_of_order" in notes
    assert "revision r2 was applied before r1b, which it comes after" in shop.run("verify")

    # What the proxies know contradicts the folder.
    shop.sql("UPDATE headgate.revision SET compatible = true WHERE revision = 'r1'")
    told, wrong, _ = verify(shop, 1)
    assert wrong == ["graph"] and "compatible" in told["problems"][0]["text"]
    shop.run("publish")
    verify(shop, 0)

    # The ledger contradicts itself.
    shop.sql("INSERT INTO headgate.applied (revision, run_id) VALUES ('r4', 1)")
    shop.migration("r4", "SELECT 1;", revises="r3")
    assert "not_recorded" in verify(shop, 1)[1]
    shop.sql("DELETE FROM headgate.applied WHERE revision = 'r4'")

    # What a failed concurrent build leaves.
    shop.sql("INSERT INTO t1 VALUES (1), (1)")
    with pytest.raises(Exception, match="could not create unique index"):
        shop.sql('CREATE UNIQUE INDEX CONCURRENTLY "odd Name" ON t1 (id)')
    told, wrong, _ = verify(shop, 1)
    assert wrong == ["invalid_index"] and 'DROP INDEX CONCURRENTLY public."odd Name"' in told["problems"][0]["text"]
    shop.sql('DROP INDEX "odd Name"')
    shop.sql("CREATE TABLE parts (id int) PARTITION BY LIST (id)")
    shop.sql("CREATE TABLE part1 PARTITION OF parts FOR VALUES IN (1)")
    shop.sql("CREATE INDEX on_parts ON ONLY parts (id)")
    assert "partial_index" in verify(shop, 0)[2]

    shop.sql("INSERT INTO headgate.run (kind, state, outcome, holding, unresolved, who, ended_at, error) VALUES "
             "('exec', 'ended', 'failed', false, true, 'ann', now(), 'lost')")
    told, wrong, _ = verify(shop, 1)
    assert wrong == ["unresolved"] and "headgate resolve" in told["problems"][0]["text"]
    shop.run("current", "--check-heads", status=1)
    assert "left half way" in shop.errors
    assert "left half way" in shop.run("check", status=1)


def test_verify_repeatables(shop):
    """Goal: Flyway's R__ files: one that is gone is worth a note."""
    shop.write("V1__a.sql", "CREATE TABLE a (id int);")
    shop.write("R__v.sql", "CREATE OR REPLACE VIEW v AS SELECT id FROM a;")
    shop.run("upgrade")
    verify(shop, 0)
    os.unlink(shop.path("migrations/R__v.sql"))
    told, _, notes = verify(shop, 0)
    assert notes == ["repeatable_missing"] and told["notes"][0]["file"] == "R__v.sql"


# ---- the audit ----

def test_the_audit(shop):
    """Goal: who, when, why, from where, how long, with which outcome: of a run that went well, one that failed, a way down, a stamp."""
    assert shop.json("log") == [] and "has no ledger" in shop.errors
    tables(shop, 2)
    shop.migration("r3", "CREATE TABLE t3 (id int);\nSELECT 1/0;", "DROP TABLE t3;", "r2", "it divides")
    shop.run("upgrade", "r2", "-m", "two tables\nfor two reasons")
    shop.run("upgrade", status=1)
    shop.run("downgrade", "-1", "-m", "back again")
    shop.run("stamp", "r2", "-m", "by hand")
    stamp, down, failed, up = shop.json("log")
    assert [run["kind"] for run in (up, failed, down, stamp)] == ["upgrade", "upgrade", "downgrade", "stamp"]
    assert [run["outcome"] for run in (up, failed, down, stamp)] == ["succeeded", "failed", "succeeded", "succeeded"]
    assert (up["from_heads"], up["to_heads"], up["target"], up["step_count"]) == ([], ["r2"], ["r2"], 2)
    assert up["reason"] == "two tables\nfor two reasons" and up["db_user"] == "postgres" and up["client_addr"] == "127.0.0.1"
    assert up["who"] and up["os_user"] and up["host"] and up["ms"] >= 0 and re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", up["started_at"])
    assert [(step["kind"], step["revision"], step["state"]) for step in up["steps"]] == [("up", "r1", "done"), ("up", "r2", "done")]
    assert up["steps"][0]["file"] == "migrations/r1_x.sql" and len(up["steps"][0]["checksum"]) == 64
    step = failed["steps"][-1]
    assert (step["state"], step["sqlstate"], step["error_line"], step["transaction"]) == ("undone", "22012", 6, True)
    assert (failed["from_heads"], failed["to_heads"]) == (["r2"], ["r2"])
    assert (down["from_heads"], down["to_heads"], down["steps"][0]["kind"]) == (["r2"], ["r1"], "down")
    assert stamp["steps"] == []

    told = shop.run("log")
    assert "run 1 upgrade succeeded\nWho:     " in told and "as role postgres from 127.0.0.1\n" in told
    assert "\nHeads:   <base> -> r2\n" in told and "\n    two tables\n    for two reasons\n" in told
    assert re.search(r"run 2 upgrade failed\n(?:.*\n)*?Heads:   r2, as before \(wanted: r3\)\nSteps:   0 of 1 done\n"
                     r" +1  up     r3 failed, rolled back, .*: it divides\n +migrations/r3_x.sql:6\n +.*division by zero\n", told), told
    assert [run["run"] for run in shop.json("log", "-n", "2")] == [4, 3]
    assert [run["run"] for run in shop.json("log", "--run", "2")] == [2]
    assert len(shop.json("log", "--since", "1h")) == len(shop.json("log", "--since", "2020-01-01 12:00")) == 4
    assert shop.json("log", "--since", "2999-01-01") == []
    assert shop.run("log", "--run", "1").count("migrations/r") == 2
    shop.run("log", "--run", "99", status=1)
    for words in (("--run", "x"), ("--since", "nonsense"), ("-n", "0"), ("-n", "x"), ("extra",)):
        shop.run("log", *words, status=2)


def test_long_runs_in_the_audit(shop):
    """Goal: of a run with many steps the list is short, unless asked for; nothing is lost in JSON."""
    tables(shop, 25)
    shop.run("upgrade")
    told = shop.run("log")
    assert "Steps:   25 of 25 done\n" in told and "and 15 more: headgate log --run 1\n" in told
    assert told.count("table ") - told.split("\n\n")[-1].count("table ") == 10
    assert shop.run("log", "-v").count("migrations/r") == 25
    assert len(shop.json("log")[0]["steps"]) == 25


def test_a_ledger_of_the_first_version(shop):
    """Goal: a database in which only `exec` was ever used, by an older release: its runs are told."""
    with open(os.path.join(TOP, "migrations/headgate/0001_ledger.sql")) as f:
        up = f.read().split("-- migrate:up\n")[1].split("-- migrate:down")[0]
    shop.sql(up)
    shop.sql("INSERT INTO headgate.version (version, file) VALUES (1, '0001_ledger.sql')")
    shop.sql("INSERT INTO headgate.run (kind, state, outcome, who, reason, command, ended_at, exit_status) VALUES "
             "('exec', 'ended', 'succeeded', 'ann@build7', 'why', '{alembic,upgrade,head}', clock_timestamp(), 0)")
    run, = shop.json("log")
    assert (run["who"], run["command"], run["steps"], run["backup"]) == ("ann@build7", ["alembic", "upgrade", "head"], [], None)
    assert "Command: alembic upgrade head\nStatus:  0\n" in shop.run("log")
    tables(shop, 1)
    shop.run("current")
    verify(shop, 0)


def test_the_database_cannot_be_reached(project):
    """Goal: exit status 4 and a plain sentence; commands that need no database do not ask for one."""
    tables(project, 1)
    nowhere = f"postgresql://127.0.0.1:{place.port()}/shop"
    for words in (("current",), ("history", "-i"), ("show", "current"), ("verify",), ("log",), ("check",)):
        project.run(*words, "--url", nowhere, status=4)
        assert "database shop cannot be reached" in project.errors
    for words in (("current",), ("verify",), ("log",), ("check", "--pending")):
        project.run(*words, status=2)
        assert "which database? Say it with --url" in project.errors
    for words in (("heads",), ("branches",), ("history",), ("show", "r1")):
        project.run(*words, "--url", nowhere)
    for command in ("current", "history", "heads", "branches", "show", "revision", "merge", "verify", "log", "check"):
        help_text = project.run(command, "--help")
        assert help_text.startswith(f"Usage: headgate {command}") and "Exit status:" in help_text


# ---- README ----

def test_the_walk_of_the_readme(cluster):
    """Goal: a newcomer with README alone: from an empty folder to a rolled-back migration. Its commands, as they stand there."""
    with open(os.path.join(TOP, "README.md")) as f:
        section = re.search(r"^## From an empty folder to a rolled-back migration\n(.*?)^## ", f.read(), re.M | re.S)[1]
    script = "\n".join(line[4:] for line in section.splitlines() if line.startswith("    "))
    assert len(re.findall(r"\bheadgate ", script)) >= 8, script
    project = Project()
    env = {**project.env, "PGHOST": cluster.socket, "PGPORT": str(cluster.port), "PGUSER": "postgres", "EDITOR": "true"}
    env["PATH"] = place.pg_bin() + ":" + env["PATH"]
    try:
        done = subprocess.run(["bash", "-euxo", "pipefail", "-c", script], cwd=project.base, env=env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
        told = done.stdout
        assert done.returncode == 0 and not SANITIZER.search(told), told
        assert re.search(r"^something is pending$", told, re.M) and re.search(r"^\d{14} \(head\)$", told, re.M), told
        runs = cluster.sql("SELECT kind, outcome FROM headgate.run ORDER BY run_id", "shop")
        assert runs == [("upgrade", "succeeded"), ("downgrade", "succeeded")], runs
        names = {row[0] for row in cluster.sql("SELECT column_name FROM information_schema.columns WHERE table_name = 'customer'", "shop")}
        assert names and "email" not in names, names
    finally:
        cluster.sql("DROP DATABASE IF EXISTS shop WITH (FORCE)")
