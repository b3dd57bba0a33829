"""The console speaks PostgreSQL: to psql, to psycopg2, to psycopg 3 and asyncpg with the extended protocol."""

import asyncio
import os
import subprocess

import pytest

from harness import place, wire
from harness.headgate import Headgate, section
from harness.wire import Closed, Refused, Wire


@pytest.fixture(scope="module")
def gate(cluster):
    cluster.database("console")
    with Headgate({"app": section(cluster, "console")}) as running:
        running.until_recorded("old")
        yield running


def folder(gate):
    return os.path.dirname(gate.console_path)


def psql(gate, *words, check=True, wrap=lambda command: command):
    done = subprocess.run(wrap(["psql", "-X", "-h", folder(gate), "-p", "6434", "-d", "headgate", *words]), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30)
    assert not check or done.returncode == 0, done.stdout
    return done.stdout


SHOWS = ["SHOW GATES", "SHOW CLIENTS", "SHOW RUNS", "SHOW CONFIG", "SHOW VERSION"]


@pytest.mark.parametrize("command", SHOWS)
def test_psql(gate, command):
    with gate.login("old"):
        told = psql(gate, "-c", command)
    assert "row" in told and "ERROR" not in told
    assert psql(gate, "-c", command.lower() + ";")


def test_psql_hold_and_release(gate):
    told = psql(gate, "-c", "HOLD app REASON 'with psql'", "-c", "SHOW GATES", "-c", "RELEASE app")
    assert "with psql" in told and "ERROR" not in told


def test_errors_are_errors(gate):
    told = psql(gate, "-c", "SHOW NONSENSE", "-c", "HOLD nosuchdatabase", check=False)
    assert told.count("ERROR") >= 1
    with pytest.raises(Refused) as refused:
        gate.console("SELECT * FROM pg_class; DROP TABLE x")
    assert refused.value.severity == "ERROR"
    with pytest.raises(Refused):
        gate.console("HOLD no_such_database")


def test_a_hold_that_observes_tells_what_would_hold(cluster, dbname, gated):
    gate = gated(mode="observe")
    for order in ("HOLD app", "HOLD"):
        with pytest.raises(Refused) as refused:
            gate.console(order)
        assert refused.value.code == "55000"
        hint = refused.value.fields["H"]
        assert "mode: enforce" in hint and "RELEASE" not in hint, hint


def test_psycopg2(gate):
    psycopg2 = pytest.importorskip("psycopg2")
    connection = psycopg2.connect(host=folder(gate), port=6434, dbname="headgate")
    connection.autocommit = True
    with connection.cursor() as cursor:
        for command in SHOWS:
            cursor.execute(command)
            assert cursor.description and cursor.fetchall() is not None
    connection.autocommit = False
    with connection.cursor() as cursor:  # BEGIN of its own accord
        cursor.execute("SHOW GATES")
        assert any("app" in row for row in cursor.fetchall())
    connection.commit()
    connection.close()


def test_psycopg3_extended_and_pipeline(gate):
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(host=folder(gate), port=6434, dbname="headgate", autocommit=True) as connection:
        for command in SHOWS:
            for prepare in (False, True):
                names = connection.execute(command, prepare=prepare)
                assert names.description and names.fetchall() is not None
        with connection.pipeline():
            first = connection.execute("SHOW VERSION")
            second = connection.execute("SHOW GATES")
        assert first.fetchall() and second.fetchall()


def test_asyncpg(gate):
    asyncpg = pytest.importorskip("asyncpg")

    async def talk():
        connection = await asyncpg.connect(host=folder(gate), port=6434, database="headgate", user="root")
        try:
            for command in SHOWS:
                await connection.fetch(command)
            assert any("app" in row.values() for row in await connection.fetch("SHOW GATES"))
            with pytest.raises(asyncpg.PostgresError):
                await connection.fetch("SHOW NONSENSE")
            assert await connection.fetch("SHOW VERSION")
        finally:
            await connection.close(timeout=5)

    asyncio.run(talk())


def test_extended_by_hand(gate):
    with gate.console_wire() as client:
        client.send(wire.parse("SHOW GATES", "s"), wire.describe("S", "s"), wire.SYNC)
        assert client.kinds() == "1tTZ"
        client.send(wire.bind(name="s"), wire.describe(), wire.execute(), wire.close("S", "s"), wire.SYNC)
        kinds = client.kinds()
        assert kinds.startswith("2TD") and kinds.endswith("C3Z")
        client.send(wire.parse("SHOW NONSENSE"), wire.bind(), wire.execute(), wire.SYNC, wire.query("SHOW VERSION"))
        assert client.kinds().endswith("EZ")
        assert client.kinds() == "TDCZ"
        client.send(wire.query("SHOW VERSION; SHOW GATES"))
        assert client.kinds().count("T") == 2


def test_show_clients_tells_who_and_how(gate):
    with gate.login("old", application_name="the shop") as client:
        row = gate.clients()[0]
        assert row["state"] == "idle" and row["user"] == "u_trust" and row["head"] == "old" and row["carrier"] == "options"
        assert "the shop" in row.values() and str(client.pid) in row.values()


def test_show_config_hides_secrets(cluster, gated, dbname):
    gate = gated(control={"dsn": cluster.dsn(dbname) + " password=geheim"})
    assert "geheim" not in str(gate.console("SHOW CONFIG"))
    assert "geheim" not in gate.log()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be somebody else")
def test_others_are_refused(cluster, dbname, gated):
    """Peer credentials: root and the same user may, a listed operator may, a viewer may look, everybody else may not."""
    gate = gated()
    os.chmod(gate.base, 0o755)
    assert "error" in psql(gate, "-c", "SHOW GATES", check=False, wrap=place.as_nobody).lower()
    gate.configure(console={"viewers": ["nobody"]})
    gate.reload()
    assert "app" in psql(gate, "-c", "SHOW GATES", wrap=place.as_nobody)
    assert "ERROR" in psql(gate, "-c", "HOLD app", check=False, wrap=place.as_nobody)
    gate.configure(console={"operators": ["nobody"], "viewers": []})
    gate.reload()
    assert "ERROR" not in psql(gate, "-c", "HOLD app", "-c", "RELEASE app", wrap=place.as_nobody)


def test_junk_on_the_console(gate):
    for data in (b"\0" * 100, b"\xff" * 100, wire.startup(user="root", database="headgate")[:-5], wire.query("SHOW GATES"),
                 wire.startup(user="root", database="headgate") + b"Q\x7f\xff\xff\xff",
                 wire.startup(user="root", database="headgate") + b"Q\0\0\0\3"):
        with Wire(gate.console_path) as client:
            try:
                client.send(data)
                client.socket.shutdown(1)
                client.ends()
            except (Closed, OSError):
                pass
    assert gate.console("SHOW VERSION")


def test_a_slow_console_reader_holds_nobody_up(gate):
    """Somebody asks for SHOW CONFIG a thousand times and never reads: clients and other consoles go on."""
    with gate.console_wire() as lazy:
        lazy.socket.setblocking(False)
        try:
            for _ in range(3000):
                lazy.socket.send(wire.query("SHOW CONFIG"))
        except BlockingIOError:
            pass
        assert gate.console("SHOW VERSION")
        with gate.login("old") as client:
            assert client.query("SELECT 1") == [["1"]]
        assert gate.rss_kib() < 400 * 1024
