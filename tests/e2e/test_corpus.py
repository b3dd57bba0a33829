"""Hundreds of migrations in the layouts of other tools, with the habits and oddities of real folders: what `headgate upgrade` leaves is what
psql leaves that runs the same files one by one, data included; downgrade takes all of it away again; what is broken is named."""

import itertools
import json
import os
import subprocess

import pytest

from harness import corpus, place
from harness.headgate import SANITIZER, binary

COUNT = 320
_numbers = itertools.count(1)


class Folder:
    """A written layout and a database of its own."""

    def __init__(self, cluster, layout, seed):
        self.cluster = cluster
        self.steps = corpus.Writer(seed).make(COUNT)
        self.dir = place.folder("corpus")
        self.layout = layout(self.dir, self.steps, seed)
        self.dbname = self.database()

    def database(self):
        name = f"corpus{next(_numbers)}"
        self.cluster.sql(f"CREATE DATABASE {name}")
        return name

    def url(self, dbname=None):
        return f"postgresql://postgres@/{dbname or self.dbname}?host={self.cluster.socket}&port={self.cluster.port}"

    def headgate(self, *words, status=0):
        env = {key: value for key, value in os.environ.items() if key != "HEADGATE_CONFIG"}
        done = subprocess.run([binary(), *words, "--dir", self.dir], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, timeout=170, cwd=self.dir, env=env)
        assert not SANITIZER.search(done.stderr), done.stderr
        assert done.returncode == status, f"headgate {' '.join(words)}: exit {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout + done.stderr if status else done.stdout

    def migrate(self, *words):
        return self.headgate(*words, "--url", self.url(), "--no-hold")

    def psql(self, dbname):
        """The ups, file by file: each in a session of its own, and in a transaction unless it cannot be."""
        script = os.path.join(place.folder("psql"), "all.sql")
        with open(script, "w", encoding="utf-8") as f:
            f.write("\\set ON_ERROR_STOP on\n\\set QUIET on\n\\o /dev/null\n")
            for step in [*self.steps, *(corpus.Step("last", text, "") for text in self.layout.last)]:
                alone = step.outside or step.bare
                f.write("\\c -\n" + ("" if alone else "BEGIN;\n") + step.up.rstrip() + "\n;\n" + ("" if alone else "COMMIT;\n"))
        done = subprocess.run([f"{place.pg_bin()}/psql", "-X", "-q", "-d", self.url(dbname), "-f", script], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=170)
        assert done.returncode == 0, done.stdout[-3000:]

    def dump(self, dbname=None):
        """Everything but our own schema, with the data, and without the names that pg_dump makes up for each run."""
        done = subprocess.run([f"{place.pg_bin()}/pg_dump", "--no-owner", "-N", "headgate", "-d", self.url(dbname)], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=170)
        assert done.returncode == 0, done.stderr
        return [line for line in done.stdout.split("\n") if not line.startswith(("\\restrict", "\\unrestrict"))]

    def current(self):
        return [row["revision"] for row in json.loads(self.headgate("current", "--json", "--url", self.url()))["revisions"]]


def same(ours, theirs):
    """Equal dumps; else the first lines that differ."""
    if ours != theirs:
        at = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b), min(len(ours), len(theirs)))
        raise AssertionError("line %d of the dumps:\n  ours:\n%s\n  theirs:\n%s" % (
            at + 1, "\n".join(ours[max(0, at - 5):at + 5]), "\n".join(theirs[max(0, at - 5):at + 5])))


@pytest.mark.parametrize("layout", corpus.LAYOUTS, ids=lambda layout: layout.__name__.lower())
def test_up_down_up(cluster, layout):
    """Goal: a folder of hundreds goes up in one run as its own tool would take it, comes down to nothing, and goes up again."""
    folder = Folder(cluster, layout, seed=sum(map(ord, layout.__name__)))
    other, empty = folder.database(), folder.database()
    cluster.sql("CREATE EXTENSION citext", empty)
    heads = json.loads(folder.headgate("heads", "--json"))
    assert [row["revision"] for row in heads] == [folder.layout.revisions[-1]]
    history = json.loads(folder.headgate("history", "--json"))
    assert [row["revision"] for row in reversed(history)] == folder.layout.revisions
    folder.migrate("upgrade")
    folder.psql(other)
    up = folder.dump()
    assert len(up) > 3000
    same(up, folder.dump(other))
    assert int(cluster.value("SELECT count(*) FROM headgate.applied", folder.dbname)) == COUNT
    folder.headgate("verify", "--url", folder.url())
    folder.migrate("downgrade", "base")
    for text in folder.layout.last:
        cluster.sql(text, empty)
    same(folder.dump(), folder.dump(empty))
    assert int(cluster.value("SELECT count(*) FROM headgate.applied", folder.dbname)) == 0
    folder.migrate("upgrade")
    same(folder.dump(), up)


def broken(folder, name, text):
    """What headgate says of the folder with one file more."""
    path = os.path.join(folder.dir, name)
    with open(path, "w", encoding="latin-1", newline="") as f:
        f.write(text)
    said = folder.headgate("upgrade", "--url", folder.url(), "--no-hold", status=1)
    os.unlink(path)
    return said


@pytest.mark.parametrize("layout, twice, name, cases", [
    (corpus.GolangMigrate, "0003_again.up.sql", "000004_more.up.sql", ()),
    (corpus.Goose, "0003_again.sql", "0101_more.sql", (("-- +goose Up\n-- +goose StatementBegin\nSELECT 1;\n", ":2: a StatementBegin without StatementEnd"),
                                      ("SELECT 1;\n-- +goose Up\nSELECT 1;\n", ":1: SQL before the first section"))),
    (corpus.Flyway, "V3.0__again.sql", "V3.1__more.sql", ()),
], ids=("golang-migrate", "goose", "flyway"))
def test_what_is_broken_is_named(cluster, layout, twice, name, cases):
    """Goal: lax as the reading is, a real defect among hundreds of files is told with its file and line, and nothing is run."""
    folder = Folder(cluster, layout, seed=7)
    up = "-- +goose Up\n" if layout is corpus.Goose else ""
    line = up.count("\n")
    said = broken(folder, twice, up + "SELECT 1;\n")
    assert twice in said and (" also " in said or " too" in said), said
    for text, wanted in ((up + "\n\\connect other\n", f":{line + 2}: \\connect is a psql meta-command"),
                         (up + "SELECT 1;\nSELECT 'x;\n", f":{line + 2}: a string '… never ends"),
                         (up + "\n\n/* x\nSELECT 1;", f":{line + 3}: a comment /* never ends"),
                         (up + "SELECT $a$;\n", f":{line + 1}: a dollar-quoted string"), (up + "SELECT '\xe4';\n", f":{line + 1}: "), *cases):
        said = broken(folder, name, text)
        assert name + wanted in said, said
    folder.headgate("heads")
    assert int(cluster.value("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace", folder.dbname)) == 0


def test_left_out_is_told(cluster):
    """Goal: what the tool passes over is passed over, and --verbose says so."""
    folder = Folder(cluster, corpus.Flyway, seed=8)
    done = subprocess.run([binary(), "heads", "--verbose", "--dir", folder.dir], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    for name in ("B30__baseline.sql", "beforeMigrate.sql", "v2__lower.sql", "notes.sql", "testdata/fixtures/broken.sql"):
        assert f"{name}: not looked at" in done.stderr, done.stderr
