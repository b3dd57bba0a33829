"""Holds and drains by the console: sessions park at their transaction's end, nothing reaches the server, nobody gets an error."""

import contextlib
import socket
import threading
import time

import psycopg2
import pytest

from harness import wire
from harness.wait import until
from harness.wire import Refused


CLOCK = "SELECT extract(epoch FROM clock_timestamp())"


def held(gate, count, database="app"):
    return until(lambda: sum(row["state"] in ("held", "parked", "waiting") for row in gate.clients(database)) == count,
                 lambda: f"{count} held clients, not {[r['state'] for r in gate.clients(database)]}")


def last_queries(cluster, dbname):
    return cluster.sql("SELECT pid, query_start FROM pg_stat_activity WHERE backend_type = 'client backend' AND "
                       f"application_name NOT LIKE 'headgate%' AND application_name <> 'harness' AND datname = '{dbname}' ORDER BY 1")


def test_idle_sessions_park_and_nothing_reaches_the_server(cluster, dbname, gated):
    gate = gated()
    clients = [gate.login("old") for _ in range(10)]
    before = last_queries(cluster, dbname)
    with gate.console_wire() as console:
        rows = gate.console("HOLD app DRAIN TIMEOUT 5s REASON 'testing'", console)
        assert "HELD" in rows.tag or any("HELD" in str(row) for row in rows)
        for number, client in enumerate(clients):
            client.send(wire.query(f"SELECT {number}"))
        assert all(client.nothing(0.03) for client in clients)
        assert last_queries(cluster, dbname) == before
        # a new client is held before it reaches the server
        late = gate.begin_login("old")
        until(lambda: any(row["state"] == "held" for row in gate.clients()), "the late client held")
        assert cluster.backends(dbname) == 10
        gate.console("RELEASE app", console)
    for number, client in enumerate(clients):
        assert client.answer() == [[str(number)]]
    late.finish_login()
    assert late.query("SELECT 'late'") == [["late"]]


def test_a_busy_session_parks_at_its_transactions_end(gated):
    gate = gated()
    client = gate.login("old")
    client.query("BEGIN")
    with gate.console_wire() as console:
        console.send(wire.query("HOLD app DRAIN TIMEOUT 20s"))
        until(lambda: gate.gate()["gate"] == "draining", lambda: f"draining, not {gate.gate()}")
        assert client.query("SELECT 'still inside'") == [["still inside"]]
        assert console.nothing(0.1)
        client.query("COMMIT")
        assert gate.console_answer(console) is not None
        client.send(wire.query("SELECT 'outside'"))
        assert client.nothing(0.2)
        gate.console("RELEASE app", console)
    assert client.answer() == [["outside"]]


def test_drain_timeout_aborts(gated):
    """By default a drain that does not end is given up, said so, and everybody goes on."""
    gate = gated()
    busy, idle = gate.login("old"), gate.login("old")
    busy.query("BEGIN")
    with pytest.raises(Refused) as refused:
        gate.console("HOLD app DRAIN TIMEOUT 300ms ON TIMEOUT ABORT")
    assert refused.value.severity == "ERROR"
    assert idle.query("SELECT 1") == [["1"]]
    assert busy.query("SELECT 2") == [["2"]]
    busy.query("COMMIT")


def test_drain_timeout_cancels(gated, cluster, dbname):
    gate = gated()
    busy = gate.login("old")
    busy.send(wire.query("SELECT pg_sleep(60)"))
    until(lambda: cluster.active(dbname, "pg_sleep(60)"), "a query at work")
    with gate.console_wire() as console:
        gate.console("HOLD app DRAIN TIMEOUT 300ms ON TIMEOUT CANCEL", console)
        with pytest.raises(Refused) as refused:
            busy.answer()
        assert refused.value.code == "57014"
        gate.console("RELEASE app", console)
    assert busy.query("SELECT 'alive'") == [["alive"]]


def test_drain_timeout_terminates(gated):
    gate = gated()
    busy = gate.login("old")
    busy.query("BEGIN")
    with gate.console_wire() as console:
        gate.console("HOLD app DRAIN TIMEOUT 300ms ON TIMEOUT TERMINATE", console)
        assert busy.fatal()["C"] == "57P01"


# One CancelRequest may come as two signals: to the backend, and to its process group.
STUBBORN = """DO $$BEGIN
    LOOP
        BEGIN
            PERFORM pg_advisory_xact_lock(4711);
            EXIT;
        EXCEPTION WHEN query_canceled THEN
            PERFORM nextval('heeded_not');
        END;
    END LOOP;
END$$"""


@contextlib.contextmanager
def stubborn_backend(gate, cluster, dbname):
    """A client whose statement does not heed a cancel, and goes on when the lock is free. (client, what frees it)"""
    connection = psycopg2.connect(cluster.dsn(dbname), application_name="harness")
    connection.autocommit = True
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(4711); CREATE SEQUENCE heeded_not; GRANT ALL ON SEQUENCE heeded_not TO PUBLIC")
        client = gate.login("old")
        client.send(wire.query(STUBBORN))
        until(lambda: cluster.sql("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted"),
              "a statement at work")
        yield client, lambda: cursor.execute("SELECT pg_advisory_unlock(4711)")


def test_a_cut_off_clients_backend_keeps_the_drain(gated, cluster, dbname):
    """The statement of a client that was ended may still commit: HELD is said when its backend has gone, not before."""
    gate = gated()
    with stubborn_backend(gate, cluster, dbname) as (client, free), gate.console_wire() as console:
        console.send(wire.query("HOLD app DRAIN TIMEOUT 3s ON TIMEOUT TERMINATE"))
        assert client.fatal()["C"] == "57P01"
        until(lambda: cluster.value("SELECT is_called FROM heeded_not", dbname), "the cancel not heeded")
        assert gate.gate()["gate"] == "draining"
        assert console.nothing(0.1)
        free()
        assert "HELD" in str(gate.console_answer(console).tag)
        assert cluster.backends(dbname) == 0
        gate.console("RELEASE app", console)
    assert gate.login("old").query("SELECT 1") == [["1"]]


def test_a_hold_says_why_when_a_cut_off_clients_backend_stays(gated, cluster, dbname):
    gate = gated()
    with stubborn_backend(gate, cluster, dbname) as (client, free):
        with pytest.raises(Refused) as refused:
            gate.console("HOLD app DRAIN TIMEOUT 300ms ON TIMEOUT TERMINATE")
        assert "backends of clients that were cut off were still at work after 300ms" in str(refused.value)
        assert client.fatal()["C"] == "57P01"
        other = gate.login("old")
        assert other.query("SELECT 1") == [["1"]]
        other.close()
        free()
        until(lambda: cluster.backends(dbname) == 0, "its backend gone")


def test_a_cut_off_stream_ends(gated, cluster, dbname):
    """A client breaks the protocol while a result without end comes: its backend does not talk on to nobody."""
    gate = gated()
    client = gate.login("old")
    client.send(wire.query("SELECT generate_series(1, 1000000000), repeat('x', 1000)"))
    until(lambda: cluster.active(dbname, "generate_series"), "a stream")
    client.send(b"\xff\x00\x00\x00\x01")
    until(lambda: "protocol violation" in gate.log(), "the client cut off")
    until(lambda: cluster.backends(dbname) == 0, "its backend gone")


def test_hung_up_held_clients_leave(cluster, dbname, gated):
    gate = gated()
    gate.until_recorded("old")
    with gate.no_leak(), gate.console_wire() as console:
        gate.console("HOLD app", console)
        with gate.no_leak():
            clients = [gate.begin_login("old") for _ in range(10)]
            held(gate, 10)
            for number, client in enumerate(clients):
                client.reset() if number % 2 else client.close()
            held(gate, 0)
        assert cluster.backends(dbname) == 0
        gate.console("RELEASE app", console)


def test_hung_up_parked_clients_leave(cluster, dbname, gated):
    gate = gated()
    clients = [gate.login("old") for _ in range(10)]
    with gate.console_wire() as console:
        gate.console("HOLD app", console)
        for number, client in enumerate(clients):
            if number % 3 == 0:
                client.send(wire.query("SELECT 1"))
            client.reset() if number % 2 else client.close()
        held(gate, 0)
        until(lambda: cluster.backends(dbname) == 0, "their backends gone")


def test_cancel_of_a_parked_query_answers_57014_and_the_session_lives(cluster, dbname, gated):
    gate = gated()
    client = gate.login("old")
    with gate.console_wire() as console:
        gate.console("HOLD app", console)
        client.send(wire.query("CREATE TABLE must_not_be (a int)"))
        until(lambda: any(row["state"] == "waiting" for row in gate.clients()), lambda: f"a waiting client: {gate.clients()}")
        began = time.monotonic()
        client.cancel()
        with pytest.raises(Refused) as refused:
            client.answer()
        assert refused.value.code == "57014" and refused.value.severity == "ERROR" and client.status == b"I"
        assert time.monotonic() - began < 2
        # it is still parked, and its next query waits again
        client.send(wire.query("SELECT 'next'"))
        assert client.nothing(0.2)
        gate.console("RELEASE app", console)
    assert client.answer() == [["next"]]
    assert cluster.value("SELECT to_regclass('must_not_be') IS NULL", dbname)


def test_cancel_of_a_parked_extended_batch(gated):
    """The batch that waited is swallowed as a server would: dropped to its Sync, one error, one ReadyForQuery."""
    gate = gated()
    client = gate.login("old")
    with gate.console_wire() as console:
        gate.console("HOLD app", console)
        client.send(wire.parse("SELECT 1"), wire.bind(), wire.execute(), wire.SYNC)
        until(lambda: any(row["state"] == "waiting" for row in gate.clients()), "a waiting client")
        client.cancel()
        assert client.kinds() == "EZ"
        gate.console("RELEASE app", console)
    client.send(wire.parse("SELECT 2"), wire.bind(), wire.execute(), wire.SYNC)
    assert client.kinds() == "12DCZ"


def test_cancel_of_a_draining_query_passes(cluster, dbname, gated):
    """The blocker of a drain can be cancelled: that is how an operator gets on."""
    gate = gated()
    busy = gate.login("old")
    busy.send(wire.query("SELECT pg_sleep(60)"))
    until(lambda: cluster.active(dbname, "pg_sleep(60)"), "a query at work")
    with gate.console_wire() as console:
        console.send(wire.query("HOLD app DRAIN TIMEOUT 30s"))
        until(lambda: gate.gate()["gate"] == "draining", "draining")
        busy.cancel()
        with pytest.raises(Refused) as refused:
            busy.answer()
        assert refused.value.code == "57014"
        assert gate.console_answer(console) is not None
        gate.console("RELEASE app", console)


def test_notice_after_a_while(gated):
    """A live session is told why it waits, once, before its answer; a client without a session yet cannot be."""
    gate = gated(hold={"notice_after": "300ms"})
    client = gate.login("old")
    with gate.console_wire() as console:
        gate.console("HOLD app REASON 'tidying up'", console)
        client.send(wire.query("SELECT 1"))
        kind, body = client.receive()
        told = wire.fields(body)
        assert kind == "N" and told["S"] == "NOTICE" and "hold" in (told["M"] + told.get("D", "")).lower()
        gate.console("RELEASE app", console)
    assert client.answer() == [["1"]]


def test_hold_maximum_ends_by_itself(gated):
    """No owner releases it; the clock does, and nobody gets an error."""
    gate = gated()
    client = gate.login("old")
    console = gate.console_wire()
    gate.console("HOLD app MAX 700ms", console)
    client.send(wire.query("SELECT 'after'"))
    began = time.monotonic()
    assert client.answer() == [["after"]]
    assert time.monotonic() - began < 10
    assert gate.gate()["gate"] == "open"
    console.close()


def test_a_clients_budget(cluster, dbname, gated):
    """Where a run lasts longer than one client may be held, that client is told 57P03, and only then. (An operator's HOLD ends by itself: its
    MAX is what its clients wait for.)"""
    gate = gated(init=True, hold={"max": "600ms"}, drain={"timeout": "500ms"})
    gate.until_recorded("old")
    live, idle = gate.login("old"), gate.login("old")
    conductor = gate.spawn("exec", "-d", "app", "-m", "a long one", "--", "sleep", "3")
    until(lambda: gate.gate()["gate"] == "holding", "holding")
    began = time.monotonic()
    fresh = gate.begin_login("old")
    live.send(wire.query("SELECT 1"))
    for client in (fresh.finish_login, live.answer):
        with pytest.raises(Refused) as refused:
            client()
        assert refused.value.code == "57P03"
    assert time.monotonic() - began > 0.5
    conductor.communicate(timeout=30)
    assert idle.query("SELECT 'asked for nothing meanwhile'") == [["asked for nothing meanwhile"]]


def test_a_hold_ends_with_its_owners_connection(gated):
    gate = gated()
    client = gate.login("old")
    console = gate.console_wire()
    gate.console("HOLD app", console)
    client.send(wire.query("SELECT 'freed'"))
    assert client.nothing(0.1)
    console.reset()
    assert client.answer() == [["freed"]]
    until(lambda: gate.gate()["gate"] == "open", "the gate open")


def test_detached_outlives_and_force_ends(gated):
    gate = gated()
    client = gate.login("old")
    gate.console("HOLD app DETACHED REASON 'by a job'")
    client.send(wire.query("SELECT 'freed'"))
    assert client.nothing(0.2)
    row = gate.gate()
    assert row["gate"] == "holding", row
    gate.console("RELEASE app FORCE")
    assert client.answer() == [["freed"]]


def test_release_is_paced_for_those_that_must_connect(cluster, dbname, gated):
    """release.ramp 20: 30 held logins reach the server over about a second, not at once; a live session at once."""
    gate = gated(release={"ramp": 20})
    live = gate.login("old")
    with gate.console_wire() as console:
        gate.console("HOLD app", console)
        clients = [gate.begin_login("old") for _ in range(30)]
        held(gate, 31)
        live.send(wire.query("SELECT 'live'"))
        began = time.monotonic()
        gate.console("RELEASE app", console)
        assert live.answer() == [["live"]]
        assert time.monotonic() - began < 0.7
    for client in clients:
        client.finish_login()
    took = time.monotonic() - began
    assert took > 0.6, f"all of them after {took:.2f} s"


def second_after_first(client, times):
    """Asks the server's clock as soon as it has told it: the seconds between the two statements."""
    first = float(client.answer()[0][0])
    times.append(float(client.query(CLOCK)[0][0]) - first)


def test_everybodys_first_answer_comes_before_anybodys_second(gated, cluster, dbname):
    """Of those that a release lets go, who is answered is not read again before the others are. (A pause of 10 ms in the answers ends
    this, which a busy machine may make anywhere: so most of the times.)"""
    gate = gated({"workers": 1})
    cluster.sql("CREATE SEQUENCE turn; GRANT ALL ON turn TO PUBLIC", dbname)
    quick, slow = gate.login("old"), gate.login("old")
    behind = 0
    for _ in range(9):
        with gate.console_wire() as console:
            gate.console("HOLD app", console)
            quick.send(wire.query("SELECT nextval('turn')"))
            slow.send(wire.query("SELECT pg_sleep(0.004); SELECT nextval('turn')"))
            held(gate, 2)
            gate.console("RELEASE app", console)
        first = int(quick.answer()[0][0])
        second = int(quick.query("SELECT nextval('turn')")[0][0])
        others = int(slow.answer()[-1][0])
        assert first < min(second, others)
        behind += second > others
    assert behind > 4, f"{behind} of 9"


def test_one_long_answer_keeps_nobody_waiting(gated, cluster, dbname):
    """... and when none is answered for 10 ms, the others go on. Who leaves in between is not waited for."""
    gate = gated({"workers": 1})
    quick, leaver, times = gate.login("old"), gate.login("old"), []
    connection = psycopg2.connect(cluster.dsn(dbname), application_name="harness")
    connection.autocommit = True
    for number in range(9):
        slow = gate.login("old")
        with connection.cursor() as locker, gate.console_wire() as console:
            locker.execute("SELECT pg_advisory_lock(7)")
            gate.console("HOLD app", console)
            quick.send(wire.query(CLOCK))
            slow.send(wire.query("SELECT pg_advisory_lock(7)"))
            leaver.send(wire.query("SELECT 1"))
            held(gate, 3)
            gate.console("RELEASE app", console)
            second_after_first(quick, times)
            assert leaver.answer() == [["1"]]
            if number % 3 == 2:
                slow.reset()
                leaver.reset()
                leaver = gate.login("old")
            else:
                assert leaver.query("SELECT 2") == [["2"]]
            locker.execute("SELECT pg_advisory_unlock(7)")
            if number % 3 != 2:
                slow.answer()
                slow.close()
        assert quick.query("SELECT 'on'") == [["on"]]
    connection.close()
    assert sorted(times)[4] > 0.005, times


def test_many_long_answers_keep_nobody_waiting(gated, cluster, dbname):
    """... nor do answers that come one after the other, for longer than 100 ms."""
    gate = gated({"workers": 1})
    cluster.sql("CREATE SEQUENCE turn; GRANT ALL ON turn TO PUBLIC", dbname)
    quick, slow = gate.login("old"), [gate.login("old") for _ in range(60)]
    before = 0
    for _ in range(5):
        with gate.console_wire() as console:
            gate.console("HOLD app", console)
            quick.send(wire.query("SELECT nextval('turn')"))
            for number, client in enumerate(slow):
                client.send(wire.query(f"SELECT pg_sleep(0.005 * {number}); SELECT nextval('turn')"))
            held(gate, 61)
            gate.console("RELEASE app", console)
        first = int(quick.answer()[0][0])
        second = int(quick.query("SELECT nextval('turn')")[0][0])
        others = [int(client.answer()[-1][0]) for client in slow]
        assert first < second
        before += second < max(others)
    assert before > 2, f"{before} of 5"


def test_a_release_under_way_passes_all_that_was_asked(gated, cluster, dbname):
    """What is not one short query: it goes on as ever while others have no answer yet."""
    gate = gated({"workers": 1})
    cluster.sql("CREATE TABLE n (a int); GRANT ALL ON n TO PUBLIC", dbname)
    slow = [gate.login("old") for _ in range(20)]
    for number in range(5):
        copies, large, several, opens, ends, leaves = [gate.login("old") for _ in range(6)]
        with gate.console_wire() as console:
            gate.console("HOLD app", console)
            for step, client in enumerate(slow):
                client.send(wire.query(f"SELECT pg_sleep(0.004 * {step})"))
            copies.send(wire.query("COPY n FROM STDIN"))
            large.send(wire.query(f"SELECT length('{'x' * 500_000}')"))
            several.send(wire.query("SELECT 1"), wire.query("SELECT 2"), wire.parse("SELECT 3"), wire.bind(), wire.execute(), wire.SYNC)
            opens.send(wire.query("BEGIN"))
            ends.send(wire.query("SELECT 4 FROM pg_sleep(0.02)"))
            leaves.send(wire.query("SELECT pg_sleep(0.02)"))
            held(gate, 26)
            gate.console("RELEASE app", console)
        ends.socket.shutdown(socket.SHUT_WR)
        leaves.reset()
        assert copies.message()[0] == "G"
        copies.send(wire.copy_data(b"1\n" * 100_000))
        copies.send(wire.copy_data(b"2\n"), wire.COPY_DONE)
        opens.answer()
        assert opens.status == b"T"
        assert opens.query("SELECT 5") == [["5"]]
        opens.query("COMMIT")
        assert opens.status == b"I"
        assert [several.answer(), several.answer(), several.kinds()] == [[["1"]], [["2"]], "12DCZ"]
        assert large.answer() == [["500000"]]
        assert copies.kinds() == "CZ"
        assert ends.answer() == [["4"]]
        assert ends.ends() == []
        for client in slow:
            client.answer()
        for client in (copies, large, several, opens):
            assert client.query(f"SELECT {number}") == [[str(number)]]
            client.close()
    assert cluster.value("SELECT count(*) FROM n", dbname) == 500005
    until(lambda: len(gate.clients("app")) == 20, "the others have left")


def test_a_hold_right_behind_a_release(gated, cluster, dbname):
    """Those who are answered and not read yet are parked like others."""
    gate = gated({"workers": 1})
    quick = [gate.login("old") for _ in range(4)]
    for number in range(9):
        slow = gate.login("old")
        with gate.console_wire() as console:
            gate.console("HOLD app", console)
            for client in quick:
                client.send(wire.query(f"SELECT {number}"))
            slow.send(wire.query("SELECT pg_sleep(0.05)"))
            held(gate, 5)
            gate.console("RELEASE app", console)
            for client in quick:
                assert client.answer() == [[str(number)]]
                client.send(wire.query("SELECT 'again'"))
            gate.console("HOLD app DRAIN TIMEOUT 5s", console)
            assert slow.answer() == [[""]]
            before = last_queries(cluster, dbname)
            time.sleep(0.03)
            assert last_queries(cluster, dbname) == before
            gate.console("RELEASE app", console)
        for client in quick:
            assert client.answer() == [["again"]]
        slow.close()


def test_too_many_held(gated):
    gate = gated(hold={"clients": 5})
    gate.until_recorded("old")
    with gate.console_wire() as console:
        gate.console("HOLD app", console)
        clients = [gate.begin_login("old") for _ in range(5)]
        held(gate, 5)
        with pytest.raises(Refused) as refused:
            gate.login("old")
        assert refused.value.code == "53300"
        gate.console("RELEASE app", console)
    for client in clients:
        client.finish_login()


def test_clients_at_every_point_of_a_transaction(gated, cluster, dbname):
    """Many clients, many short holds: every answer right, no error, and while held nothing new reaches the server."""
    gate = gated()
    cluster.sql("CREATE TABLE n (a int); GRANT ALL ON n TO PUBLIC", dbname)
    stop, wrong, done = threading.Event(), [], [0] * 16

    def work(number):
        try:
            with gate.login("old") as client:
                while not stop.is_set():
                    k = done[number]
                    how = (number + k) % 4
                    if how == 0:
                        assert client.query(f"SELECT {k}") == [[str(k)]]
                    elif how == 1:
                        client.query("BEGIN")
                        client.query(f"INSERT INTO n VALUES ({number})")
                        assert client.query(f"SELECT {k}") == [[str(k)]]
                        client.query("COMMIT")
                    elif how == 2:
                        client.send(wire.parse("SELECT $1::int"), wire.bind([k]), wire.execute(), wire.SYNC)
                        assert client.kinds() == "12DCZ"
                    else:
                        client.send(wire.query("COPY n FROM STDIN"))
                        assert client.message()[0] == "G"
                        client.send(wire.copy_data(f"{number}\n".encode()), wire.COPY_DONE)
                        assert client.kinds() == "CZ"
                    done[number] += 1
        except Exception as error:  # noqa: BLE001: every failure is the test's
            wrong.append((number, error))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    try:
        until(lambda: min(done) > 3, "everybody at work")
        for _ in range(8):
            with gate.console_wire() as console:
                gate.console("HOLD app DRAIN TIMEOUT 10s", console)
                before = last_queries(cluster, dbname)
                count = cluster.value("SELECT count(*) FROM n", dbname)
                time.sleep(0.05)
                assert last_queries(cluster, dbname) == before and cluster.value("SELECT count(*) FROM n", dbname) == count
                gate.console("RELEASE app", console)
            seen = sum(done)
            until(lambda: sum(done) > seen + 16 or wrong, "work after the release")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not wrong, wrong


def test_two_holds_of_one_database(gated):
    """A second HOLD is answered, never left hanging: it names the owner of the first."""
    gate = gated()
    with gate.console_wire() as first, gate.console_wire() as second:
        gate.console("HOLD app REASON 'the first one'", first)
        try:
            gate.console("HOLD app", second)
        except Refused as refused:
            assert "first one" in str(refused) or "already" in str(refused)
        # and a RELEASE from another connection does not take it away without FORCE
        with gate.console_wire() as third:
            with pytest.raises(Refused):
                gate.console("RELEASE app", third)
        gate.console("RELEASE app", first)
    until(lambda: gate.gate()["gate"] == "open", "open again")
