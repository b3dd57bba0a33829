"""The tracker against a real PostgreSQL: random programs of the protocol, and pg_stat_activity for the truth.

    HEADGATE_ORACLE_SEED=n     the same programs again (it is printed, and part of every failure)
    HEADGATE_ORACLE_SECONDS=n  go on for so long; 12 unless told
"""

import os
import random
import struct
import time

import pytest

from harness import wire
from harness.wire import COPY_DONE, FLUSH, SYNC, bind, close, copy_data, copy_fail, describe, execute, parse, query
from tracker_oracle import Gone, Monitor, Subject, Wrong, library

SECONDS = float(os.environ.get("HEADGATE_ORACLE_SECONDS", "12"))
SEED = os.environ.get("HEADGATE_ORACLE_SEED")

SCHEMA = """
CREATE TABLE t (a int PRIMARY KEY);
CREATE VIEW v AS SELECT a FROM t;
CREATE TABLE d (a int UNIQUE DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE guarded (a int);
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''refused''; END';
CREATE TRIGGER guard BEFORE INSERT ON guarded FOR STATEMENT EXECUTE FUNCTION refuse();
CREATE TABLE slow (a int);
CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.01); RAISE NOTICE ''waited''; RETURN NULL; END';
CREATE TRIGGER wait BEFORE INSERT ON slow FOR STATEMENT EXECUTE FUNCTION wait();
CREATE TABLE late (a int);
CREATE TRIGGER late AFTER INSERT ON late FOR STATEMENT EXECUTE FUNCTION refuse();
"""
TABLES = ("t", "t", "t", "v", "guarded", "slow", "late", "d", "missing")
STATEMENTS = (
    "SELECT 1", "SELECT 1", "SELECT generate_series(1, 300)", "", "SELECT 1/0", "syntax error", "BEGIN", "COMMIT", "ROLLBACK",
    "SAVEPOINT s", "ROLLBACK TO s", "INSERT INTO d VALUES (1), (1)", "INSERT INTO t SELECT max(a) + 1 FROM t",
    "DECLARE c CURSOR WITH HOLD FOR SELECT generate_series(1, 9)", "FETCH 2 FROM c", "LISTEN news", "NOTIFY news, 'now'",
    "SET application_name = 'x'", "DO 'BEGIN RAISE WARNING ''x''; END'", "SELECT pg_sleep(0.003)", "COPY t TO STDOUT",
    "COPY (SELECT 1/(3 - a) FROM generate_series(1, 5) a) TO STDOUT", "PREPARE p AS SELECT 1", "EXECUTE p", "DEALLOCATE ALL",
    "SET statement_timeout = '4ms'", "RESET statement_timeout", "SET CONSTRAINTS ALL IMMEDIATE", "LOCK t", "EXPLAIN SELECT 1",
    "CALL nothing()", "SHOW all", "VACUUM t", "PREPARE TRANSACTION 'x'")
MULTI = ("SELECT 1; SELECT 2", "SELECT 1; SELECT 1/0; SELECT 2", "BEGIN; SELECT 1", "SELECT 1; COMMIT; SELECT 2", ";", "; ;",
         "COPY t TO STDOUT; SELECT 1", "INSERT INTO d VALUES (2), (2); SELECT 1")


def call(oid, *arguments):
    """FunctionCall, arguments and result binary int4."""
    return wire.message("F", struct.pack("!IHHH", oid, 1, 1, len(arguments))
                        + b"".join(struct.pack("!iI", 4, value) for value in arguments) + struct.pack("!H", 1))


class Program:
    """Messages and pauses, by chance. A message is bytes; a pause is the name of what to do in it."""

    def __init__(self, dice):
        self.dice = dice
        self.steps = []
        # A COPY IN that may have failed before or after the Sync behind it, and statements before the next Sync: nobody can
        # tell whether the server runs or discards them. The tracker may then wait for ever, and must never say idle too early.
        self.undecidable = False

    def chance(self, p):
        return self.dice.random() < p

    def add(self, *steps):
        for step in steps:
            self.steps.append(step)
            if self.chance(0.04):
                self.steps.append(self.dice.choice(("settle", "settle", "cancel", "sleep")))

    def build(self):
        fragments = (self.simple,) * 3 + (self.extended,) * 6 + (self.copy_simple,) * 2 + (self.copy_extended,) * 4 + (
            self.function, self.portal, self.stray, self.prepared)
        for _ in range(self.dice.randrange(1, 9)):
            self.dice.choice(fragments)()
            if self.chance(0.35):
                self.steps.append("settle")
        return self

    def simple(self):
        self.add(query(self.dice.choice(STATEMENTS + MULTI)))

    def sql(self):
        return self.dice.choice(STATEMENTS)

    def function(self):
        self.add(self.dice.choice((call(177, 2, 3), call(9, 1), call(154, 1, 0))))  # int4pl, none, int4div by zero

    def flush(self):
        if self.chance(0.15):
            self.add(FLUSH)

    def end(self):
        """Of an extended batch: mostly a Sync, or several; or the batch goes on."""
        if self.chance(0.8):
            for _ in range(self.dice.choice((1, 1, 1, 1, 2, 3))):
                self.add(SYNC)
        elif self.chance(0.6):
            self.add(FLUSH)

    def one(self, sql, parts=None):
        for part in parts or self.dice.choice(("PBDE", "PBDE", "PBE", "P", "PB", "PD", "BE", "E", "D", "C", "PBDEC", "PBEE")):
            if part == "P":
                self.add(parse(sql))
            elif part == "B":
                self.add(bind(values=(1,) if self.chance(0.05) else ()))
            elif part == "D":
                self.add(describe(self.dice.choice("PPPS")))
            elif part == "E":
                self.add(execute(rows=self.dice.choice((0, 0, 0, 2)), portal="missing" if self.chance(0.03) else ""))
            else:
                self.add(close(self.dice.choice("SPx"), ""))
            self.flush()

    def extended(self):
        for _ in range(self.dice.choice((1, 1, 1, 2, 3))):
            self.one(self.sql())
            if self.chance(0.1):
                self.dice.choice((self.simple, self.function))()
        self.end()

    def portal(self):
        self.add(parse("SELECT generate_series(1, 5)"), bind(portal="p"), execute("p", 2))
        self.flush()
        self.add(execute("p", 2), execute("p", 2), close("P", "p"))
        self.end()

    def prepared(self):
        name = self.dice.choice("xyz")
        self.add(parse(self.sql(), name), describe("S", name))
        self.end()
        self.add(bind(name=name), execute())
        self.end()
        if self.chance(0.5):
            self.add(close("S", name))
            self.end()

    def stray(self):
        """What the server drops outside COPY, or never looks at."""
        self.add(self.dice.choice((FLUSH, COPY_DONE, copy_fail(), copy_data(b"x"), SYNC, SYNC + SYNC, COPY_DONE + COPY_DONE,
                                   BAD_SYNC)))

    def data(self):
        """CopyData and its end, perhaps with Syncs and Flushes that the server ignores, or bad."""
        for _ in range(self.dice.randrange(0, 4)):
            row = b"x\n" if self.chance(0.15) else b"%d\n" % self.dice.randrange(1 << 30)
            self.add(copy_data(row + b"y" * 9000 if self.chance(0.05) else row))
            if self.chance(0.06):
                self.add(FLUSH)
            if self.chance(0.05):
                self.steps.append("settle")
        self.add(COPY_DONE if self.chance(0.8) else copy_fail())

    def copy_simple(self):
        table = self.dice.choice(TABLES)
        copies = self.dice.choice((1, 1, 1, 2))
        statement = "; ".join([f"COPY {table} FROM STDIN"] * copies)
        self.add(query(("SELECT 1; " if self.chance(0.1) else "") + statement))
        if self.chance(0.4):
            self.steps.append("settle")
        if self.chance(0.1):
            self.add(SYNC)
        for _ in range(copies):
            self.data()

    def copy_extended(self):
        sql = f"COPY {self.dice.choice(TABLES)} FROM STDIN"
        self.one("SELECT 1") if self.chance(0.1) else None
        self.one(sql, self.dice.choice(("PBDE", "PBE")))
        first = self.chance(0.7)
        if first:
            self.add(SYNC)  # libpq's first
        if self.chance(0.4):
            self.steps.append("settle")
        if self.chance(0.08):  # the next batch right behind it: the server gives the connection up unless the COPY had failed
            self.one("SELECT 1", "PBE")
            self.add(self.dice.choice((SYNC, query("SELECT 1"))), SYNC)
            return
        self.data()
        if self.chance(0.9):
            self.add(SYNC)
        elif first:
            self.undecidable = True


def prepared(sql):
    return parse(sql) + bind() + describe() + execute()


VIEW, TABLE, GUARDED, LATE = (prepared(f"COPY {name} FROM STDIN") for name in ("v", "t", "guarded", "late"))
ROW, SELECT = copy_data(b"7\n"), prepared("SELECT 1")
BAD_SYNC = wire.message("S", b"x")
TIMED = (query("SET statement_timeout = '5ms'"), parse("SELECT 1") + FLUSH, "sleep")
# What is sent, step by step, and what PostgreSQL 15 answers to each: the scripts of tests/unit/proto_tracker_scripts.def rest on it.
ODD = {
    "into a view: the Sync is not swallowed": ((VIEW + SYNC,), "12nGEZ"),
    "libpq's second Sync comes late": ((VIEW + SYNC, ROW + COPY_DONE + SYNC), "12nGEZ Z"),
    "libpq's second Sync, ahead": ((VIEW + SYNC + ROW + COPY_DONE + SYNC,), "12nGEZZ"),
    "a batch behind a copy into a view": ((VIEW + SYNC + SELECT + SYNC,), "12nGEZ12TDCZ"),
    "its data too": ((VIEW + SYNC + ROW + COPY_DONE + SELECT + SYNC,), "12nGEZ12TDCZ"),
    "its Sync has a body": ((VIEW + BAD_SYNC + SYNC,), "12nGEEZZ"),
    "a Sync with a body behind a copy into a view": ((VIEW + SYNC + COPY_DONE + SYNC + BAD_SYNC + query("SELECT 1"),), "12nGEZZEZTDCZ"),
    "a Sync with a body ends the discarding": ((prepared("SELECT 1/0") + BAD_SYNC + query("SELECT 1"),), "1EEZTDCZ"),
    "a trigger that refuses": ((GUARDED + SYNC, ROW + COPY_DONE + SYNC), "12nGEZ Z"),
    "a trigger that refuses at the end": ((LATE + SYNC + ROW + COPY_DONE + SYNC,), "12nGEZ"),
    "a batch behind a copy": ((TABLE + SYNC + SELECT + SYNC,), "12nGEE gone"),
    "both Syncs": ((TABLE + SYNC, ROW, COPY_DONE, SYNC), "12nG   CZ"),
    "both Syncs ahead": ((TABLE + SYNC + copy_data(b"8\n") + COPY_DONE + SYNC,), "12nGCZ"),
    "bad data, then the end": ((TABLE + SYNC, copy_data(b"x\n"), COPY_DONE, SYNC), "12nG E  Z"),
    "strays of a copy into a view": ((query("COPY v FROM STDIN"), ROW + COPY_DONE), "GEZ "),
    "two copies, all ahead": ((query("COPY t FROM STDIN; COPY t FROM STDIN") + COPY_DONE + COPY_DONE,), "GCGCZ"),
    "a batch behind a simple copy into a view": ((query("COPY v FROM STDIN") + SELECT + SYNC,), "GEZ12TDCZ"),
    "Sync inside a simple copy": ((query("COPY t FROM STDIN") + SYNC + COPY_DONE,), "GCZ"),
    "a Query is discarded": ((prepared("SELECT 1/0") + query("SELECT 1") + SYNC,), "1EZ"),
    "a Query ends what a Flush began": ((parse("SELECT 1") + FLUSH, query("SELECT 1")), "1 TDCZ"),
    "an error at the Sync": ((prepared("INSERT INTO d VALUES (5), (5)") + SYNC,), "12nCEZ"),
    "a Flush with a body": ((wire.message("H", b"x") + query("SELECT 1"), SYNC), "E Z"),
    "a time-out is noticed at a Bind": ((*TIMED, bind() + query("SELECT 1"), SYNC), "CZ 1  E Z"),
    "a time-out is noticed at a Sync": ((*TIMED, SYNC), "CZ 1  EZ"),
    "a time-out is noticed at a Query": ((*TIMED, query("SELECT 1")), "CZ 1  EZ"),
    "a time-out is noticed at a Flush": ((*TIMED, FLUSH, query("SELECT 1"), SYNC), "CZ 1  E  Z"),
    "a time-out is noticed at CopyData": ((*TIMED, ROW, SYNC), "CZ 1  EZ Z"),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_cases(ground, name):
    monitor, lib = ground
    subject = Subject(lib, monitor.wire.address, monitor, random.Random(0))
    steps, expected = ODD[name]
    answers = []
    try:
        for step in steps:
            begin = len(subject.trace)
            try:
                if step == "sleep":
                    time.sleep(0.02)
                else:
                    subject.push(step)
                    subject.flush()
                subject.compare()
            except Gone:
                subject.trace.append("< gone")
            answers.append("".join(seen[1] if seen != "< gone" else " gone" for seen in subject.trace[begin:] if seen[0] == "<"))
        assert " ".join(answers) == expected
        assert expected.endswith("gone") or subject.idle()
    finally:
        subject.close()


def play(subject, program, dice):
    for step in program.steps:
        if isinstance(step, bytes):
            subject.push(step)
            for _ in range(dice.choice((0, 0, 1, 1, 2, 4))):
                subject.pump()
        elif step == "sleep":
            subject.flush()
            time.sleep(0.006)
        elif step == "cancel":
            subject.cancel()
        else:
            subject.flush()
            subject.compare()
        # The strongest question: it says idle at this very moment, whatever is under way. Then nothing more may happen.
        if subject.idle() and dice.random() < 0.3:
            subject.compare()
            if not subject.idle():
                subject.wrong("idle a moment ago, and not any more, though nothing was sent")
    subject.flush()
    subject.compare()


def recover(subject, program):
    """Any sane end of a program leaves a session that is idle, for the server and for the tracker."""
    for closing in (copy_fail() + SYNC, query("ROLLBACK"), query("RESET ALL"), query("DEALLOCATE ALL"), query("CLOSE ALL"),
                    query("ROLLBACK")):  # again: a late cancel may have hit the first
        subject.push(closing)
        subject.flush()
        subject.compare()
    if not program.undecidable and not subject.idle():
        subject.wrong("not idle at the end")


@pytest.fixture(scope="module")
def ground(cluster):
    cluster.sql(SCHEMA)
    monitor = Monitor(f"{cluster.socket}/.s.PGSQL.{cluster.port}")
    yield monitor, library()
    monitor.close()


def test_random_programs(ground):
    monitor, lib = ground
    seed = int(SEED) if SEED else random.SystemRandom().randrange(1 << 30)
    print(f"HEADGATE_ORACLE_SEED={seed}")
    deadline = time.monotonic() + SECONDS
    number, ended, undecidable, checks = 0, 0, 0, {"idle": 0, "busy": 0}
    subject = None
    while time.monotonic() < deadline:
        number += 1
        dice = random.Random(f"{seed}/{number}")
        program = Program(dice).build()
        if subject is None:
            subject = Subject(lib, monitor.wire.address, monitor, dice)
        subject.random, subject.undecidable = dice, program.undecidable
        subject.trace.append(f"\n#{number}:")
        alive = True
        try:
            play(subject, program, dice)
            recover(subject, program)
        except Gone:
            ended += 1
            alive = False
        except Wrong as error:
            pytest.fail(f"HEADGATE_ORACLE_SEED={seed}, program {number}: {error}\n{' '.join(subject.trace[-400:])}")
        # A tracker lives through many programs: what it gets wrong adds up.
        if not alive or program.undecidable or number % 50 == 0:
            undecidable += program.undecidable
            for key in checks:
                checks[key] += subject.checks[key]
            subject.close()
            subject = None
    if subject is not None:
        for key in checks:
            checks[key] += subject.checks[key]
        subject.close()
    print(f"{number} programs: compared {checks['idle']} times idle, {checks['busy']} busy; {ended} ended by the server, "
          f"{undecidable} undecidable")
    assert number >= 10 * SECONDS / 2 and checks["idle"] > number and checks["busy"] > number / 10
