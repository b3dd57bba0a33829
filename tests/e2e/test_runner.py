"""Runs of migrations under clients: served while steps flow, held for the steps that need it, let go with an answer and never an error."""

import os
import signal

import psycopg2
import pytest

from harness import place, wire
from harness.wait import until
from harness.wire import Refused


class Shop:
    """One database, migrations in a folder, and a proxy in front."""

    def __init__(self, cluster, dbname, gate):
        self.cluster, self.dbname, self.gate = cluster, dbname, gate
        self.dir = place.folder("migrations")

    def write(self, name, up, options="", down="SELECT 1;"):
        with open(os.path.join(self.dir, name), "w") as f:
            f.write(f"-- migrate:up {options}\n{up}\n-- migrate:down\n{down}\n")

    def upgrade(self, *arguments, status=0):
        found, output = self.gate.run("upgrade", "-d", "app", "--dir", self.dir, *arguments, check=False)
        assert found == status, output + self.gate.log()
        return output

    def spawn(self, *arguments):
        return self.gate.spawn("upgrade", "-d", "app", "--dir", self.dir, *arguments)

    def sql(self, statement):
        return self.cluster.sql(statement, self.dbname)


# A migration at work until the test says so, by a row.
WAIT = "DO $$ BEGIN WHILE NOT EXISTS (SELECT FROM public.go WHERE n = {}) LOOP PERFORM pg_sleep(0.01); END LOOP; END $$;"


@pytest.fixture
def shop(cluster, dbname, gated):
    def make(**more):
        recorded = {"reader": "headgate", "schema": None, "order": None}
        gate = gated(init=True, recorded=recorded, accept="compatible", **more)
        made = Shop(cluster, dbname, gate)
        made.write("1_first.sql", "CREATE TABLE orders (n int); GRANT ALL ON orders TO PUBLIC; INSERT INTO orders VALUES (7);")
        cluster.sql("CREATE TABLE go (n int)", dbname)
        made.upgrade()
        gate.until_recorded("1")
        return made

    return make


def at(shop, step):
    until(lambda: shop.cluster.active(shop.dbname, f"WHERE n = {step})"), f"step {step} at work")


def test_clients_wait_only_for_the_step_that_needs_it(shop):
    """Three migrations: the first and the last say hold:none. A client works during both, waits during the second, and nobody is told an error."""
    shop = shop()
    client, idle = shop.gate.login("1"), shop.gate.login("1")
    shop.write("2_flows.sql", "ALTER TABLE orders ADD note text;\n" + WAIT.format(2), "hold:none compatible")
    shop.write("3_held.sql", "ALTER TABLE orders ADD price int;\n" + WAIT.format(3), "compatible")
    shop.write("4_flows.sql", "CREATE INDEX CONCURRENTLY orders_n ON orders (n);\n" + WAIT.format(4), "hold:none compatible transaction:false")
    run = shop.spawn()
    at(shop, 2)
    assert idle.query("SELECT 1") == [["1"]]
    assert shop.sql("SELECT state, holding FROM headgate.run ORDER BY run_id DESC LIMIT 1") == [("running", False)]
    shop.sql("INSERT INTO go VALUES (2)")
    at(shop, 3)
    assert shop.sql("SELECT state, holding FROM headgate.run ORDER BY run_id DESC LIMIT 1") == [("running", True)]
    client.send(wire.query("SELECT n FROM orders"))
    assert client.nothing(0.3)
    late = shop.gate.begin_login("1")
    assert late.nothing(0.1)
    shop.sql("INSERT INTO go VALUES (3)")
    at(shop, 4)
    assert client.answer() == [["7"]]
    assert idle.query("SELECT price FROM orders") == [[None]]
    late.finish_login()
    assert late.query("SELECT 1") == [["1"]]
    shop.sql("INSERT INTO go VALUES (4)")
    output, _ = run.communicate(timeout=30)
    assert run.returncode == 0, output
    shop.gate.until_recorded("4")
    assert client.query("SELECT 2") == [["2"]]
    rows = shop.sql("SELECT revision, transactional, holding, state FROM headgate.step ORDER BY step_id")
    assert rows == [("1", True, True, "done"), ("2", True, False, "done"), ("3", True, True, "done"), ("4", False, False, "done")]


def test_flowing_steps_alone_disturb_nobody(shop):
    """Not even somebody who is in a transaction for long, nor a psql that goes around the proxy."""
    shop = shop()
    client = shop.gate.login("1")
    client.query("BEGIN")
    client.query("SELECT n FROM orders")
    around = psycopg2.connect(host=shop.cluster.socket, port=shop.cluster.port, user="postgres", dbname=shop.dbname)
    shop.write("2_flows.sql", "CREATE TABLE more (n int);", "hold:none compatible")
    shop.upgrade("--max-transaction-age", "1ms")
    assert client.query("SELECT n FROM orders") == [["7"]]
    client.query("COMMIT")
    around.cursor().execute("SELECT 1")
    around.close()


def test_interrupted_in_a_step(shop):
    """Ctrl-C: the step is rolled back, the steps before it stay, and the clients that were held go on."""
    shop = shop()
    client = shop.gate.login("1")
    shop.write("2_b.sql", "CREATE TABLE b ();", "compatible")
    shop.write("3_c.sql", "CREATE TABLE c ();\n" + WAIT.format(3))
    run = shop.spawn()
    at(shop, 3)
    client.send(wire.query("SELECT n FROM orders"))
    assert client.nothing(0.2)
    run.send_signal(signal.SIGINT)
    output, _ = run.communicate(timeout=30)
    assert run.returncode == 1, output
    assert "3_c.sql:3" in output and "rolled back" in output, output
    assert client.answer() == [["7"]]
    assert shop.sql("SELECT outcome, unresolved, to_heads FROM headgate.run ORDER BY run_id DESC LIMIT 1") == [("cancelled", False, ["2"])]
    assert shop.sql("SELECT to_regclass('b') IS NOT NULL, to_regclass('c') IS NULL") == [(True, True)]


def test_a_killed_runner_lets_the_clients_go(shop):
    """SIGKILL while clients are held: its statement ends, the proxy ends the run, and the clients go on at what is recorded."""
    shop = shop()
    if int(shop.sql("SHOW server_version_num")[0][0]) < 140000:
        pytest.skip("before PostgreSQL 14 a server at work does not notice that its client is gone")
    client = shop.gate.login("1")
    shop.write("2_b.sql", "CREATE TABLE b ();\n" + WAIT.format(2))
    run = shop.spawn()
    at(shop, 2)
    client.send(wire.query("SELECT n FROM orders"))
    assert client.nothing(0.2)
    run.kill()
    run.communicate()
    assert client.answer() == [["7"]]
    assert shop.sql("SELECT outcome, unresolved FROM headgate.run ORDER BY run_id DESC LIMIT 1") == [("abandoned", False)]
    shop.sql("INSERT INTO go VALUES (2)")
    shop.upgrade()


def test_half_way_shuts_the_gate_until_somebody_says_what_was_done(shop):
    """A step outside of a transaction fails in its second statement."""
    shop = shop(on_failed="reject")
    client = shop.gate.login("1")
    shop.write("2_b.sql", "CREATE TABLE b ();\nSELECT 1/0;\nCREATE TABLE c ();", "transaction:false compatible")
    output = shop.upgrade(status=1)
    assert "division by zero" in output and "2_b.sql:3" in output and "headgate resolve" in output, output
    assert client.fatal()["C"] == "57P01"
    with pytest.raises(Refused) as refused:
        shop.gate.login("1")
    assert "half way" in str(refused.value.fields), refused.value.fields
    assert "half way" in shop.upgrade(status=1)
    shop.sql("CREATE TABLE c ()")
    shop.gate.run("resolve", "-d", "app", "--as", "done", "-m", "made c by hand")
    shop.gate.until_recorded("2")
    assert shop.gate.login("1").query("SELECT 1") == [["1"]]
    shop.upgrade()


def test_two_proxies_drain_for_one_run(shop, gated, cluster, dbname):
    """Both hold their clients for the held step, whichever they came by, and both let them go."""
    shop = shop()
    other = gated(recorded={"reader": "headgate", "schema": None, "order": None}, accept="compatible")
    other.until_recorded("1")
    clients = [shop.gate.login("1"), other.login("1")]
    shop.write("2_b.sql", "CREATE TABLE b ();\n" + WAIT.format(2), "compatible")
    run = shop.spawn()
    at(shop, 2)
    for client in clients:
        client.send(wire.query("SELECT n FROM orders"))
    assert all(client.nothing(0.2) for client in clients)
    shop.sql("INSERT INTO go VALUES (2)")
    output, _ = run.communicate(timeout=30)
    assert run.returncode == 0, output
    assert [client.answer() for client in clients] == [[["7"]], [["7"]]]
