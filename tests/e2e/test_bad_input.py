"""Bad input before and after the login: each closes with its reason, costs bounded memory and no descriptor, and the next client is
served at once."""

import random
import socket
import struct
import time

import pytest

from harness import wire
from harness.certs import certs
from harness.headgate import Headgate, section
from harness.wait import until
from harness.wire import Closed, Refused


@pytest.fixture(scope="module")
def gate(cluster):
    cluster.database("bad")
    running = Headgate({"app": section(cluster, "bad")}, {"limits": {"login": "2s", "tls_handshake": "1s"}}, start=False)
    running.config["listen"][0]["tls"] = {"cert": certs().server, "key": certs().server_key}
    running.write()
    with running.start() as gate:
        gate.until_recorded("old")
        yield gate


@pytest.fixture(autouse=True)
def harmless(gate):
    """After each of them: no descriptor lost, little memory, and the next client is served at once."""
    memory = gate.rss_kib()
    with gate.no_leak():
        yield
    assert gate.rss_kib() - memory < 16 * 1024
    began = time.monotonic()
    with gate.login("old") as client:
        assert client.query("SELECT 1") == [["1"]]
    assert time.monotonic() - began < 2
    until(lambda: not gate.clients(), lambda: f"everybody gone: {gate.clients()}")


GOOD = wire.startup(user="u_trust", database="app", options="-c headgate.head=old")


def packet(code, body=b"", size=None):
    return struct.pack("!II", 8 + len(body) if size is None else size, code) + body


BAD = {
    "length 0": struct.pack("!I", 0) + b"\0\3\0\0",
    "length 4": struct.pack("!I", 4),
    "length 7": struct.pack("!I", 7) + b"\0\3\0\0",
    "length -1": struct.pack("!i", -1) + b"\0\3\0\0",
    "length 2 GiB": struct.pack("!I", 0x7FFFFFFF) + b"\0\3\0\0",
    "length 10001": packet(wire.V30, b"user\0x\0" + b"a" * 9986 + b"\0", 10001 + 8),
    "protocol 2": packet(2 << 16, b"user\0x\0\0"),
    "protocol 4": packet(4 << 16, b"user\0u_trust\0\0"),
    "no terminator": packet(wire.V30, b"user\0u_trust\0database\0app\0"),
    "string past the end": packet(wire.V30, b"user\0u_trust"),
    "name without value": packet(wire.V30, b"user\0u_trust\0database\0\0"),
    "bytes behind the terminator": packet(wire.V30, b"user\0u_trust\0\0junk\0"),
    "no user": packet(wire.V30, b"database\0app\0\0"),
    "empty": packet(wire.V30, b"\0"),
    "10000 parameters": packet(wire.V30, b"user\0u_trust\0" + b"a\0\0" * 3300 + b"\0"),
    "http": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "ssh": b"SSH-2.0-OpenSSH_9.2p1\r\n",
    "zeros": b"\0" * 64,
    "ones": b"\xff" * 64,
    "cancel too short": packet(80877102, b"\0\0\0\1"),
    "cancel too long": packet(80877102, b"\0" * 4 + b"k" * 300),
    "ssl request with a body": packet(80877103, b"hello"),
    "unknown request": packet(80877199),
    "password before startup": wire.message("p", b"secret\0"),
    "query before startup": wire.query("SELECT 1"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_first_packet(gate, name):
    with gate.wire() as client:
        try:
            client.send(BAD[name])
            told = client.ends()
        except Closed:
            told = []
        for kind, body in told:
            assert kind == "E", told
            assert wire.fields(body)["S"] == "FATAL"


def test_random_junk(gate):
    """Repeatable: the seed is the test's."""
    source = random.Random(20240607)
    for _ in range(150):
        with gate.wire() as client:
            try:
                client.send(source.randbytes(source.randrange(1, 400)))
                client.socket.shutdown(socket.SHUT_WR)
                client.ends()
            except (Closed, OSError):
                pass


def test_mutated_startup(gate):
    source = random.Random(4711)
    for _ in range(300):
        data = bytearray(GOOD)
        for _ in range(source.randrange(1, 4)):
            data[source.randrange(len(data))] = source.randrange(256)
        with gate.wire() as client:
            try:
                client.send(bytes(data))
                client.socket.shutdown(socket.SHUT_WR)
                client.ends()
            except (Closed, OSError, struct.error):
                pass


def test_reset_at_every_byte_of_startup(gate):
    for at in range(len(GOOD) + 1):
        client = gate.wire()
        client.send(GOOD[:at])
        client.reset()


def test_reset_at_every_byte_of_a_session(gate):
    talk = wire.query("SELECT 1") + wire.parse("SELECT 1") + wire.bind() + wire.execute() + wire.SYNC + wire.TERMINATE
    for at in range(len(talk) + 1):
        client = gate.login("old")
        client.send(talk[:at])
        client.reset() if at % 2 else client.close()
    until(lambda: not gate.clients(), "all sessions gone")


def test_end_at_every_byte_of_a_tls_handshake(gate):
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    machine = context.wrap_bio(incoming, outgoing)
    with pytest.raises(ssl.SSLWantReadError):
        machine.do_handshake()
    hello = outgoing.read()
    for at in list(range(0, len(hello), 17)) + [len(hello)]:
        client = gate.wire()
        client.send(wire.SSL_REQUEST)
        assert client.bytes(1) == b"S"
        client.send(hello[:at])
        client.reset() if at % 2 else client.close()


def test_plaintext_behind_ssl_request(gate):
    """CVE-2021-23214: what came in plain text with the SSLRequest is never taken for the protected session's."""
    with gate.wire() as client:
        client.send(wire.SSL_REQUEST + GOOD)
        data = b""
        try:
            while not data.endswith(b"Z\0\0\0\5I"):
                data += client.bytes(1)
        except Closed:
            pass
        assert b"Z\0\0\0\5" not in data
    until(lambda: not gate.clients(), "no session of it")


def test_junk_after_ssl_answer(gate):
    with gate.wire() as client:
        client.send(wire.SSL_REQUEST)
        assert client.bytes(1) == b"S"
        client.send(b"this is no TLS record" * 20)
        try:
            assert not [k for k, _ in client.ends() if k != "E"]
        except Closed:
            pass


def test_requests_repeated(gate):
    """Each request at most once; SSLRequest inside TLS is none."""
    with gate.wire() as client:
        client.send(wire.GSS_REQUEST)
        assert client.bytes(1) == b"N"
        client.send(wire.GSS_REQUEST)
        assert all(kind == "E" for kind, _ in client.ends())
    with gate.wire() as client:
        client.tls()
        client.send(wire.SSL_REQUEST)
        client.buffer = b""
        try:
            assert client.socket.recv(1) != b"S"
        except (Closed, OSError):
            pass


def test_gss_then_ssl_then_startup(gate):
    with gate.wire() as client:
        client.send(wire.GSS_REQUEST)
        assert client.bytes(1) == b"N"
        client.tls().login("u_trust", "app", options="-c headgate.head=old")
        assert client.query("SELECT 1") == [["1"]]


def test_second_startup_message(gate):
    with gate.login("old") as client:
        client.send(GOOD)
        assert client.ends() is not None


def test_slow_client(gate):
    """One byte at a time is served as long as it is within limits.login, and ended after it."""
    with gate.wire() as client:
        for byte in GOOD:
            client.send(bytes([byte]))
        client.finish_login()
    with gate.wire() as client:
        began = time.monotonic()
        try:
            for byte in GOOD[:-1]:
                client.send(bytes([byte]))
                time.sleep(0.06)
            client.ends()
        except Closed:
            pass
        assert time.monotonic() - began < 15


@pytest.mark.parametrize("kind,size", [("Q", 3), ("Q", 0), ("Q", 0x7FFFFFFF), ("Q", 0xFFFFFFFF), ("~", 8), ("\0", 4)])
def test_bad_message_in_a_session(gate, kind, size):
    with gate.login("old") as client:
        try:
            client.send(kind.encode() + struct.pack("!I", size) + b"\0" * 32)
            client.socket.shutdown(socket.SHUT_WR)
            client.ends()
        except (Closed, OSError):
            pass


def test_a_thousand_silent_connections(gate):
    """They cost a struct each, leave by the login limit, and nobody else waits for them."""
    silent = [socket.create_connection(gate.address) for _ in range(500)]
    with gate.login("old") as client:
        assert client.query("SELECT 1") == [["1"]]
    for s in silent:
        s.close()


def test_cancel_flood_with_wrong_keys(gate):
    with gate.login("old") as client:
        client.send(wire.query("SELECT pg_sleep(0.5)"))
        for number in range(100):
            with gate.wire() as other:
                other.send(struct.pack("!IIII", 16, 80877102, client.pid, number))
                assert other.ends() == []
        assert client.answer() == [[""]]


def test_options_that_try_the_tokenizer(gate):
    for options in ("-c", "-c ", "--", "-c =", "--=", "-c headgate.head", "\\", "-c headgate.head=old\\", "-c\\ headgate.head=old",
                    " " * 9000, "-" * 9000, "-c " * 3000, "-c headgate.head=old" * 400):
        with gate.wire() as client:
            try:
                client.login("u_trust", "app", options=options)
            except (Refused, Closed):
                pass


def test_log_lines_cannot_be_forged(gate):
    size = gate.log_size()
    with pytest.raises(Refused):
        gate.login("old", user="x\n2026-01-01T00:00:00Z error forged: line\x1b[31m", application_name="y\nforged")
    text = gate.log_from(size)
    assert not any(line.startswith(("forged", "2026-01-01T00:00:00Z error forged")) for line in text.splitlines())
    assert "\x1b" not in text
