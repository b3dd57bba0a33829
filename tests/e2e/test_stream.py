"""Streams from the server (COPY out, long results), which are taken in larger pieces; and a COPY that fails while a hold begins."""

import hashlib
import threading

import pytest

from harness import wire
from harness.certs import certs
from harness.headgate import Headgate, section
from harness.stub import READY, Stub
from harness.wait import until
from harness.wire import Refused

OLD = "-c headgate.head=old"
ROW = wire.message("D", b"\0\1\0\0\x03\xe8" + b"x" * 1000)      # one column of 1,000 bytes


def observed(server):
    return {"app": {"upstream": {"address": f"127.0.0.1:{server.port}", "tls": {"mode": "disable"}},
                    "control": {"dsn": "host=127.0.0.1 port=1"}, "recorded": {"reader": "alembic"}, "mode": "observe"}}


@pytest.fixture(scope="module")
def gate(cluster):
    cluster.database("stream")
    running = Headgate({"app": section(cluster, "stream", hold={"notice_after": "1h", "max": "1h"})}, start=False)
    running.config["listen"][0]["tls"] = {"cert": certs().server, "key": certs().server_key}
    running.write()
    with running.start():
        running.until_recorded("old")
        yield running


def login(gate, tls=False):
    client = gate.wire(30)
    if tls:
        client.tls()
    return client.login("u_trust", "app", options=OLD)


def rows(client, count):
    for _ in range(count):
        kind, body = client.message()
        assert kind == "D" and body == ROW[5:]


def test_every_piece_of_a_stream_arrives():
    """What comes alone behind megabytes arrives alone, though the server says nothing after it; so does the next answer."""
    go = threading.Semaphore(0)

    def script(peer, number):
        peer.welcome()
        for _ in range(2):
            peer.receive()
            peer.send(ROW * 3000)
            for _ in range(20):
                go.acquire()
                peer.send(ROW)
            go.acquire()
            peer.send(ROW * 3000, wire.message("C", b"SELECT 6020\0"), READY)
        peer.receive()
        peer.send(wire.message("C", b"SELECT 0\0"), READY)
        peer.gone()

    with Stub(script) as server, Headgate(observed(server)) as gate, gate.wire(30) as client:
        client.login("u", "app")
        for _ in range(2):
            client.send(wire.query("SELECT"))
            rows(client, 3000)
            for _ in range(20):
                go.release()
                rows(client, 1)
            go.release()
            rows(client, 3000)
            assert client.kinds() == "CZ"
        client.send(wire.query("SELECT"))
        assert client.kinds() == "CZ"


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_stream_that_breaks(how):
    """All that came before a close is passed on, and then what happened is said; a reset in the middle of a message leaves no place for words."""
    def script(peer, number):
        peer.welcome()
        peer.receive()
        peer.send(ROW * 3000)
        if how == "reset":
            peer.reset()
        else:
            peer.socket.close()

    with Stub(script) as server, Headgate(observed(server)) as gate, gate.wire(30) as client:
        client.login("u", "app")
        client.send(wire.query("SELECT"))
        if how == "close":
            rows(client, 3000)
        seen = client.ends()
        assert {kind for kind, _ in seen} <= {"D", "E"}
        if how == "close" or (seen and seen[-1][0] == "E"):
            assert wire.fields(seen[-1][1])["C"] == "08006"


@pytest.mark.parametrize("tls", [False, True])
def test_streams_are_whole(gate, tls):
    """Several at a time, one read slowly, one cut off in the middle, one cancelled; and the sessions go on."""
    def digest(client):
        client.send(wire.query("COPY (SELECT i, repeat(md5(i::text), 8) FROM generate_series(1, 20000) i) TO STDOUT"))
        found = hashlib.sha256()
        kind, body = client.message()
        while kind in "HdcC":
            if kind == "d":
                found.update(body)
            kind, body = client.message()
        assert kind == "Z"
        return found.hexdigest()

    expected = hashlib.sha256()
    for i in range(1, 20001):
        expected.update(f"{i}\t{hashlib.md5(str(i).encode()).hexdigest() * 8}\n".encode())

    with login(gate, tls) as one, login(gate, tls) as two, login(gate, tls) as three:
        three.send(wire.query("SELECT repeat('x', 1000), generate_series(1, 100000000)"))
        assert three.message()[0] == "T"
        leaver = login(gate, tls)
        leaver.send(wire.query("SELECT repeat('x', 1000), generate_series(1, 100000000)"))
        for _ in range(2000):
            leaver.message()
        leaver.close()
        assert digest(one) == digest(two) == expected.hexdigest()
        for _ in range(5000):
            three.message()
        three.cancel()
        with pytest.raises(Refused) as refused:
            three.answer()
        assert refused.value.code == "57014"
        for client in one, two, three:
            assert client.query("SELECT 1") == [["1"]]
    until(lambda: not gate.clients(), "everybody gone")


def unsure(server_says, then):
    """A COPY failed, and the server's ReadyForQuery is under way: it may answer the Sync behind the Execute, or the server may be discarding."""
    arrived, go = [], threading.Event()

    def script(peer, number):
        peer.welcome()
        while peer.receive()[0] != "S":
            pass
        peer.send(wire.message("1"), wire.message("2"), wire.message("G", b"\0\0\0"))
        until(go.is_set, "the hold")
        peer.send(server_says)
        try:
            while True:
                kind, _ = peer.receive()
                arrived.append(kind)
                then(peer, kind)
        except (ConnectionError, OSError):
            pass

    return Stub(script), arrived, go


def copy_in(client):
    client.send(wire.parse("COPY t FROM STDIN"), wire.bind(), wire.execute(), wire.SYNC)
    assert [client.message()[0] for _ in range(3)] == ["1", "2", "G"]


FAILED = wire.message("E", b"SERROR\0VERROR\0C22P04\0Mno\0\0")


def test_what_follows_a_failed_copy_is_held(cluster):
    """The next batch behind a COPY's error may be the next transaction: under a hold it waits for the server's word."""
    cluster.database("unsure")

    def then(peer, kind):
        if kind == "S":
            peer.send(READY)

    server, arrived, go = unsure(FAILED, then)
    with server, Headgate({"app": section(cluster, "unsure", upstream={"address": f"127.0.0.1:{server.port}", "tls": {"mode": "disable"}},
                                          hold={"notice_after": "1h", "max": "1h"})}) as gate:
        gate.until_recorded("old")
        with gate.wire(30).login("u_trust", "app", options=OLD) as client, gate.console_wire() as console:
            copy_in(client)
            console.send(wire.query("HOLD app DRAIN TIMEOUT 30s"))
            until(lambda: gate.gate()["gate"] == "draining", "draining")
            go.set()
            assert client.message()[0] == "E"
            before = int(gate.clients()[0]["bytes_in"])
            client.send(wire.parse("INSERT"), wire.bind(), wire.execute(), wire.SYNC)
            until(lambda: int(gate.clients()[0]["bytes_in"]) > before, "the batch at the proxy")
            assert arrived == [] and gate.clients()[0]["state"] == "busy"
            server.peers[0].send(READY)
            console.answer()
            until(lambda: gate.clients()[0]["state"] == "waiting", "parked with what it sent")
            assert client.message()[0] == "Z" and arrived == []
            gate.console("RELEASE app", console)
            assert client.message()[0] == "Z"
            assert arrived == ["P", "B", "E", "S"]
