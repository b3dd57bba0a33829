"""Faults: every client gets a proper error or is held, nothing hangs, nothing is answered wrongly, and service returns by itself."""

import socket
import struct
import threading

import pytest

from harness import place, wire
from harness.headgate import Headgate, section
from harness.stub import AUTH_OK, KEY, READY, Stub, error, parameter
from harness.wait import until
from harness.wire import Closed, Refused


@pytest.fixture
def broken(own_cluster):
    """A cluster of its own, with a proxy in front."""
    own_cluster.database("app")
    with Headgate({"app": section(own_cluster, "app", lease="1s")}, {"limits": {"connect": "1s"}}) as gate:
        gate.until_recorded("old")
        yield gate, own_cluster


def observed(server, **more):
    """A section in front of a stub: no record to read, everybody admitted."""
    return {"app": {"upstream": dict({"address": f"127.0.0.1:{server.port}", "tls": {"mode": "disable"}}, **more),
                    "control": {"dsn": "host=127.0.0.1 port=1"}, "recorded": {"reader": "alembic"}, "mode": "observe"}}


def test_a_backend_is_killed(broken):
    gate, cluster = broken
    with gate.no_leak():
        idle, busy, other = gate.login("old"), gate.login("old"), gate.login("old")
        busy.send(wire.query("SELECT pg_sleep(60)"))
        for client in (idle, busy):
            cluster.sql(f"SELECT pg_terminate_backend({client.pid})")
            told = client.fatal()
            assert told["C"] == "57P01" and told["S"] == "FATAL"
        assert other.query("SELECT 1") == [["1"]]
        other.close()
        with gate.login("old") as client:
            assert client.query("SELECT 1") == [["1"]]


def test_a_backend_crashes(broken):
    """SIGKILL to one backend: PostgreSQL ends all the others and recovers."""
    import os
    import signal

    gate, cluster = broken
    clients = [gate.login("old") for _ in range(5)]
    clients[0].send(wire.query("SELECT pg_sleep(60)"))
    os.kill(clients[0].pid, signal.SIGKILL)
    for client in clients:
        told = client.fatal()
        assert told["C"] in ("57P02", "08006", "57P01"), told

    def served():
        try:
            with gate.login("old", timeout=5) as client:
                return client.query("SELECT 1") == [["1"]]
        except (Refused, Closed):
            return False

    until(served, "service again", 30)


@pytest.mark.parametrize("how", ["fast", "immediate", "crash"])
def test_the_server_stops_and_returns(broken, how):
    gate, cluster = broken
    idle, busy = gate.login("old"), gate.login("old")
    busy.send(wire.query("SELECT pg_sleep(60)"))
    cluster.stop(how)
    for client in (idle, busy):
        assert client.fatal()["C"] in ("57P01", "57P02", "57P03", "08006")
    # while it is gone: held while the lease says nothing, or refused as unreachable; never served, never left without a word
    try:
        with gate.login("old", timeout=3) as client:
            raise AssertionError(f"served without a server: {client.parameters}")
    except Refused as refused:
        assert refused.code in ("08001", "57P03")
    except socket.timeout:
        pass
    cluster.start()

    def served():
        try:
            with gate.login("old", timeout=5) as client:
                return client.query("SELECT 1") == [["1"]]
        except (Refused, Closed):
            return False

    until(served, lambda: "service again\n" + gate.log(), 30)


def test_held_while_the_server_is_gone(own_cluster):
    """A client that came while nothing could be read waits, and is served when the server is back."""
    own_cluster.database("app")
    own_cluster.stop()
    with Headgate({"app": section(own_cluster, "app")}) as gate:
        client = gate.begin_login("old")
        assert client.nothing(0.5)
        own_cluster.start()
        client.finish_login()
        assert client.query("SELECT 1") == [["1"]]


def test_the_server_is_full(own_cluster):
    own_cluster.database("app")
    own_cluster.stop()
    with open(f"{own_cluster.data}/postgresql.conf", "a") as f:
        f.write("max_connections = 10\nsuperuser_reserved_connections = 3\nmax_wal_senders = 0\nwal_level = replica\n")
    own_cluster.start()
    with Headgate({"app": section(own_cluster, "app")}) as gate:
        gate.until_recorded("old")
        clients, told = [], None
        while told is None:
            try:
                clients.append(gate.login("old"))
            except Refused as refused:
                told = refused
        assert told.code == "53300"  # PostgreSQL's own words, passed on
        for client in clients:
            client.close()
        until(lambda: own_cluster.backends("app") == 0, "room again")
        gate.login("old").close()


def test_the_server_is_unreachable(own_cluster):
    own_cluster.database("app")
    with Headgate({"app": section(own_cluster, "app", upstream={"address": f"127.0.0.1:{place.port()}"})}) as gate:
        gate.until_recorded("old")
        for _ in range(5):
            with pytest.raises(Refused) as refused:
                gate.login("old")
            assert refused.value.code == "08001" and refused.value.severity == "FATAL"


def test_the_server_hangs(broken):
    """Frozen whole: admitted until the lease runs out, then held; when it wakes, all goes on and nothing is lost or doubled."""
    gate, cluster = broken
    cluster.sql("CREATE TABLE n (a int); GRANT ALL ON n TO PUBLIC", "app")
    client, idle = gate.login("old"), gate.login("old")
    cluster.freeze()
    client.send(wire.query("INSERT INTO n VALUES (1)"))
    assert client.nothing(0.3)
    until(lambda: gate.gate()["gate"] != "open", lambda: f"the lease run out: {gate.gate()}")
    idle.send(wire.query("INSERT INTO n VALUES (2)"))
    late = gate.begin_login("old")
    assert late.nothing(0.3)
    cluster.thaw()
    assert client.answer() == [] and idle.answer() == []
    late.finish_login()
    assert late.query("SELECT count(*) FROM n") == [["2"]]


def test_the_control_link_is_cut(broken):
    """Its backend killed: it reconnects, and clients do not notice."""
    gate, cluster = broken
    client = gate.login("old")
    for _ in range(3):
        killed = cluster.value("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE 'headgate%'")
        assert killed >= 1
        for _ in range(20):
            assert client.query("SELECT 1") == [["1"]]
        until(lambda: cluster.value("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'headgate%'") >= 1, "the link again")
    gate.login("old").close()


def test_the_control_link_cannot_come_back(own_cluster):
    """Without a reading the gate holds once the lease has run out, and opens with the first reading."""
    own_cluster.database("app")
    own_cluster.sql("CREATE ROLE keeper LOGIN SUPERUSER")
    own_cluster.sql("ALTER SYSTEM SET log_connections = off")
    with open(f"{own_cluster.data}/pg_hba.conf", "r+") as f:
        text = f.read()
        f.seek(0)
        f.write("local all keeper trust\n" + text)
    own_cluster.sql("SELECT pg_reload_conf()")
    with Headgate({"app": section(own_cluster, "app", lease="1s", control={"dsn": own_cluster.dsn("app", "keeper")})}) as gate:
        gate.until_recorded("old")
        client = gate.login("old")
        own_cluster.sql("ALTER ROLE keeper NOLOGIN")
        own_cluster.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'keeper'")
        until(lambda: gate.gate()["gate"] != "open", lambda: f"the lease run out: {gate.gate()}")
        client.send(wire.query("SELECT 'after'"))
        assert client.nothing(0.3)
        own_cluster.sql("ALTER ROLE keeper LOGIN")
        assert client.answer() == [["after"]]


def test_the_proxy_crashes(broken):
    """SIGKILL: its clients and their backends are gone, PostgreSQL has nobody left, and a new proxy takes its place."""
    gate, cluster = broken
    client = gate.login("old")
    client.query("BEGIN")
    gate.kill()
    with pytest.raises(Closed):
        client.query("SELECT 1")
    until(lambda: cluster.backends("app") == 0, "no backend left")
    gate.start()
    gate.login("old").close()


STARTS = {
    "closes at once": lambda peer, number: None,
    "closes after the startup": lambda peer, number: peer.packet(),
    "resets after the startup": lambda peer, number: (peer.packet(), peer.reset()),
    "an error": lambda peer, number: (peer.packet(), peer.send(error("57P03", "the database system is starting up"))),
    "junk": lambda peer, number: (peer.packet(), peer.send(b"\0\1\2\3\4\5\6\7" * 40), peer.gone()),
    "http": lambda peer, number: (peer.packet(), peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n"), peer.gone()),
    "length 0": lambda peer, number: (peer.packet(), peer.send(b"R\0\0\0\0"), peer.gone()),
    "length 2 GiB": lambda peer, number: (peer.packet(), peer.send(b"R\x7f\xff\xff\xff"), peer.gone()),
    "half a welcome": lambda peer, number: (peer.packet(), peer.send(AUTH_OK, KEY[:7])),
    "an unknown message": lambda peer, number: (peer.packet(), peer.send(AUTH_OK, wire.message("?", b"x"), READY), peer.gone()),
    "a key of 300 bytes": lambda peer, number: (peer.packet(), peer.send(AUTH_OK, wire.message("K", b"\0" * 304), READY), peer.gone()),
}


@pytest.mark.parametrize("name", STARTS)
def test_a_server_that_misbehaves_in_login(name):
    with Stub(STARTS[name]) as server, Headgate(observed(server), {"limits": {"login": "2s", "connect": "1s"}}) as gate:
        with gate.no_leak():
            for _ in range(5):
                with gate.wire() as client:
                    client.send(wire.startup(user="u_trust", database="app"))
                    seen = []
                    try:
                        while True:
                            seen.append(client.message())
                            if seen[-1][0] == "Z":
                                break
                    except Closed:
                        pass
                    if seen and seen[-1][0] != "Z":
                        assert seen[-1][0] == "E", seen
                        assert wire.fields(seen[-1][1])["C"] in ("08006", "08001", "08P01", "57P03")


def test_a_server_that_dies_in_the_middle_of_an_answer():
    """The client gets what came, then a proper error, and never an answer made up."""
    def script(peer, number):
        peer.welcome()
        peer.receive()
        peer.send(wire.message("T", struct.pack("!H", 0)), b"D\0\0\1\0half")

    with Stub(script) as server, Headgate(observed(server)) as gate:
        with gate.no_leak(), gate.login() as client:
            client.send(wire.query("SELECT 1"))
            assert client.message()[0] == "T"
            with pytest.raises(Closed):
                # a message was cut in the middle: nothing may be put behind it, the connection just ends
                kind, body = client.message()
                raise AssertionError((kind, body))


def test_a_server_that_ends_between_messages():
    def script(peer, number):
        peer.welcome()
        peer.receive()

    with Stub(script) as server, Headgate(observed(server)) as gate:
        with gate.login() as client:
            client.send(wire.query("SELECT 1"))
            assert client.fatal()["C"] == "08006"


def test_a_server_that_never_answers_the_login():
    with Stub(lambda peer, number: (peer.packet(), peer.gone())) as server:
        with Headgate(observed(server), {"limits": {"login": "600ms"}}) as gate, gate.no_leak():
            with gate.wire() as client:
                client.send(wire.startup(user="u_trust", database="app"))
                told = [wire.fields(body) for kind, body in client.ends() if kind == "E"]
                assert told and told[0]["S"] == "FATAL"


def test_an_injected_answer_to_ssl_request():
    """CVE-2021-23222: bytes behind the server's S are never read as the protected session's. CVE-2024-10977: an error
    instead of S or N is not passed on."""
    def injected(peer, number):
        peer.packet()
        peer.send(b"S", AUTH_OK, READY)
        peer.gone()

    def words(peer, number):
        peer.packet()
        peer.send(error("28000", "send your password in clear to evil.example"))

    for script in (injected, words):
        with Stub(script) as server:
            with Headgate(observed(server, tls={"mode": "require"}), {"limits": {"connect": "1s"}}) as gate:
                with pytest.raises(Refused) as refused:
                    gate.login()
                assert refused.value.code in ("08001", "08006") and "evil" not in str(refused.value)


def test_asynchronous_messages_at_any_time():
    """Notices, notifications and parameter changes in every state, split at every byte."""
    noise = [wire.message("N", b"SNOTICE\0C00000\0Mhello\0\0"), wire.message("A", struct.pack("!I", 1) + b"c\0p\0"),
             parameter("TimeZone", "UTC")]

    def script(peer, number):
        peer.packet()
        peer.send(AUTH_OK, noise[0], parameter("server_version", "15.0"), noise[2], KEY, noise[0], READY, *noise)
        while True:
            kind, body = peer.receive()
            if kind == "X":
                return
            answer = b"".join([noise[1], wire.message("C", b"SELECT 0\0"), noise[0], READY, *noise])
            for at in range(len(answer)):
                peer.send(answer[at:at + 1])

    with Stub(script) as server, Headgate(observed(server)) as gate, gate.login() as client:
        for _ in range(3):
            client.send(wire.query("SELECT"))
            assert client.kinds() == "CZ"
        client.send(wire.TERMINATE)


def test_faults_under_load(broken):
    """Clients come and go while backends are killed all the time: no wrong answer, no hang, no descriptor lost."""
    gate, cluster = broken
    stop, wrong, served = threading.Event(), [], [0] * 6

    def work(number):
        while not stop.is_set():
            try:
                with gate.login("old", timeout=15) as client:
                    for k in range(20):
                        value = number * 1000 + k
                        answer = client.query(f"SELECT {value}")
                        if answer != [[str(value)]]:
                            wrong.append((value, answer))
                        served[number] += 1
            except (Refused, Closed) as problem:
                if isinstance(problem, Refused) and problem.code not in ("57P01", "08006", "08001", "57P03"):
                    wrong.append(problem)
            except OSError as problem:
                wrong.append(problem)

    with gate.no_leak():
        threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(30):
                seen = sum(served)
                until(lambda: sum(served) > seen + 20 or wrong, "work going on")
                cluster.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'u_trust' ORDER BY random() LIMIT 2")
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    assert not wrong, wrong[:3]
