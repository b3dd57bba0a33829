"""The configuration: what is wrong is said with file, line, column, key and what to write; a reload changes what it can and keeps
what is good."""

import subprocess

import pytest

from harness.headgate import Headgate, section
from harness.wait import until
from harness.wire import Closed, Refused

GOOD = """listen:
  - address: 127.0.0.1:6432
databases:
  app:
    upstream: {address: "127.0.0.1:5432"}
    control: {dsn: "host=127.0.0.1"}
    recorded: {reader: alembic}
"""

WRONG = {
    "unknown key": (GOOD + "worker: 2\n", ["8:1", "worker", "workers"]),
    "unknown key inside": (GOOD + "    leese: 5s\n", ["8:5", "leese", "lease"]),
    "bare number": (GOOD + "    lease: 5\n", ["8:12", "lease"]),
    "wrong type": (GOOD + "limits: [1]\n", ["8:", "limits"]),
    "out of bounds": (GOOD + "workers: 0\n", ["8:10", "workers"]),
    "wrong word": (GOOD + "    mode: enforced\n", ["8:11", "mode", "enforce"]),
    "unknown reader": (GOOD.replace("alembic", "alembik"), ["alembi"]),
    "twice": (GOOD + "workers: 2\nworkers: 3\n", ["9:1", "workers"]),
    "bad yaml": (GOOD + "  : : [\n", ["8:"]),
    "no listener": (GOOD.replace("listen:\n  - address: 127.0.0.1:6432\n", ""), ["listen"]),
    "bad dsn": (GOOD.replace("host=127.0.0.1", "hosst=127.0.0.1"), ["hosst"]),
    "bad address": (GOOD.replace("127.0.0.1:6432", "127.0.0.1:99999"), ["2:14"]),
    "no file": (None, ["headgate.yaml"]),
}


@pytest.fixture
def idle(cluster, dbname):
    return Headgate({"app": section(cluster, dbname)}, start=False)


@pytest.mark.parametrize("name", WRONG)
def test_check_and_serve_say_what_is_wrong(idle, name):
    import os

    text, expected = WRONG[name]
    if text is None:
        os.unlink(idle.config_path)
    else:
        idle.write(text)
    for command in ("check", "serve"):
        status, told = idle.run(command, check=False, timeout=20)
        assert status == 3, f"{command}: exit {status}\n{told}"
        for word in expected:
            assert word in told, told


def test_check_accepts_what_serve_accepts(idle):
    idle.run("check")
    idle.write(GOOD)
    idle.run("check")


def test_help_asked_of_help(idle):
    told = {words: subprocess.run(idle.arguments(*words), capture_output=True, text=True, timeout=20)
            for words in (("help",), ("help", "--help"), ("help", "-h"), ("--help",))}
    assert all(done.returncode == 0 and done.stderr == "" for done in told.values()), told
    assert len({done.stdout for done in told.values()}) == 1 and "Usage: headgate COMMAND" in told[("help",)].stdout


def test_what_has_no_effect_yet_is_warned_of(cluster, dbname, gated):
    gate = gated(migrations={"dir": "migrations"})
    _, told = gate.run("check")
    assert "warning: databases.app.migrations.dir" in told
    assert "databases.app.migrations.dir: has no effect yet" in gate.log()
    gate.login("old").close()


def test_the_annotated_reference_is_valid(idle, cluster):
    """conf/headgate.yaml, every key explained; paths in it need not exist, the words must."""
    import os

    reference = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../conf/headgate.yaml")
    idle.config_path = os.path.abspath(reference)
    status, told = idle.run("check", check=False)
    assert status == 0 or "No such file" in told or "cannot" in told, told
    assert "unknown" not in told, told


def test_reload_changes_what_it_can(cluster, dbname, gated):
    gate = gated()
    client = gate.login("old")
    gate.configure(limits={"clients": 1}, log={"level": "info"})
    gate.reload()
    with pytest.raises(Refused) as refused:
        gate.login("old")
    assert refused.value.code == "53300"
    assert client.query("SELECT 1") == [["1"]]
    gate.configure(limits={"clients": 100})
    gate.console("RELOAD")
    gate.login("old").close()


def test_reload_adds_and_removes(cluster, dbname, gated):
    from harness import place
    from harness.wire import Wire

    gate = gated()
    live = gate.login("old")
    port = place.port()
    gate.config["listen"].append({"address": f"127.0.0.1:{port}", "head": "old"})
    gate.config["databases"]["second"] = section(cluster, dbname)
    gate.write()
    gate.reload()
    with Wire(("127.0.0.1", port)).login("u_trust", "second") as client:
        assert client.query("SELECT 1") == [["1"]]
    gate.config["listen"].pop()
    del gate.config["databases"]["second"]
    gate.write()
    gate.reload()
    with pytest.raises((ConnectionRefusedError, Closed)):
        Wire(("127.0.0.1", port)).login("u_trust", "app")
    with pytest.raises(Refused) as refused:
        gate.login("old", database="second")
    assert refused.value.code == "3D000"
    assert live.query("SELECT 1") == [["1"]]


def test_a_bad_file_leaves_the_old_one_in_force(gated):
    gate = gated()
    live = gate.login("old")
    gate.write("listen: [\n")
    told = gate.reload()
    assert "headgate.yaml" in told
    assert live.query("SELECT 1") == [["1"]]
    gate.login("old").close()
    with pytest.raises(Refused):
        gate.console("RELOAD")
    assert gate.console("SHOW GATES")


def test_a_reload_keeps_a_hold(gated):
    from harness import wire

    gate = gated()
    client = gate.login("old")
    with gate.console_wire() as console:
        gate.console("HOLD app", console)
        client.send(wire.query("SELECT 'after'"))
        gate.configure(limits={"clients": 77})
        gate.reload()
        assert client.nothing(0.3)
        gate.console("RELEASE app", console)
    assert client.answer() == [["after"]]


def test_many_reloads_cost_nothing(gated):
    gate = gated()
    client = gate.login("old")
    gate.reload()
    with gate.no_leak():
        for number in range(20):
            gate.configure(limits={"clients": 100 + number})
            gate.reload()
            assert client.query("SELECT 1") == [["1"]]
    until(lambda: gate.gate()["recorded"] == "old", "the reading")


def test_help_and_version_and_usage(idle):
    from harness.headgate import binary

    def say(*words):
        done = subprocess.run([binary(), *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=20)
        return done.returncode, done.stdout

    status, text = say("--help")
    assert status == 0
    for command in ("serve", "check", "init", "exec", "hold", "release", "status", "version"):
        assert command in text
        inner, told = say(command, "--help")
        assert inner == 0 and (len(told.splitlines()) > 3 or command == "version"), (command, told)
    assert say("version")[0] == 0
    assert say("nonsense")[0] == 2
    assert say("serve", "--nonsense")[0] == 2
