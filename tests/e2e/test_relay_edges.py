"""The data path at its edges: random programs run directly and through the proxy, and one scenario for every fault that a review of the
client wing found."""

import os
import random
import socket
import ssl
import struct
import threading
import time

import pytest

from harness import wire
from harness.certs import certs
from harness.headgate import QUIET, Headgate, section
from harness.programs import Holder, Program, compare, many
from harness.stub import AUTH_OK, KEY, READY, Stub, error, parameter
from harness.wait import stays, until
from harness.wire import Closed, Refused

PROGRAMS = int(os.environ.get("HEADGATE_E2E_PROGRAMS", "10"))
SEED = int(os.environ.get("HEADGATE_E2E_SEED", "1"))
OLD = "-c headgate.head=old"


def front(cluster, dbname, config=None, **more):
    """A proxy that takes TLS, not yet started."""
    running = Headgate({"app": section(cluster, dbname, **more)}, config, start=False)
    running.config["listen"][0]["tls"] = {"cert": certs().server, "key": certs().server_key}
    running.write()
    return running


def observed(server, **more):
    """In front of a stub: nothing to read, so never a lease, and everybody is admitted."""
    return {"app": {"upstream": dict({"address": f"127.0.0.1:{server.port}", "tls": {"mode": "disable"}}, **more),
                    "control": {"dsn": "host=127.0.0.1 port=1"}, "recorded": {"reader": "alembic"}, "mode": "observe"}}


@pytest.fixture(scope="module")
def gate(cluster):
    cluster.database("edges")
    with front(cluster, "edges", {"log": {"level": QUIET}}, hold={"notice_after": "1h", "max": "1h"}).start() as running:
        running.until_recorded("old")
        yield running


def login(gate, tls=False):
    client = gate.wire(30)
    if tls:
        client.tls()
    return client.login("u_trust", "app", options=OLD)


def settled(gate):
    """Nobody is left, and a hold finds nobody busy: the counts are right."""
    until(lambda: not gate.clients(), lambda: f"everybody gone: {gate.clients()}")
    with gate.console_wire() as console:
        gate.console("HOLD app DRAIN TIMEOUT 2s ON TIMEOUT ABORT", console)
        gate.console("RELEASE app", console)
    until(lambda: gate.gate()["gate"] == "open", "the gate open")


def waiting(gate):
    until(lambda: any(row["state"] == "waiting" for row in gate.clients()), "a waiting client")


def quiet(client, seconds=0.1):
    """Nothing arrives for a while; TLS has no look without taking."""
    patience = client.socket.gettimeout()
    client.timeout(seconds)
    try:
        if not client.buffer:
            client.buffer += client.socket.recv(1)
        return not client.buffer
    except socket.timeout:
        return True
    finally:
        client.timeout(patience)


# --- random programs


@pytest.mark.parametrize("end", ["terminate", "half close", "terminate at once"])
def test_random_programs(cluster, gate, end):
    with gate.no_leak():
        many(range(SEED * 1000, SEED * 1000 + PROGRAMS), lambda seed: compare(cluster, gate, "edges", seed, end=end))
        settled(gate)


def test_random_programs_through_tls(cluster, gate):
    with gate.no_leak():
        many(range(SEED * 2000, SEED * 2000 + PROGRAMS), lambda seed: compare(cluster, gate, "edges", seed, tls=True))
        settled(gate)


@pytest.mark.parametrize("tls", [False, True])
def test_random_programs_while_held_and_released(cluster, gate, tls):
    with gate.no_leak():
        with Holder(gate, SEED) as holder:
            many(range(SEED * 3000, SEED * 3000 + PROGRAMS), lambda seed: compare(cluster, gate, "edges", seed, tls=tls))
        assert holder.held > 0
        settled(gate)


# --- clients that go


@pytest.mark.parametrize("state", ["held", "waiting"])
def test_a_reset_of_a_held_client_is_noticed(gate, state):
    """libevent tells of a reset as readable and writable: a watch for a hang-up alone missed it, and spun."""
    with gate.console_wire() as console:
        if state == "waiting":
            client = login(gate)
        gate.console("HOLD app", console)
        if state == "held":
            client = gate.begin_login("old")
        else:
            client.send(wire.query("SELECT 1"))
        until(lambda: any(row["state"] == state for row in gate.clients()), state)
        client.reset()
        until(lambda: not gate.clients(), lambda: f"it gone: {gate.clients()}", 5)
        gate.console("RELEASE app", console)


def test_a_reset_under_the_cancels_answer(gate):
    """The 57014 goes to a client that has just left."""
    for _ in range(10):
        client = login(gate)
        with gate.console_wire() as console, gate.wire() as other:
            gate.console("HOLD app", console)
            client.send(wire.query("SELECT 1"))
            waiting(gate)
            other.send(client.cancel_packet())
            client.reset()
            assert other.ends() == []
            gate.console("RELEASE app", console)
    settled(gate)


def test_a_gone_client_that_reads_nothing_and_then_resets(gate, cluster):
    """It has ended its session with a big answer under way. The server is read to its end, nothing stays behind."""
    client = login(gate)
    client.send(wire.query("SELECT repeat('x', 1000) FROM generate_series(1, 100000)"), wire.TERMINATE)
    until(lambda: any(row["state"] == "gone" for row in gate.clients()), "gone")
    stays(lambda: len(gate.clients()) == 1, "the answer is bigger than all buffers", 0.2)
    client.reset()
    until(lambda: not gate.clients() and cluster.backends("edges") == 0, lambda: f"{gate.clients()}")


# --- the login


def test_silence_is_ended(cluster, gate):
    with front(cluster, "edges", {"limits": {"login": "500ms"}}).start() as short:
        short.until_recorded("old")
        with short.wire(5) as silent:
            assert [kind for kind, _ in silent.ends()] in ([], ["E"])
        with short.wire(5) as client:
            client.send(wire.startup(user="u_scram", database="app", options=OLD))
            assert client.message()[0] == "R"
            assert client.fatal()["C"] == "08006"
        # time held does not count
        with short.console_wire() as console:
            short.console("HOLD app", console)
            held = short.begin_login("old")
            stays(lambda: len(short.clients()) == 1, "held for longer than limits.login", 0.8)
            short.console("RELEASE app", console)
        held.finish_login()


@pytest.mark.parametrize("who", ["client", "server"])
def test_a_flood_in_the_login_is_not_kept(who):
    """Passwords to a server that does not read; notices to a client that does not read."""
    stop = threading.Event()
    flood = {"client": wire.message("p", b"x" * 60000) * 10,
             "server": wire.message("N", b"SNOTICE\0C00000\0M" + b"x" * 60000 + b"\0\0") * 10}[who]

    def pour(send):
        sent, end = 0, time.monotonic() + 3
        try:
            while sent < 200 << 20 and time.monotonic() < end and not stop.is_set():
                send(flood)
                sent += len(flood)
        except OSError:
            pass
        return sent

    def script(peer, number):
        peer.packet()
        peer.send(wire.message("R", struct.pack("!I", 3)))
        peer.socket.settimeout(1)
        if who == "server":
            pour(peer.send)
        stop.wait(20)

    with Stub(script) as server, Headgate(observed(server)) as gate:
        before = gate.rss_kib()
        with gate.wire(1) as client:
            client.send(wire.startup(user="u", database="app"))
            client.message()
            if who == "client":
                pour(client.send)
            else:
                stays(lambda: gate.rss_kib() - before < 40000, "little memory", 2)
            assert gate.rss_kib() - before < 40000
        stop.set()


@pytest.mark.parametrize("body", [b"", b"SCRAM-SHA-256\0", b"SCRAM-SHA-256", b"SCRAM-SHA-256-PLUS\0", b"SCRAM-SHA-256-PLUS",
                                  b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0", b"SCRAM-SHA-256\0SCRAM-SHA-256-PLUS\0\0", b"\0\0\0"])
def test_odd_offers_of_mechanisms(body):
    """Split at every byte, both ways; only -PLUS is ever taken out."""
    offer = wire.message("R", struct.pack("!I", 10) + body)

    def script(peer, number):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certs().server, certs().server_key)
        peer.packet()
        peer.send(b"S")
        peer.socket = context.wrap_socket(peer.socket, server_side=True)
        peer.packet()
        for at in range(len(offer)):
            peer.send(offer[at:at + 1])
        peer.receive()
        peer.send(AUTH_OK, KEY, READY)
        peer.gone()

    with Stub(script) as server, Headgate(observed(server, tls={"mode": "require"})) as gate, gate.wire() as client:
        client.send(wire.startup(user="u", database="app"))
        assert client.message() == ("R", struct.pack("!I", 10) + body.replace(b"SCRAM-SHA-256-PLUS\0", b""))
        first = wire.message("p", b"SCRAM-SHA-256\0" + struct.pack("!I", 5) + b"n,,n=")
        for at in range(len(first)):
            client.send(first[at:at + 1])
        client.finish_login()


def test_allow_sees_a_refusal_that_comes_in_pieces():
    def script(peer, number):
        packet = peer.packet()
        if packet[4:] != wire.SSL_REQUEST[4:]:
            text = error("28000", "no encryption")
            for at in range(len(text)):
                peer.send(text[at:at + 1])
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certs().server, certs().server_key)
        peer.send(b"S")
        peer.socket = context.wrap_socket(peer.socket, server_side=True)
        peer.welcome()
        peer.gone()

    with Stub(script) as server, Headgate(observed(server, tls={"mode": "allow"})) as gate:
        gate.login().close()


def test_a_server_that_ends_at_every_byte_of_the_login():
    full = AUTH_OK + parameter("server_version", "15.0") + wire.message("v", struct.pack("!II", wire.V30, 0)) + KEY + READY
    at = [0]

    def script(peer, number):
        peer.packet()
        peer.send(full[:at[0]])
        if at[0] % 2:
            peer.reset()

    with Stub(script) as server, Headgate(observed(server)) as gate, gate.no_leak():
        for at[0] in range(len(full) + 1):
            with gate.wire() as client:
                client.send(wire.startup(user="u", database="app"))
                client.ends()


def test_the_refusal_of_a_client_that_pushes_ahead(gate):
    """What it has sent already must not reset the connection before it has read why."""
    for _ in range(50):
        with gate.wire() as client:
            client.send(wire.startup(user="u_trust", database="app", options="-c headgate.head=nope"), wire.query("SELECT 1") * 200)
            assert client.fatal()["C"] == "55000"


# --- cancels


def test_a_key_of_200_bytes():
    """Protocol 3.2: it comes and goes as it is."""
    key = wire.message("K", struct.pack("!I", 4711) + bytes(range(200)))
    got = []

    def script(peer, number):
        packet = peer.packet()
        if packet[4:8] == struct.pack("!I", 80877102):
            got.append(packet)
            return
        peer.send(AUTH_OK, key, READY)
        peer.gone()

    with Stub(script) as server, Headgate(observed(server)) as gate, gate.wire() as client:
        client.login("u", "app", version=wire.V32)
        client.cancel()
        assert got == [client.cancel_packet()] and len(client.key) == 200


def batch(count):
    return b"".join([wire.parse("SELECT $1::text") + wire.bind(["x" * 3000]) + wire.describe() + wire.execute()] * count) + wire.SYNC


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("count", [1, 3, 60])
def test_a_big_parked_batch_is_cancelled(gate, tls, count):
    """The whole of it is dropped, also what TLS has decrypted already, and not a byte of the next."""
    with login(gate, tls) as client, gate.console_wire() as console:
        gate.console("HOLD app", console)
        sender = threading.Thread(target=client.send, args=(batch(count), wire.query("SELECT 'next'")))
        sender.start()
        waiting(gate)
        client.cancel()
        assert wire.fields(client.message()[1])["C"] == "57014"
        assert client.message()[0] == "Z"
        sender.join()
        assert quiet(client)
        gate.console("RELEASE app", console)
        assert client.answer() == [["next"]]


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("at", [1, 4, 5, 9, 30])
def test_a_cancelled_batch_in_pieces(gate, tls, at):
    """The error at once, ReadyForQuery when the batch is over; a release in the middle changes nothing."""
    data = batch(2)
    with login(gate, tls) as client, gate.console_wire() as console:
        gate.console("HOLD app", console)
        client.send(data[:at])
        waiting(gate)
        client.cancel()
        assert client.message()[0] == "E"
        client.send(data[at:5000])
        assert quiet(client)
        if at % 2:
            gate.console("RELEASE app", console)
        client.send(data[5000:])
        assert client.message()[0] == "Z"
        client.send(wire.query("SELECT 1"))
        if not at % 2:
            assert quiet(client)
            gate.console("RELEASE app", console)
        assert client.answer() == [["1"]]


def test_a_storm_of_cancels(gate):
    """Any key at any moment, wrong ones too, while the gate opens and closes: the right answer or 57014, never somebody else's."""
    stop, wrong, packets, counts = threading.Event(), [], {}, {"served": 0, "cancelled": 0}

    def work(number):
        try:
            client, k = login(gate, number % 2 == 1), 0
            packets[number] = client.cancel_packet()
            while not stop.is_set():
                k += 1
                try:
                    if k % 3:
                        assert client.query(f"SELECT {k}, pg_sleep(0.002)")[0][0] == str(k)
                    else:
                        client.send((wire.parse("SELECT $1::int") + wire.bind([k]) + wire.execute() + wire.SYNC) * 3)
                        for _ in range(3):
                            kinds = client.kinds()
                            assert kinds in ("12DCZ", "EZ", "1EZ", "12EZ", "12DEZ"), kinds
                    counts["served"] += 1
                except Refused as refused:
                    assert refused.code == "57014", refused
                    counts["cancelled"] += 1
            client.send(wire.TERMINATE)
            client.close()
        except Exception as problem:  # noqa: BLE001: the test's
            wrong.append(problem)

    def cancel(number):
        source = random.Random(number)
        while not stop.is_set():
            packet = packets.get(source.randrange(8))
            if packet is not None:
                with gate.wire() as other:
                    other.send(packet if source.random() < 0.8 else packet[:-1] + bytes([source.randrange(256)]))
                    if source.random() < 0.5:
                        other.ends()

    with gate.no_leak():
        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        threads += [threading.Thread(target=cancel, args=(n,)) for n in range(3)]
        for thread in threads:
            thread.start()
        try:
            with Holder(gate, SEED):
                until(lambda: wrong or (counts["cancelled"] > 100 and counts["served"] > 500), lambda: f"{counts}", 60)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert not wrong, wrong[0]
        settled(gate)


# --- the gate


def test_a_notification_in_two_parts_is_no_way_past_the_gate(cluster, gate):
    """The server is in the middle of one when its last transaction ends and a hold begins: the next statement waits all the same."""
    seen, go = [], threading.Event()

    def script(peer, number):
        peer.welcome()
        peer.receive()
        note = wire.message("A", struct.pack("!I", 1) + b"channel\0payload\0")
        peer.send(wire.message("C", b"SELECT 0\0"), READY, note[:20])
        go.wait(20)
        peer.send(note[20:])
        while True:
            seen.append(peer.receive()[0])
            peer.send(wire.message("C", b"SELECT 0\0"), READY)

    with Stub(script) as server, Headgate({"app": section(cluster, "edges", upstream={"address": f"127.0.0.1:{server.port}"})}) as own:
        own.until_recorded("old")
        client, console = own.login("old"), own.console_wire()
        client.send(wire.query("SELECT"))
        assert client.kinds() == "CZ"
        console.send(wire.query("HOLD app DRAIN TIMEOUT 20s"))
        until(lambda: own.gate()["gate"] in ("draining", "holding"), "the hold")
        client.send(wire.query("SELECT"))
        stays(lambda: not seen, "nothing reaches the server", 0.2)
        go.set()
        own.console_answer(console)
        stays(lambda: not seen, "nothing reaches the server", 0.2)
        own.console("RELEASE app", console)
        assert client.kinds() == "CZ" and seen == ["Q"]
        client.close()
        console.close()


def test_observing_without_a_lease():
    """Every transaction is asked for, and admitted, although no reading was ever made."""
    def script(peer, number):
        peer.welcome()
        while peer.receive()[0] != "X":
            peer.send(wire.message("C", b"SELECT 0\0"), READY)

    with Stub(script) as server, Headgate(observed(server)) as gate, gate.login() as client:
        client.send(wire.query("SELECT") * 50)
        for _ in range(50):
            assert client.kinds() == "CZ"


def test_the_ramp_holds_through_a_reload(cluster, gate):
    """A new view lets nobody pass the queue."""
    own = front(cluster, "edges", release={"ramp": 20}).start()
    with own:
        own.until_recorded("old")
        with own.console_wire() as console:
            own.console("HOLD app", console)
            clients = [own.begin_login("old") for _ in range(24)]
            until(lambda: len(own.clients()) == 24, "all of them held")
            began = time.monotonic()
            own.console("RELEASE app", console)
        own.configure(limits={"login": "59s"})
        own.reload()
        for client in clients:
            client.finish_login()
            client.close()
        assert time.monotonic() - began > 0.6


@pytest.mark.parametrize("how", ["TERM", "QUIT"])
def test_shutdown_in_every_state(cluster, gate, how):
    """Random programs, cancels and logins of any kind are under way."""
    import signal

    own = front(cluster, "edges", {"workers": 4, "shutdown": {"timeout": "1s"}}).start()
    own.until_recorded("old")
    stop, flights = threading.Event(), [0]

    def work(number):
        source = random.Random(number)
        while not stop.is_set():
            try:
                with own.wire(5) as client:
                    if source.random() < 0.3:
                        client.tls()
                    client.login("u_trust", "app", options="-c headgate.head=" + source.choice(["old", "old", "old", "new"]))
                    for flight in Program(source.randrange(10**6)).flights:
                        if source.random() < 0.1:
                            with own.wire(5) as other:
                                other.send(client.cancel_packet())
                        client.send(flight)
                        flights[0] += 1
                        if source.random() < 0.5:
                            quiet(client, source.random() / 30)
            except (Closed, Refused, OSError, AssertionError):
                stop.wait(0.01)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    try:
        until(lambda: flights[0] > 100, "everybody at work")
        own.console("HOLD app DETACHED")
        own.stop(getattr(signal, "SIG" + how))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        own.kill()
    until(lambda: cluster.backends("edges") == 0, "no backend left")
