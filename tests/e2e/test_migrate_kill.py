"""SIGKILL of a run of migrations, of its backend and of the whole server, between steps and inside them: ledger and schema always agree, and
the next upgrade finishes the work or says exactly what to resolve.

HEADGATE_KILLS says how many times each is done (default 7), HEADGATE_SEED where the random moments come from; both are printed."""

import json
import os
import random
import re
import signal
import subprocess
import threading
import time

import pytest

from harness import place
from harness.headgate import SANITIZER, binary
from harness.wait import until

KILLS = int(os.environ.get("HEADGATE_KILLS", "7"))
SEED = int(os.environ.get("HEADGATE_SEED") or random.randrange(1 << 30))

# What each migration leaves, as tables; a journal row says that it was done once. Outside of a transaction each statement stays by itself.
INSIDE, OUTSIDE, INDEX = "inside", "outside", "index"
MIGRATIONS = [
    ("0001", INSIDE, "hold:none", "CREATE TABLE journal (revision text);\nINSERT INTO journal VALUES ('0001');"),
    ("0002", INSIDE, "", "CREATE TABLE t0002 (n int, t text);\nCOPY t0002 FROM stdin;\n" + "".join(f"{i}\trow\n" for i in range(500)) + "\\.\n"
     "INSERT INTO journal VALUES ('0002');"),
    ("0003", INSIDE, "", "BEGIN;\nCREATE TABLE t0003 ();\nSELECT pg_sleep(0.03);\nINSERT INTO journal VALUES ('0003');\nCOMMIT;"),
    ("0004", OUTSIDE, "transaction:false", "CREATE TABLE t0004 ();\nSELECT pg_sleep(0.03);\nCREATE TABLE u0004 ();\nINSERT INTO journal VALUES ('0004');"),
    ("0005", INSIDE, "", "CREATE TABLE t0005 (n int);\nINSERT INTO t0005 SELECT generate_series(1, 3000);\nINSERT INTO journal VALUES ('0005');"),
    ("0006", INDEX, "", "CREATE INDEX CONCURRENTLY i0006 ON t0005 (n);"),
    ("0007", INSIDE, "", "CREATE TABLE t0007 ();\nSELECT pg_sleep(0.03);\nINSERT INTO journal VALUES ('0007');"),
    ("0008", OUTSIDE, "transaction:false hold:none", "BEGIN;\nCREATE TABLE t0008 ();\nCREATE TABLE u0008 ();\nINSERT INTO journal VALUES ('0008');\n"
     "SELECT pg_sleep(0.02);\nCOMMIT;\nVACUUM t0005;"),
    ("0009", INSIDE, "hold:none", "CREATE TABLE t0009 ();\nINSERT INTO journal VALUES ('0009');"),
]
REVISIONS = [m[0] for m in MIGRATIONS]
KIND = {m[0]: m[1] for m in MIGRATIONS}
TABLES = {r: [f"t{r}"] + ([f"u{r}"] if KIND[r] == OUTSIDE else []) for r in REVISIONS if r not in ("0001", "0006")}
TABLES["0001"] = ["journal"]


class Trial:
    """One database, one upgrade that is killed, and what was found afterwards."""

    def __init__(self, cluster, name):
        self.cluster, self.name = cluster, name
        self.dir = place.folder("migrations")
        for revision, _, options, up in MIGRATIONS:
            with open(os.path.join(self.dir, f"{revision}_m.sql"), "w") as f:
                f.write(f"-- migrate:up {options}\n{up}\n-- migrate:down\nSELECT 1;\n")
        cluster.sql(f'CREATE DATABASE "{name}"')
        self.lines = []

    def command(self, *arguments):
        url = f"postgresql://postgres@/{self.name}?host={self.cluster.socket}&port={self.cluster.port}"
        return [binary(), *arguments, "--url", url]

    def start(self, *arguments):
        self.process = subprocess.Popen(self.command("upgrade", "--dir", self.dir, "--json", *arguments), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=place.die_with_parent)
        self.lines = []
        self.reader = threading.Thread(target=lambda: self.lines.extend(iter(self.process.stdout.readline, "")))
        self.reader.start()

    def end(self):
        status = self.process.wait(60)
        self.reader.join()
        said = "".join(self.lines)
        assert not SANITIZER.search(said), said
        return status, said

    def run(self, *arguments):
        done = subprocess.run(self.command(*arguments), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=60)
        assert not SANITIZER.search(done.stdout), done.stdout
        return done.returncode, done.stdout

    def events(self):
        return [json.loads(line) for line in list(self.lines) if line.startswith("{") and line.endswith("}\n")]

    def sql(self, statement):
        return self.cluster.sql(statement, self.name)

    def backend(self):
        """Who holds the run's lock."""
        found = self.cluster.sql("SELECT l.pid FROM pg_locks l JOIN pg_database d ON d.oid = l.database WHERE l.locktype = 'advisory' AND l.mode = "
                                 f"'ExclusiveLock' AND l.granted AND d.datname = '{self.name}'")
        return int(found[0][0]) if found else None

    # ---- what is there

    def has(self, table):
        return self.sql(f"SELECT to_regclass('public.{table}') IS NOT NULL")[0][0]

    def journal(self, revision):
        return int(self.sql(f"SELECT count(*) FROM journal WHERE revision = '{revision}'")[0][0]) if self.has("journal") else 0

    def effects(self, revision):
        """none, all or some of what this migration brings."""
        if KIND[revision] == INDEX:
            there = self.sql("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('public.i0006')")
            return "none" if not there else "all" if there[0][0] else "some"
        found = [self.has(table) for table in TABLES[revision]]
        rows = self.journal(revision)
        assert rows <= 1, f"{revision} was done {rows} times"
        found.append(rows == 1)
        return "all" if all(found) else "some" if any(found) else "none"

    def check(self, story):
        """Ledger and schema agree. Returns the revision that is half way, or None."""
        if not self.has_ledger():
            assert all(self.effects(r) == "none" for r in REVISIONS), story
            return None
        applied = {row[0] for row in self.sql("SELECT revision FROM headgate.applied")}
        heads = [row[0] for row in self.sql("SELECT head FROM headgate.head")]
        assert applied == set(REVISIONS[:len(applied)]), (applied, story)
        assert heads == ([max(applied)] if applied else []), (heads, applied, story)
        half = [row[0] for row in self.sql("SELECT s.revision FROM headgate.run n JOIN headgate.step s USING (run_id) WHERE n.unresolved AND s.state "
                                           "IN ('started', 'failed')")]
        assert len(half) <= 1, (half, story)
        for revision in REVISIONS:
            effects = self.effects(revision)
            if revision in applied:
                assert effects == "all", (revision, effects, story)
            elif revision not in half:
                assert effects == "none", (revision, effects, story)
            else:
                assert KIND[revision] != INSIDE, (revision, story)
        active = int(self.sql("SELECT count(*) FROM headgate.run WHERE state <> 'ended'")[0][0])
        assert active == 0, story
        return half[0] if half else None

    def has_ledger(self):
        return self.sql("SELECT to_regclass('headgate.step') IS NOT NULL")[0][0]

    def resolve(self, revision):
        """As an operator would: looks, and says what it is."""
        if self.effects(revision) == "all":
            how = "done"
        else:
            how = "undone"
            self.sql("DROP INDEX IF EXISTS i0006") if KIND[revision] == INDEX else [
                self.sql(f"DROP TABLE IF EXISTS {table}") for table in TABLES[revision]]
            if KIND[revision] == OUTSIDE:
                self.sql(f"DELETE FROM journal WHERE revision = '{revision}'")
        status, said = self.run("resolve", "--as", how, "-m", "looked")
        assert status == 0, said


def kill_runner(trial):
    trial.process.send_signal(signal.SIGKILL)


def kill_backend(trial):
    pid = trial.backend()
    if pid is not None:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def kill_server(trial):
    trial.cluster.restart("crash")


def settle(trial):
    """The server is up, and nobody conducts any more."""
    def calm():
        import psycopg2
        try:
            return trial.backend() is None
        except psycopg2.OperationalError:
            return False
    until(calm, "the run's backend to be gone", 60)


def claim_is_true(trial, said, story):
    """Whatever a runner that lives to tell says of the step that its connection was lost in."""
    match = re.search(r"lost in step (\d+) of \d+, which was (committed|rolled back)", said)
    if match:
        done = int(trial.sql("SELECT count(*) FROM headgate.applied")[0][0])
        assert (done >= int(match[1])) == (match[2] == "committed"), story


def one(cluster, number, how, chance):
    trial = Trial(cluster, f"kill{number}")
    hold = chance.choice([(), ("--no-hold",)])
    boundary = chance.choice([None, "running", "done"])
    step, late = chance.randrange(1, len(MIGRATIONS) + 1), chance.random()
    trial.start(*hold)
    if boundary is None:
        # anywhere between the first sign of life and a little after the end
        until(lambda: trial.events() or trial.process.poll() is not None, "the run's first line", 60)
        time.sleep(late * 0.5)
    else:
        until(lambda: trial.process.poll() is not None or any(e.get("event") == "step" and e["state"] == boundary and e["step"] == step
                                                              for e in trial.events()), "the step", 60)
        time.sleep(late * 0.03 if late > 0.5 else 0)
    how(trial)
    status, said = trial.end()
    story = f"kill {number}: {how.__name__} at {boundary or 'any time'} {step} {late:.3f} {hold}, exit {status}\n{said}"
    print(story.split("\n")[0])
    settle(trial)
    if status == 0:
        assert trial.effects(REVISIONS[-1]) == "all", story
    # The next upgrade ends the run that nobody conducts, and goes on or says what to resolve.
    if trial.has_ledger():
        claim_is_true(trial, said, story)
    status, next_said = trial.run("upgrade", "--dir", trial.dir, *hold)
    story += f"\nnext: exit {status}\n{next_said}"
    half = trial.check(story)
    if half is not None:
        assert status == 1 and "half way" in next_said and f"{half}_m.sql:" in next_said, story
        trial.resolve(half)
        status, next_said = trial.run("upgrade", "--dir", trial.dir, *hold)
        story += f"\nafter resolving {half}: exit {status}\n{next_said}"
        assert trial.check(story) is None
    assert status == 0, story
    assert all(trial.effects(r) == "all" for r in REVISIONS), story
    cluster.sql(f'DROP DATABASE "{trial.name}" WITH (FORCE)')
    return half is not None


@pytest.mark.timeout(60 + 25 * KILLS)
@pytest.mark.parametrize("how", [kill_runner, kill_backend, kill_server], ids=["runner", "backend", "server"])
def test_a_killed_run_leaves_nothing_unknown(own_cluster, how):
    """The goal: whatever dies and whenever, ledger and schema say the same, and the next upgrade finishes or names what to resolve."""
    print(f"HEADGATE_SEED={SEED} HEADGATE_KILLS={KILLS}")
    chance = random.Random(f"{SEED} {how.__name__}")
    halves = sum(one(own_cluster, number, how, chance) for number in range(KILLS))
    print(f"{KILLS} times: {halves} left half way, all others went on by themselves")
