"""A thousand live clients under load: a hold of two seconds costs them time, never an error, and all are answered at once after it."""

import os
import selectors
import time

import pytest

from harness import wire
from harness.cluster import Cluster
from harness.headgate import Headgate, section
from harness.wait import until

SLOW = os.environ.get("HEADGATE_FLAVOUR", "e2e") != "e2e"  # sanitizers cost a factor, and time is not their subject
CLIENTS = 200 if SLOW else 1000


@pytest.fixture(scope="module")
def server():
    with Cluster(settings="max_connections = 1100\n") as running:
        yield running.with_users()


class Load:
    """CLIENTS sessions, each sending its next query as soon as it has the last answer, from one thread."""

    ANSWER = None

    def __init__(self, gate):
        self.selector = selectors.DefaultSelector()
        self.clients = []
        for _ in range(CLIENTS):
            client = gate.login("old", timeout=60)
            client.socket.setblocking(False)
            client.number, client.pending, client.answered = 0, b"", 0.0
            self.clients.append(client)
            self.selector.register(client.socket, selectors.EVENT_READ, client)
        self.errors = []

    def send(self, client):
        client.number += 1
        client.socket.send(wire.query(f"SELECT {client.number}"))

    def turn(self, seconds, again=True):
        for key, _ in self.selector.select(seconds):
            client = key.data
            try:
                data = client.socket.recv(65536)
            except BlockingIOError:
                continue
            if not data:
                self.errors.append("closed")
                self.selector.unregister(client.socket)
                continue
            client.pending += data
            if client.pending.endswith(b"Z\0\0\0\5I"):
                if f"{client.number}".encode() not in client.pending or b"E\0" in client.pending[:2]:
                    self.errors.append(client.pending)
                client.pending = b""
                client.answered = time.monotonic()
                if again:
                    self.send(client)

    def close(self):
        for client in self.clients:
            client.close()


def test_hold_under_load(server):
    name = server.database("thousand")
    with Headgate({"app": section(server, name, control={"dsn": server.dsn(name)})}, {"log": {"level": "info"}}) as gate:
        load = Load(gate)
        for client in load.clients:
            load.send(client)
        until(lambda: load.turn(0.05) or min(c.number for c in load.clients) > 2, "all at work", 60)
        with gate.console_wire() as console:
            console.send(wire.query("HOLD app DRAIN TIMEOUT 10s MAX 20s"))
            asked = time.monotonic()
            console.socket.setblocking(False)
            answer = b""
            while not answer.endswith(b"Z\0\0\0\5I"):
                load.turn(0.005)
                try:
                    answer += console.socket.recv(65536)
                except BlockingIOError:
                    pass
                assert time.monotonic() - asked < 15
            print(f"HOLD answered after {(time.monotonic() - asked) * 1000:.1f} ms")
            console.socket.setblocking(True)
            load.turn(0)
            statements = "SELECT sum(xact_commit + xact_rollback) FROM pg_stat_database WHERE datname = 'thousand'"
            quiet = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'thousand' AND state <> 'idle' AND pid <> pg_backend_pid()" \
                    " AND backend_type = 'client backend' AND application_name NOT LIKE 'headgate%'"
            newest = "SELECT max(query_start) FROM pg_stat_activity WHERE datname = 'thousand' AND backend_type = 'client backend'" \
                     " AND application_name NOT LIKE 'headgate%'"
            del statements
            assert server.value(quiet) == 0
            before, cpu = server.value(newest), gate.cpu_seconds()
            end = time.monotonic() + 2.0
            while time.monotonic() < end:
                load.turn(0.05)
            assert server.value(newest) == before, "something reached the server while held"
            print(f"CPU while held: {gate.cpu_seconds() - cpu:.2f} s")
            console.buffer = b""
            released = time.monotonic()
            console.send(wire.query("RELEASE app"))
            waiting = list(load.clients)
            while waiting and time.monotonic() - released < 30:
                load.turn(0.01, again=False)
                waiting = [c for c in waiting if c.answered < released]
            slowest = max(c.answered for c in load.clients) - released
        assert not waiting and not load.errors, (len(waiting), load.errors[:3])
        print(f"{CLIENTS} clients, all answered {slowest * 1000:.0f} ms after the release")
        # The promise is 100 ms; this thread itself needs part of it, and the machine may be shared.
        assert slowest < (5.0 if SLOW else 0.5)
        load.close()


def test_idle_sessions_park_at_once_and_cost_no_cpu(server):
    name = server.database("idle")
    with Headgate({"app": section(server, name)}, {"log": {"level": "info"}}) as gate:
        clients = [gate.login("old", timeout=60) for _ in range(CLIENTS)]
        with gate.console_wire() as console:
            began = time.monotonic()
            gate.console("HOLD app MAX 25s", console)
            took = time.monotonic() - began
            cpu = gate.cpu_seconds()
            time.sleep(1)
            assert gate.cpu_seconds() - cpu < 0.3
            gate.console("RELEASE app", console)
        print(f"HOLD with {CLIENTS} idle sessions answered after {took * 1000:.1f} ms")
        assert took < (5 if SLOW else 1)
        cpu = gate.cpu_seconds()
        time.sleep(1)
        assert gate.cpu_seconds() - cpu < 0.2, "idle sessions cost CPU"
        for client in clients:
            client.close()
