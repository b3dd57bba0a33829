"""Leaving: SIGTERM lets transactions end, SIGQUIT does not wait, and nothing stays behind."""

import os
import signal
import time

import pytest

from harness import wire
from harness.headgate import Headgate, section
from harness.wait import until
from harness.wire import Closed, Refused


@pytest.fixture
def gate(cluster, dbname):
    running = Headgate({"app": section(cluster, dbname)}, {"shutdown": {"timeout": "20s"}})
    running.until_recorded("old")
    yield running
    running.kill()


def test_sigterm_idle_and_busy(gate, cluster, dbname):
    idle, busy = gate.login("old"), gate.login("old")
    busy.query("BEGIN")
    gate.process.send_signal(signal.SIGTERM)
    told = idle.fatal()
    assert told["C"] == "57P01" and told["S"] == "FATAL"
    with pytest.raises((ConnectionRefusedError, Closed, Refused)):
        gate.login("old")
    assert busy.query("SELECT 'still inside'") == [["still inside"]]
    assert gate.process.poll() is None
    busy.query("COMMIT")
    assert busy.fatal()["C"] == "57P01"
    gate.stop(how=None)
    assert not os.path.exists(gate.console_path)
    assert cluster.backends(dbname) == 0


def test_sigterm_leaves_within_its_timeout(cluster, dbname):
    with Headgate({"app": section(cluster, dbname)}, {"shutdown": {"timeout": "500ms"}}) as gate:
        busy = gate.login("old")
        busy.query("BEGIN")
        began = time.monotonic()
        gate.process.send_signal(signal.SIGTERM)
        assert busy.fatal()["C"] == "57P01"
        gate.process.wait(10)
        assert time.monotonic() - began < 8
        gate.stop(how=None)


def test_sigterm_with_held_and_parked_clients(gate):
    parked = gate.login("old")
    gate.console("HOLD app DETACHED")
    parked.send(wire.query("SELECT 1"))
    held = gate.begin_login("old")
    until(lambda: len(gate.clients()) == 2, "both there")
    gate.process.send_signal(signal.SIGTERM)
    assert held.fatal()["C"] == "57P03"
    assert parked.fatal()["C"] in ("57P01", "57P03")
    gate.stop(how=None)


def test_sigquit_at_once(gate):
    busy = gate.login("old")
    busy.query("BEGIN")
    began = time.monotonic()
    gate.process.send_signal(signal.SIGQUIT)
    busy.ends()
    gate.process.wait(10)
    assert time.monotonic() - began < 5
    gate.stop(how=None, status=gate.process.returncode)


def test_sigint_is_sigterm(gate):
    idle = gate.login("old")
    gate.process.send_signal(signal.SIGINT)
    assert idle.fatal()["C"] == "57P01"
    gate.stop(how=None)


def test_console_shutdown(gate):
    idle = gate.login("old")
    gate.console("SHUTDOWN")
    assert idle.fatal()["C"] == "57P01"
    gate.process.wait(20)
    gate.stop(how=None)


def test_start_again_at_the_same_place(gate):
    """Addresses are free at once; a socket file left by a crash is taken over."""
    gate.kill()
    assert os.path.exists(gate.console_path)
    gate.start()
    gate.login("old").close()
    gate.stop()
    gate.start()
    gate.login("old").close()
    gate.stop()


def test_a_port_in_use_is_said(gate, cluster, dbname):
    second = Headgate({"app": section(cluster, dbname)}, {"listen": [{"address": f"127.0.0.1:{gate.port}"}]}, start=False)
    status, text = second.run("serve", check=False, timeout=20)
    assert status in (1, 3) and str(gate.port) in text and "in use" in text, text
    gate.stop()


def test_without_a_server_it_leaves_in_time(cluster, dbname):
    from harness import place

    databases = {"app": section(cluster, dbname, control={"dsn": f"host=127.0.0.1 port={place.port()}"})}
    with Headgate(databases) as gate:
        client = gate.begin_login("old")
        until(lambda: gate.clients(), "the client")
        began = time.monotonic()
        gate.process.send_signal(signal.SIGTERM)
        assert client.fatal()["C"] == "57P03"
        gate.process.wait(10)
        assert time.monotonic() - began < 8
        gate.stop(how=None)
