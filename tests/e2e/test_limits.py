"""Limits and time-outs: each closes with its own words, and the next client is served."""

import time

import pytest

from harness import wire
from harness.wait import until
from harness.wire import Refused


def refused_with(code, make):
    with pytest.raises(Refused) as refused:
        make()
    assert refused.value.code == code, refused.value
    return refused.value.fields


def test_clients_in_all(gated):
    gate = gated(config={"limits": {"clients": 3}})
    clients = [gate.login("old") for _ in range(3)]
    refused_with("53300", lambda: gate.login("old"))
    clients[0].close()
    until(lambda: len(gate.clients()) == 2, "one gone")
    gate.login("old").close()


def test_per_database_and_per_user(cluster, dbname, gated):
    from harness.headgate import section

    gate = gated(config={"limits": {"per_database": 2, "per_user": 3}, "databases": {"other": section(cluster, dbname)}})
    first, second = gate.login("old"), gate.login("old")
    refused_with("53300", lambda: gate.login("old"))
    third = gate.login("old", database="other")
    refused_with("53300", lambda: gate.login("old", database="other"))
    gate.login("old", database="other", user="postgres").close()
    for client in (first, second, third):
        client.close()
    until(lambda: not gate.clients() and not gate.clients("other"), "all gone")
    gate.login("old").close()


def test_silence_ends_by_the_login_limit(gated):
    gate = gated(config={"limits": {"login": "400ms"}})
    with gate.no_leak():
        began = time.monotonic()
        with gate.wire() as client:
            client.ends()
        assert 0.2 < time.monotonic() - began < 10
        with gate.wire() as client:
            client.send(wire.startup(user="u_trust", database="app")[:9])
            client.ends()
        # authentication begun and never finished
        with gate.wire() as client:
            client.send(wire.startup(user="u_scram", database="app", options="-c headgate.head=old"))
            client.ends()
    gate.login("old").close()


def test_held_time_does_not_count_as_login(gated):
    gate = gated(config={"limits": {"login": "500ms"}})
    gate.until_recorded("old")
    with gate.console_wire() as console:
        gate.console("HOLD app", console)
        client = gate.begin_login("old")
        assert client.nothing(1.2)
        gate.console("RELEASE app", console)
    client.finish_login()
    assert client.query("SELECT 1") == [["1"]]


def test_tls_handshake_limit(gated):
    from harness.certs import certs

    gate = gated(config={"limits": {"tls_handshake": "400ms"}})
    gate.config["listen"][0]["tls"] = {"cert": certs().server, "key": certs().server_key}
    gate.write()
    gate.reload()
    with gate.no_leak(), gate.wire() as client:
        client.send(wire.SSL_REQUEST)
        assert client.bytes(1) == b"S"
        client.ends()


def test_connect_limit(gated):
    """A server that accepts and never answers: the kernel's backlog is not a login."""
    import socket

    from harness import place

    # a listener whose backlog is full: connecting to it hangs
    port = place.port()
    full = socket.create_server(("127.0.0.1", port), backlog=0)
    stuck = []
    for _ in range(4):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(("127.0.0.1", port))
        stuck.append(s)
    gate = gated(config={"limits": {"connect": "400ms"}}, upstream={"address": f"127.0.0.1:{port}"})
    began = time.monotonic()
    fields = refused_with("08001", lambda: gate.login("old"))
    assert time.monotonic() - began < 10 and str(port) in str(fields)
    full.close()


def test_idle_in_transaction(gated):
    gate = gated(config={"limits": {"idle_in_transaction": "400ms"}})
    client = gate.login("old")
    client.query("SELECT pg_sleep(0.8)")
    assert client.query("SELECT 1") == [["1"]]
    client.query("BEGIN")
    assert client.fatal()["C"] == "25P03"


def test_idle_without_transaction_has_no_limit(gated):
    gate = gated(config={"limits": {"idle_in_transaction": "300ms", "login": "300ms"}})
    client = gate.login("old")
    assert client.nothing(1.0)
    assert client.query("SELECT 1") == [["1"]]


def test_keepalive_is_set_on_both_legs(gated):
    """ss shows the timer; the kernel does the rest."""
    import subprocess

    gate = gated(config={"tcp": {"keepalive_idle": "77s", "user_timeout": "30s"}})
    with gate.login("old"):
        try:
            text = subprocess.run(["ss", "-tnop"], stdout=subprocess.PIPE, text=True, check=True).stdout
        except (FileNotFoundError, subprocess.CalledProcessError):
            pytest.skip("no ss (iproute2) here")
        lines = [line for line in text.splitlines() if f"pid={gate.process.pid}," in line and "keepalive" in line]
        assert len(lines) >= 2, text
